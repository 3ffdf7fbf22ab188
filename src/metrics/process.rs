//! What Linux says of this process, under the names that all of Prometheus' clients use.

use std::fs;

use prometheus_client::metrics::counter::ConstCounter;
use prometheus_client::metrics::gauge::ConstGauge;
use prometheus_client::registry::{Registry, Unit};
use rustix::process::{Resource, getrlimit};

/// Ticks a second in `/proc`: what programs see is 100, whatever the kernel counts in.
const TICKS: f64 = 100.0;

/// Puts it on a page; what the system does not say is left out.
pub fn register(page: &mut Registry) {
    let read = |path: &str| fs::read_to_string(path).unwrap_or_default();
    let (stat, status, system) = (read("/proc/self/stat"), read("/proc/self/status"), read("/proc/stat"));
    if let Some(seconds) = cpu_seconds(&stat) {
        let help = "Time of all processors that the process has used";
        page.register_with_unit("process_cpu", help, Unit::Seconds, ConstCounter::new(seconds));
    }
    if let Some(seconds) = start_seconds(&stat, &system) {
        let help = "When the process began, since the beginning of 1970";
        page.register_with_unit("process_start_time", help, Unit::Seconds, ConstGauge::new(seconds));
    }
    if let Some(bytes) = resident_bytes(&status) {
        let help = "Memory that the process has resident";
        page.register_with_unit("process_resident_memory", help, Unit::Bytes, ConstGauge::new(bytes));
    }
    if let Ok(files) = fs::read_dir("/proc/self/fd") {
        // One of them is the folder itself.
        let open = files.count().saturating_sub(1) as u64;
        page.register("process_open_fds", "File descriptors that are open", ConstGauge::new(open));
    }
    if let Some(files) = getrlimit(Resource::Nofile).current {
        page.register("process_max_fds", "File descriptors that may be open", ConstGauge::new(files));
    }
}

/// A field of `/proc/self/stat`, counted from 1 as its manual does. The second is the program's name in parentheses, which may
/// hold anything.
fn field(stat: &str, number: usize) -> Option<f64> {
    let (_, behind) = stat.rsplit_once(')')?;
    behind.split_whitespace().nth(number - 3)?.parse().ok()
}

fn cpu_seconds(stat: &str) -> Option<f64> {
    Some((field(stat, 14)? + field(stat, 15)?) / TICKS)
}

/// The process counts from when the machine began.
fn start_seconds(stat: &str, system: &str) -> Option<f64> {
    let boot: f64 = system.lines().find_map(|line| line.strip_prefix("btime "))?.trim().parse().ok()?;
    Some(boot + field(stat, 22)? / TICKS)
}

fn resident_bytes(status: &str) -> Option<u64> {
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"))?;
    let kibibytes: u64 = line.trim().strip_suffix("kB")?.trim().parse().ok()?;
    kibibytes.checked_mul(1024)
}

#[cfg(test)]
mod tests {
    use std::time::{Duration, SystemTime, UNIX_EPOCH};

    use super::*;

    const STAT: &str = "17 (a) b) c) S 1 17 17 0 -1 4194304 100 0 0 0 250 50 0 0 20 0 9 0 12345 1000 200";

    #[test]
    fn times_are_seconds() {
        assert_eq!(cpu_seconds(STAT), Some(3.0));
        assert_eq!(start_seconds(STAT, "cpu 1 2\nbtime 1700000000\n"), Some(1_700_000_123.45));
        assert_eq!(start_seconds(STAT, "cpu 1 2\n"), None);
    }

    #[test]
    fn memory_is_bytes() {
        assert_eq!(resident_bytes("VmHWM:\t  90 kB\nVmRSS:\t  70 kB\n"), Some(70 * 1024));
        for wrong in ["", "17 (a", "17 (a) S", "VmRSS: much kB", "VmRSS: 12"] {
            assert_eq!((cpu_seconds(wrong), resident_bytes(wrong)), (None, None), "{wrong}");
        }
    }

    #[cfg(target_os = "linux")]
    #[test]
    fn this_process_began_a_while_ago() {
        let read = |path| fs::read_to_string(path).unwrap();
        let began = start_seconds(&read("/proc/self/stat"), &read("/proc/stat")).unwrap();
        let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap();
        assert!(now + Duration::from_secs(5) > Duration::from_secs_f64(began), "{began}");
        assert!(now < Duration::from_secs_f64(began) + Duration::from_hours(24), "{began}");
    }
}
