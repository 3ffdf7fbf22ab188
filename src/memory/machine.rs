//! How much memory there is: the machine's, or what the process's control groups leave it of that.

use std::fs;
use std::path::{Path, PathBuf};

/// Bytes that this process can have: the least of the machine's memory and the limits of its control groups, version 1 and
/// 2. `None` where the system does not say.
pub fn available() -> Option<usize> {
    let read = |path: &str| fs::read_to_string(path).unwrap_or_default();
    let machine = total(&read("/proc/meminfo"));
    let files = limit_files(&read("/proc/self/mountinfo"), &read("/proc/self/cgroup"));
    let limits = files.iter().filter_map(|file| limit(&fs::read_to_string(file).ok()?));
    machine.into_iter().chain(limits).min()
}

/// The machine's memory as `/proc/meminfo` says it.
fn total(meminfo: &str) -> Option<usize> {
    let line = meminfo.lines().find_map(|line| line.strip_prefix("MemTotal:"))?;
    let kibibytes: usize = line.trim().strip_suffix("kB")?.trim().parse().ok()?;
    kibibytes.checked_mul(1024)
}

/// A limit as a control group's file has it: bytes, or `max` where there is none.
fn limit(text: &str) -> Option<usize> {
    text.trim().parse().ok().filter(|bytes| *bytes > 0)
}

/// Where the limits of the process's groups stand: each bounds what is below it, too.
fn limit_files(mountinfo: &str, cgroups: &str) -> Vec<PathBuf> {
    let mounts: Vec<Mount> = mountinfo.lines().filter_map(Mount::read).collect();
    let groups = cgroups.lines().filter_map(Group::read);
    groups.flat_map(|group| mounts.iter().flat_map(move |mount| mount.limits_of(&group))).collect()
}

/// The files that limit a group of each version. Version 2 slows a process down at `high` before it ends it at `max`.
const FILES: [&[&str]; 2] = [&["memory.limit_in_bytes"], &["memory.max", "memory.high"]];

/// A group that the process is in.
struct Group<'a> {
    version: usize,
    path: &'a Path,
}

impl<'a> Group<'a> {
    /// A line of `/proc/self/cgroup`: `0::/path` in version 2, `4:memory:/path` in version 1. Other controllers are none of
    /// ours.
    fn read(line: &'a str) -> Option<Self> {
        let (number, rest) = line.split_once(':')?;
        let (controllers, path) = rest.split_once(':')?;
        let version = match controllers {
            "" if number == "0" => 2,
            controllers if controllers.split(',').any(|name| name == "memory") => 1,
            _ => return None,
        };
        Some(Self { version, path: Path::new(path) })
    }
}

/// Where groups of one version can be seen.
struct Mount<'a> {
    version: usize,
    /// The group that lies at the mount's point.
    root: &'a Path,
    point: &'a Path,
}

impl<'a> Mount<'a> {
    /// A line of `/proc/self/mountinfo`: `36 35 0:32 ROOT POINT rw - TYPE SOURCE OPTIONS`, with more words before the dash.
    fn read(line: &'a str) -> Option<Self> {
        let (mount, system) = line.split_once(" - ")?;
        let (mut mount, mut system) = (mount.split(' ').skip(3), system.split(' '));
        let version = match (system.next()?, system.nth(1)) {
            ("cgroup2", _) => 2,
            ("cgroup", Some(options)) if options.split(',').any(|name| name == "memory") => 1,
            _ => return None,
        };
        Some(Self { version, root: Path::new(mount.next()?), point: Path::new(mount.next()?) })
    }

    /// The limits of a group and of all above it. A container sees its own group at the mount's point, whatever its path.
    fn limits_of(&self, group: &Group) -> Vec<PathBuf> {
        if self.version != group.version {
            return Vec::new();
        }
        let inside = group.path.strip_prefix(self.root).unwrap_or(Path::new(""));
        let folders = inside.ancestors().map(|group| self.point.join(group));
        folders.flat_map(|folder| FILES[self.version - 1].iter().map(move |file| folder.join(file))).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_machine_has_memory() {
        assert_eq!(total("MemTotal:       24684096 kB\nMemFree:        16487044 kB\n"), Some(24_684_096 * 1024));
        for wrong in ["", "MemFree: 1 kB", "MemTotal: much kB", "MemTotal: 12"] {
            assert_eq!(total(wrong), None, "{wrong}");
        }
    }

    #[test]
    fn limits_are_bytes_or_none() {
        assert_eq!(limit("536870912\n"), Some(536_870_912));
        for none in ["max\n", "", "0\n", "-1"] {
            assert_eq!(limit(none), None, "{none}");
        }
    }

    #[track_caller]
    fn check(mountinfo: &str, cgroups: &str, expected: &[&str]) {
        let expected: Vec<PathBuf> = expected.iter().map(PathBuf::from).collect();
        assert_eq!(limit_files(mountinfo, cgroups), expected);
    }

    const V2: &str = "30 24 0:26 / /sys/fs/cgroup rw,nosuid shared:9 - cgroup2 cgroup2 rw,nsdelegate\n";
    const V1: &str = "\
25 30 0:23 / /sys rw - sysfs sysfs rw
34 25 0:31 / /sys/fs/cgroup/cpu rw - cgroup cgroup rw,cpu,cpuacct
36 25 0:33 /docker/abc /sys/fs/cgroup/memory ro master:17 - cgroup cgroup rw,memory
";

    #[test]
    fn a_service_of_version_2_is_bounded_by_all_groups_above() {
        check(
            V2,
            "0::/system.slice/textflight.service\n",
            &[
                "/sys/fs/cgroup/system.slice/textflight.service/memory.max",
                "/sys/fs/cgroup/system.slice/textflight.service/memory.high",
                "/sys/fs/cgroup/system.slice/memory.max",
                "/sys/fs/cgroup/system.slice/memory.high",
                "/sys/fs/cgroup/memory.max",
                "/sys/fs/cgroup/memory.high",
            ],
        );
    }

    #[test]
    fn a_container_sees_its_own_group_at_the_top() {
        check(V2, "0::/\n", &["/sys/fs/cgroup/memory.max", "/sys/fs/cgroup/memory.high"]);
        let v1 = "/sys/fs/cgroup/memory/memory.limit_in_bytes";
        check(V1, "12:cpu,cpuacct:/docker/abc\n4:memory:/docker/abc\n", &[v1]);
        // The host's path, of which the container's mount shows nothing.
        check(V1, "4:memory:/kubepods/pod1/abc\n", &[v1]);
        check(V1, "4:memory:/docker/abc/inner\n", &["/sys/fs/cgroup/memory/inner/memory.limit_in_bytes", v1]);
    }

    #[test]
    fn both_versions_at_once_and_none() {
        let both = format!("{V1}41 25 0:40 / /sys/fs/cgroup/unified rw - cgroup2 cgroup2 rw\n");
        check(
            &both,
            "4:memory:/docker/abc\n0::/\n",
            &[
                "/sys/fs/cgroup/memory/memory.limit_in_bytes",
                "/sys/fs/cgroup/unified/memory.max",
                "/sys/fs/cgroup/unified/memory.high",
            ],
        );
        check("", "", &[]);
        check(V2, "7:pids:/a\nnonsense\n", &[]);
    }

    #[cfg(target_os = "linux")]
    #[test]
    fn this_machine_says_how_much_it_has() {
        assert!(available().is_some_and(|bytes| bytes > 16 * 1024 * 1024));
    }
}
