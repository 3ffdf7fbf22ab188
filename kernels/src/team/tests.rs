use std::sync::atomic::AtomicU32;
use std::thread;

use candle_core::{Result, Tensor};

use super::*;
use crate::weights::testing::{HIDDEN, norm, random, weights};
use crate::{
    AbsorbedAttention, Activation, Kernel, PackedAttention, PackedFeedForward, PackedLinear, Precision, Ragged,
};

/// A team with so many members, which stay until the end.
fn with_members<T>(members: usize, lead: impl FnOnce(&Team) -> T) -> T {
    let (team, handle) = Team::open();
    thread::scope(|scope| {
        for _ in 0..members {
            scope.spawn(|| handle.assist(|| false));
        }
        // The test is one only if they have come.
        while team.stage.as_ref().is_some_and(|stage| stage.members.load(Ordering::Relaxed) < members) {
            thread::yield_now();
        }
        let done = catch_unwind(AssertUnwindSafe(|| lead(&team)));
        drop(team);
        done.unwrap_or_else(|panic| resume_unwind(panic))
    })
}

#[test]
fn each_piece_is_done_once_before_the_next_stage() {
    for members in 0..4 {
        with_members(members, |team| {
            let mut pieces = vec![0_u32; 37];
            for stage in 0..500 {
                team.each(&mut pieces, |piece| {
                    assert_eq!(*piece, stage);
                    *piece += 1;
                });
            }
            assert_eq!(pieces, [500; 37]);
        });
    }
    Team::alone().each(&mut [(); 0], |()| unreachable!("there is none"));
}

/// A team whose three members take at most 1, 2 and 3 pieces before they leave, and come again; `lead` is also told how
/// often they left.
fn with_restless_members<T>(lead: impl FnOnce(&Team, &AtomicU32) -> T) -> T {
    let (team, handle) = Team::open();
    let stays = AtomicU32::new(0);
    let done = thread::scope(|scope| {
        for member in 0..3 {
            let (handle, stays) = (handle.clone(), &stays);
            scope.spawn(move || {
                while !handle.is_over() {
                    let asked = Cell::new(0);
                    handle.assist(|| asked.replace(asked.get() + 1) > member);
                    stays.fetch_add(1, Ordering::Relaxed);
                    thread::yield_now();
                }
            });
        }
        let done = catch_unwind(AssertUnwindSafe(|| lead(&team, &stays)));
        drop(team);
        done.unwrap_or_else(|panic| resume_unwind(panic))
    });
    assert_eq!(handle.members(), 0);
    done
}

#[test]
fn members_join_and_leave_at_any_piece() {
    with_restless_members(|team, stays| {
        let mut sums = [0_u64; 16];
        let mut stages = 0;
        while stages < 1000 || stays.load(Ordering::Relaxed) < 100 {
            team.each(&mut sums, |sum| *sum += 1);
            stages += 1;
        }
        assert_eq!(sums, [stages; 16]);
    });
}

/// A product, and both halves of a layer, over packed sequences, in that order.
struct Layers {
    linear: PackedLinear,
    attention: PackedAttention,
    absorbed: AbsorbedAttention,
    feed_forward: PackedFeedForward,
}

impl Layers {
    fn random(precision: Precision) -> Result<Self> {
        let linear = |inner, out| PackedLinear::new(&random(&[out, inner])?, &random(&[out])?, None, precision);
        Ok(Self {
            linear: linear(HIDDEN, 300)?,
            attention: PackedAttention::new(&weights(HIDDEN)?, norm()?, 3, None, precision)?,
            absorbed: AbsorbedAttention::new(&weights(HIDDEN)?, norm()?, 3, None, precision)?,
            feed_forward: PackedFeedForward::new(
                linear(HIDDEN, 200)?.with_activation(Activation::Gelu),
                linear(200, HIDDEN)?,
                norm()?,
            )?,
        })
    }

    /// All outputs.
    fn outputs(&self, x: &Tensor, sequences: &Ragged, team: &Team) -> Result<Vec<f32>> {
        let x = x.copy()?;
        self.attention.forward(&x, sequences, team)?;
        self.feed_forward.forward(&x, team)?;
        let first: Vec<u32> = sequences.starts().iter().map(|row| *row as u32).collect();
        let asking = x.index_select(&Tensor::new(first, x.device())?, 0)?;
        self.absorbed.forward(&asking, &x, sequences, team)?;
        Tensor::cat(&[x.flatten_all()?, asking.flatten_all()?, self.linear.forward(&x, team)?.flatten_all()?], 0)?
            .to_vec1()
    }
}

#[test]
fn bits_are_the_same_whoever_takes_part() -> Result<()> {
    for precision in Precision::ALL.into_iter().filter(|precision| !Kernel::all(*precision).is_empty()) {
        let layers = Layers::random(precision)?;
        for lengths in [vec![1], vec![25], vec![47, 1, 1, 30], vec![9; 30]] {
            let sequences = Ragged::from_lengths(lengths.iter().copied());
            let x = random(&[sequences.rows(), HIDDEN])?;
            let alone = layers.outputs(&x, &sequences, &Team::alone())?;
            let steady = with_members(2, |team| layers.outputs(&x, &sequences, team))?;
            assert_eq!(steady, alone, "{precision}, {lengths:?}, two members");
            with_restless_members(|team, stays| {
                for _ in 0..20 {
                    assert_eq!(layers.outputs(&x, &sequences, team)?, alone, "{precision}, {lengths:?}");
                }
                // The test is one only if they came and went.
                while stays.load(Ordering::Relaxed) < 50 {
                    assert_eq!(layers.outputs(&x, &sequences, team)?, alone, "{precision}, {lengths:?}");
                }
                Ok::<_, candle_core::Error>(())
            })?;
        }
    }
    Ok(())
}

#[test]
fn a_panic_reaches_the_leader_and_the_team_goes_on() {
    for members in 0..3 {
        with_members(members, |team| {
            for bad in 0..20 {
                let mut pieces: Vec<usize> = (0..20).collect();
                let done = catch_unwind(AssertUnwindSafe(|| {
                    team.each(&mut pieces, |piece| assert_ne!(*piece, bad, "the bad piece"));
                }));
                let panic = done.expect_err("a piece panicked");
                assert!(panic.downcast_ref::<String>().is_some_and(|text| text.contains("the bad piece")));
            }
            let mut pieces = [1; 20];
            team.each(&mut pieces, |piece| *piece += 1);
            assert_eq!(pieces, [2; 20]);
        });
    }
}

#[test]
fn who_waits_for_a_team_without_work_can_leave() {
    let (team, handle) = Team::open();
    let asked = Cell::new(0);
    handle.assist(|| asked.replace(asked.get() + 1) == 1000);
    drop(team);
    handle.assist(|| unreachable!("the forward is over"));
}
