use proptest::prelude::*;

use super::device::Noise;
use super::*;

/// Where sequences of such lengths begin, and each token's place.
pub fn spans_of(lengths: &[u32]) -> (Vec<u32>, Vec<u32>) {
    let (mut starts, mut positions) = (vec![0], Vec::new());
    for length in lengths {
        positions.extend(0..*length);
        starts.push(positions.len() as u32);
    }
    (starts, positions)
}

fn spans(lengths: &[u32]) {
    let (starts, positions) = spans_of(lengths);
    let from = There::of(lengths);
    let (to_starts, to_positions) = (There::<u32>::empty(starts.len()), There::<u32>::empty(positions.len()));
    let arguments = Spans {
        lengths: from.address(),
        sequences: lengths.len(),
        starts: to_starts.address(),
        positions: to_positions.address(),
    };
    let device = device();
    // SAFETY: the memory is as long as the lengths say.
    unsafe { device.functions.spans(device.stream(), &arguments) }.unwrap();
    assert_eq!((to_starts.read(), to_positions.read()), (starts, positions));
}

#[test]
fn spans_of_as_many_sequences_as_blocks_meet_at() {
    let mut noise = Noise(5);
    for count in [1, 2, 127, 128, 129, 256, 700] {
        spans(&(0..count).map(|_| 1 + noise.below(40) as u32).collect::<Vec<_>>());
    }
    spans(&[512, 1, 512]);
    spans(&[3, 0, 1]);
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(20))]

    #[test]
    fn first_rows_and_wide_values(
        lengths in prop::collection::vec(1u32..5, 1..8),
        width in width(300),
        element in element(),
        seed in 1u64..,
    ) {
        let (starts, positions) = spans_of(&lengths);
        let x = Noise(seed).values(element, positions.len() * width, 1.0);
        let (from, begins) = (Values::of(element, &x), There::of(&starts));
        let (first, wide) = (Values::empty(element, lengths.len() * width), There::<f32>::empty(x.len()));
        let device = device();
        let rows = FirstRows {
            element, x: from.address(), starts: begins.address(), out: first.address(), sequences: lengths.len(), width,
        };
        let widen = Widen { element, x: from.address(), out: wide.address(), count: x.len() };
        // SAFETY: the memory is of these shapes.
        unsafe {
            device.functions.first_rows(device.stream(), &rows).unwrap();
            device.functions.widen(device.stream(), &widen).unwrap();
        }
        let row = |start: &u32| x[*start as usize * width..][..width].to_vec();
        prop_assert_eq!(first.read(), starts[..lengths.len()].iter().flat_map(row).collect::<Vec<_>>());
        prop_assert_eq!(wide.read(), x);
    }
}
