//! Forwards that idle threads may assist in.

use super::Lane;
use crate::classifier::kernels::TeamHandle;

/// Threads of one forward, about: of 768 outputs, 64 at a time, there are 12 pieces.
const TEAM: usize = 16;

/// Rows that a core rather computes by itself than with another: what they share goes from one's cache to the other's.
const SHARE: usize = 4;

/// How many shares of so many rows cores take that are free, of so many in all: as many as are worth one, and at least so many
/// that teams have all cores.
pub const fn shares(rows: usize, free: usize, cores: usize) -> usize {
    let (worth, teams) = (rows / SHARE, cores.div_ceil(TEAM));
    let shares = if worth < free { worth } else { free };
    if shares > teams { shares } else { teams }
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
    fn a_core_takes_four_rows_or_is_one_of_a_team() {
        assert_eq!([1, 7, 8, 11, 12, 64].map(|rows| shares(rows, 2, 2)), [1, 1, 2, 2, 2, 2]);
        assert_eq!([1, 8, 32, 64, 65].map(|rows| shares(rows, 16, 16)), [1, 2, 8, 16, 16]);
        // What is busy takes no share.
        assert_eq!([8, 64].map(|rows| shares(rows, 1, 16)), [1, 1]);
        assert_eq!([1, 8, 32].map(|rows| shares(rows, 64, 64)), [4, 4, 8]);
    }
}
