//! How much memory this process may still take.

use std::fs::read_to_string;

/// Bytes that this process may still take: the least of what the machine has free, what its control group leaves, and what
/// its address space may grow by (`ulimit -v`). `None` where the system does not tell.
pub fn free_memory() -> Option<u64> {
    [machine(), control_group(), address_space()].into_iter().flatten().min()
}

fn machine() -> Option<u64> {
    kibibytes(&read_to_string("/proc/meminfo").ok()?, "MemAvailable:")
}

/// Control groups of version 2: the limits of this group and of those around it.
fn control_group() -> Option<u64> {
    let own = read_to_string("/proc/self/cgroup").ok()?;
    let path = own.lines().find_map(|line| line.strip_prefix("0::"))?.trim_matches('/').to_string();
    let mut folder = std::path::Path::new("/sys/fs/cgroup").join(path);
    let mut least: Option<u64> = None;
    while folder.starts_with("/sys/fs/cgroup") {
        let number = |name: &str| read_to_string(folder.join(name)).ok()?.trim().parse::<u64>().ok();
        if let (Some(limit), Some(current)) = (number("memory.max"), number("memory.current")) {
            let free = limit.saturating_sub(current);
            least = Some(least.map_or(free, |n| n.min(free)));
        }
        folder.pop();
    }
    least
}

fn address_space() -> Option<u64> {
    let limits = read_to_string("/proc/self/limits").ok()?;
    let line = limits.lines().find_map(|line| line.strip_prefix("Max address space"))?;
    let limit: u64 = line.split_whitespace().next()?.parse().ok()?;
    let used = kibibytes(&read_to_string("/proc/self/status").ok()?, "VmSize:")?;
    Some(limit.saturating_sub(used))
}

/// The number behind `key` in a table whose sizes are in kB.
fn kibibytes(table: &str, key: &str) -> Option<u64> {
    let line = table.lines().find_map(|line| line.strip_prefix(key))?;
    line.split_whitespace().next()?.parse::<u64>().ok()?.checked_mul(1024)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_are_read_from_tables() {
        assert_eq!(kibibytes("MemTotal: 9 kB\nMemAvailable:    3 kB\n", "MemAvailable:"), Some(3072));
        assert_eq!(kibibytes("MemTotal: 9 kB\n", "MemAvailable:"), None);
    }

    #[cfg(target_os = "linux")]
    #[test]
    fn linux_tells() {
        assert!(free_memory().is_some_and(|n| n > 1 << 20));
    }
}
