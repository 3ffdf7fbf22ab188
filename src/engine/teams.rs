//! Forwards that idle threads may assist in.

use super::Lane;
use crate::classifier::kernels::TeamHandle;

/// Threads of one forward, about: of 768 outputs, 64 at a time, there are 12 pieces.
pub const TEAM: usize = 16;

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
}
