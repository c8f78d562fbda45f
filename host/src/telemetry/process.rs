//! What the system knows of this process (proc(5)), and how that is told: under the names that every exporter uses.
//!
//! Read only when somebody asks. Where there is no `/proc` nothing is told.

use std::fs;
use std::time::Duration;

use super::metrics::{Exposition, Kind};

/// What the system knows of this process.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Process {
    /// Processor time of all threads.
    pub cpu: Duration,
    /// Resident memory.
    pub resident_bytes: u64,
    /// Address space.
    pub virtual_bytes: u64,
    /// Threads.
    pub threads: u64,
    /// When it started, since the Unix epoch.
    pub started: Duration,
}

impl Process {
    /// Asks the system.
    pub fn read() -> Option<Self> {
        let stat = fs::read_to_string("/proc/self/stat").ok()?;
        // The name stands in brackets, and may hold anything.
        let (_, fields) = stat.rsplit_once(')')?;
        let fields: Vec<&str> = fields.split_ascii_whitespace().collect();
        let field = |number: usize| fields.get(number - 3)?.parse::<u64>().ok();
        let ticks_per_second = rustix::param::clock_ticks_per_second().max(1);
        let ticks = |ticks: u64| Duration::from_millis(ticks.saturating_mul(1000) / ticks_per_second);
        let boot = fs::read_to_string("/proc/stat").ok()?;
        let boot = boot.lines().find_map(|line| line.strip_prefix("btime "))?.trim().parse().ok()?;
        Some(Self {
            cpu: ticks(field(14)? + field(15)?),
            threads: field(20)?,
            started: Duration::from_secs(boot) + ticks(field(22)?),
            virtual_bytes: field(23)?,
            resident_bytes: field(24)? * rustix::param::page_size() as u64,
        })
    }
}

/// Open file descriptors. Takes longer the more there are.
pub fn open_files() -> Option<u64> {
    // One of them is the folder that is read.
    Some((fs::read_dir("/proc/self/fd").ok()?.count() as u64).saturating_sub(1))
}

/// Open file descriptors that there may be.
fn files_max() -> Option<u64> {
    let limits = fs::read_to_string("/proc/self/limits").ok()?;
    let line = limits.lines().find_map(|line| line.strip_prefix("Max open files"))?;
    line.split_ascii_whitespace().next()?.parse().ok()
}

/// Processor time of the threads whose name is this and a number, by that number.
pub fn thread_times(name: &str) -> Vec<(usize, Duration)> {
    let Ok(threads) = fs::read_dir("/proc/self/task") else { return Vec::new() };
    let mut times: Vec<_> = threads
        .filter_map(|thread| {
            let folder = thread.ok()?.path();
            let number = fs::read_to_string(folder.join("comm")).ok()?.trim().strip_prefix(name)?.parse().ok()?;
            let times = fs::read_to_string(folder.join("schedstat")).ok()?;
            Some((number, Duration::from_nanos(times.split(' ').next()?.parse().ok()?)))
        })
        .collect();
    times.sort_unstable();
    times
}

/// Writes the metrics of the process.
pub fn expose(out: &mut Exposition) {
    let Some(process) = Process::read() else { return };
    let mut tell = |name: &str, help: &str, kind: Kind, value: f64| {
        out.family(name, help, kind);
        out.number::<&str, &str>(name, &[], value);
    };
    let cpu = process.cpu.as_secs_f64();
    tell("process_cpu_seconds_total", "Processor time of all threads.", Kind::Counter, cpu);
    tell("process_resident_memory_bytes", "Resident memory.", Kind::Gauge, process.resident_bytes as f64);
    tell("process_virtual_memory_bytes", "Address space.", Kind::Gauge, process.virtual_bytes as f64);
    tell("process_threads", "Threads.", Kind::Gauge, process.threads as f64);
    let started = process.started.as_secs_f64();
    tell("process_start_time_seconds", "When the process started, as Unix time.", Kind::Gauge, started);
    if let Some(open) = open_files() {
        tell("process_open_fds", "Open file descriptors.", Kind::Gauge, open as f64);
    }
    if let Some(max) = files_max() {
        tell("process_max_fds", "Open file descriptors that there may be.", Kind::Gauge, max as f64);
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "tests")]
mod tests {
    use super::*;
    use crate::time;

    #[test]
    fn this_process_is_found() {
        let process = Process::read().unwrap();
        assert!(process.resident_bytes > 100_000 && process.virtual_bytes > process.resident_bytes, "{process:?}");
        assert!(process.threads >= 1 && process.started < time::unix(), "{process:?}");
        assert!(time::unix() - process.started < Duration::from_secs(24 * 3600), "{process:?}");
        let (open, max) = (open_files().unwrap(), files_max().unwrap());
        assert!((3..=max).contains(&open), "{open} {max}");
    }

    #[test]
    fn threads_are_found_by_name() {
        let (tell, told) = std::sync::mpsc::channel();
        let (end, ended) = std::sync::mpsc::channel::<()>();
        let run = move || {
            tell.send(()).unwrap();
            let _ = ended.recv();
        };
        let thread = std::thread::Builder::new().name("sleeper-7".into()).spawn(run).unwrap();
        told.recv().unwrap();
        let times = thread_times("sleeper-");
        assert_eq!(times.iter().map(|(number, _)| *number).collect::<Vec<_>>(), [7]);
        drop(end);
        thread.join().unwrap();
    }
}
