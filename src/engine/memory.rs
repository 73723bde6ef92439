//! How much memory there is, and how much was taken.

/// The memory of this machine, or of the container when that allows less, in bytes.
pub fn memory_at_hand() -> usize {
    let read = |path: &str| std::fs::read_to_string(path).ok();
    let number = |text: String| text.trim().parse::<usize>().ok();
    let kibibytes =
        |text: String| text.lines().find_map(|line| line.strip_prefix("MemTotal:")?.trim().strip_suffix(" kB")?.parse::<usize>().ok());
    let machine = read("/proc/meminfo").and_then(kibibytes).map(|kib| kib * 1024);
    // Control groups, version 2 and version 1; without a limit the first says `max` and the second a huge number.
    let container = ["/sys/fs/cgroup/memory.max", "/sys/fs/cgroup/memory/memory.limit_in_bytes"]
        .into_iter()
        .filter_map(|path| read(path).and_then(number))
        .min();
    machine.into_iter().chain(container).min().unwrap_or(2 * 1024 * 1024 * 1024)
}

/// The most memory that this process has had so far, where the system tells.
pub fn peak_memory() -> Option<u64> {
    let status = std::fs::read_to_string("/proc/self/status").ok()?;
    let kibibytes: u64 = status.lines().find_map(|line| line.strip_prefix("VmHWM:")?.trim().strip_suffix(" kB")?.parse().ok())?;
    Some(kibibytes * 1024)
}
