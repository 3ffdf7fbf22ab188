//! File descriptors: as many as the system gives, shared out so that neither port can take those of the other.

use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
use tracing::{debug, warn};

use crate::{Error, Result};

/// What is kept for files, webhooks and the process itself: a quarter, and at least so many.
const RESERVED: u64 = 48;
const PORTS: u64 = 2;

/// Raises the process's limit as far as it may be raised, and says how many connections each port can hold of those wanted.
///
/// # Errors
/// [`Error::Invalid`] when there are too few for any.
pub fn share(wanted: usize) -> Result<usize> {
    let limit = raise();
    let each = each(limit);
    if each == 0 {
        return Err(Error::Invalid(format!(
            "the system allows {limit} open files (ulimit -n), which is too few to serve: {} are needed",
            RESERVED + PORTS
        )));
    }
    let granted = wanted.min(usize::try_from(each).unwrap_or(usize::MAX));
    if granted < wanted {
        warn!(
            wanted,
            granted, limit, "fewer connections than --max-connections: the system allows few open files (ulimit -n)"
        );
    }
    Ok(granted)
}

/// What each port may hold under a limit.
fn each(limit: u64) -> u64 {
    limit.saturating_sub(RESERVED.max(limit / 4)) / PORTS
}

/// The limit, raised from the soft one to the hard one.
fn raise() -> u64 {
    let limit = getrlimit(Resource::Nofile);
    let all = Rlimit { current: limit.maximum, maximum: limit.maximum };
    let granted = if limit.current == limit.maximum { Ok(()) } else { setrlimit(Resource::Nofile, all) };
    let limit = match granted {
        Ok(()) => limit.maximum,
        Err(error) => {
            debug!(%error, "the limit of open files was not raised");
            limit.current
        }
    };
    // None is no limit.
    limit.unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn both_ports_have_as_many_and_something_is_left() {
        for limit in [50, 64, 100, 512, 1024, 4096, 1 << 20, u64::MAX] {
            let each = each(limit);
            assert!(each >= 1, "{limit}");
            assert!(limit - 2 * each >= RESERVED.max(limit / 4), "{limit}");
        }
        assert_eq!(each(512), 192);
        for limit in [0, 20, 49] {
            assert_eq!(each(limit), 0, "{limit}");
        }
    }

    #[test]
    fn the_soft_limit_is_raised_to_the_hard_one() {
        let limit = raise();
        let now = getrlimit(Resource::Nofile);
        assert_eq!((now.current, now.current), (now.maximum, Some(limit).filter(|limit| *limit != u64::MAX)));
        assert!(share(1).is_ok());
    }
}
