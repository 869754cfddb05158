//! What Linux says of a process and of the machine.

use std::{fs, path::Path, thread};

use anyhow::Context as _;

/// Ticks of processor time in a second; the kernel's interface has had this figure on every platform for decades.
const TICKS_PER_SECOND: f64 = 100.0;

/// Gives the processor time of a process so far, user and system together, in milliseconds; steps of 10.
pub(crate) fn cpu_ms(pid: u32) -> anyhow::Result<f64> {
    let stat = read(pid, "stat")?;
    ticks(&stat)
        .map(|ticks| ticks * 1000.0 / TICKS_PER_SECOND)
        .with_context(|| format!("/proc/{pid}/stat has another form than expected"))
}

/// The name of the program may hold spaces and parentheses, so fields are counted from its last parenthesis.
fn ticks(stat: &str) -> Option<f64> {
    let mut fields = stat.rsplit_once(')')?.1.split_whitespace().skip(11);
    let user: u32 = fields.next()?.parse().ok()?;
    let system: u32 = fields.next()?.parse().ok()?;
    Some(f64::from(user) + f64::from(system))
}

/// Gives a figure of `/proc/PID/status` such as `VmRSS`, in MB of a million bytes.
pub(crate) fn memory_mb(pid: u32, figure: &str) -> anyhow::Result<f64> {
    let status = read(pid, "status")?;
    kibibytes(&status, figure)
        .map(|kib| f64::from(kib) * 1024.0 / 1e6)
        .with_context(|| format!("/proc/{pid}/status has no {figure}"))
}

fn kibibytes(status: &str, figure: &str) -> Option<u32> {
    let line = status
        .lines()
        .find_map(|line| line.strip_prefix(figure)?.strip_prefix(':'))?;
    line.split_whitespace().next()?.parse().ok()
}

fn read(pid: u32, file: &str) -> anyhow::Result<String> {
    fs::read_to_string(format!("/proc/{pid}/{file}"))
        .with_context(|| format!("cannot read /proc/{pid}/{file}"))
}

/// Describes the machine and what was measured on it.
pub(crate) fn machine(bins: &Path) -> String {
    let cpu = fs::read_to_string("/proc/cpuinfo").unwrap_or_default();
    let name = cpu
        .lines()
        .find_map(|line| line.strip_prefix("model name")?.split_once(':'))
        .map_or("unknown processor", |(_, name)| name.trim());
    let processors = thread::available_parallelism().map_or(1, usize::from);
    let load = fs::read_to_string("/proc/loadavg").unwrap_or_default();
    let load = load.split_whitespace().next().unwrap_or("unknown");
    let profile = bins.file_name().unwrap_or_default().display();
    format!(
        "{processors} processors, {name}; binaries of the {profile} profile; load average at the start {load}"
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn figures_are_found_in_the_kernels_forms() {
        let stat = "7 (a) b) S 1 7 7 0 -1 4194560 100 0 0 0 25 17 0 0 20 0";
        assert_eq!(ticks(stat), Some(42.0));
        assert_eq!(ticks("7 (a"), None);
        let status = "Name:\ta\nVmHWM:\t 2048 kB\nVmRSS:\t 1000 kB\n";
        assert_eq!(kibibytes(status, "VmRSS"), Some(1000));
        assert_eq!(kibibytes(status, "VmSwap"), None);
    }
}
