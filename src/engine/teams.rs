//! How cores that are idle share what there is: in batches of their own, or in forwards that they assist in.

use super::Lane;
use crate::classifier::kernels::TeamHandle;

/// Threads of one forward, about: of 768 outputs, 64 at a time, there are 12 pieces.
const TEAM: usize = 16;

/// Tokens that a core rather computes by itself than with another: it reads all weights for them, but what two share goes from
/// one's cache to the other's.
const SHARE: usize = 64;

/// Into how many batches so many tokens are shared out, where `free` of the cores are idle: one for each that has enough to do, and
/// no fewer than the teams that all of them make.
pub fn shares(tokens: usize, free: usize, cores: usize) -> usize {
    (tokens / SHARE).max(cores.div_ceil(TEAM)).min(free)
}

/// The teams of the forwards that run.
#[derive(Default)]
pub struct Teams {
    open: Vec<(Lane, TeamHandle)>,
}

impl Teams {
    /// Adds the team of a forward of the lane, until that is over.
    pub fn add(&mut self, lane: Lane, team: TeamHandle) {
        self.drop_over();
        self.open.push((lane, team));
    }

    /// The team to assist: one of requests before one of tables, and of several the one that has fewest members.
    pub fn next(&mut self) -> Option<TeamHandle> {
        self.drop_over();
        let has_room = |(_, team): &&(Lane, TeamHandle)| team.members() + 1 < TEAM;
        let urgency = |(lane, team): &&(Lane, TeamHandle)| (*lane == Lane::Bulk, team.members());
        self.open.iter().filter(has_room).min_by_key(urgency).map(|(_, team)| team.clone())
    }

    fn drop_over(&mut self) {
        self.open.retain(|(_, team)| !team.is_over());
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::classifier::kernels::Team;

    #[test]
    fn requests_are_assisted_first_and_nobody_when_all_is_over() {
        let mut teams = Teams::default();
        assert!(teams.next().is_none());
        let (bulk, table) = Team::open();
        teams.add(Lane::Bulk, table.clone());
        let (request, handle) = Team::open();
        teams.add(Lane::Interactive, handle.clone());
        let is_request = |team: TeamHandle| team.is_same(&handle);
        assert!(teams.next().is_some_and(is_request));
        drop(request);
        assert!(teams.next().is_some_and(|team| team.is_same(&table)));
        drop(bulk);
        assert!(teams.next().is_none() && teams.open.is_empty());
    }

    #[test]
    fn a_core_takes_what_is_worth_it_or_is_one_of_a_team() {
        assert_eq!([1, 127, 128, 10_000].map(|tokens| shares(tokens, 2, 2)), [1, 1, 2, 2]);
        assert_eq!([1, 200, 800, 10_000].map(|tokens| shares(tokens, 16, 16)), [1, 3, 12, 16]);
        assert_eq!([1, 200, 800].map(|tokens| shares(tokens, 64, 64)), [4, 4, 12]);
        // What is busy takes no share.
        for cores in [1, 2, 16, 17, 64] {
            assert_eq!([1, 200, 10_000].map(|tokens| shares(tokens, 1, cores)), [1; 3]);
        }
    }
}
