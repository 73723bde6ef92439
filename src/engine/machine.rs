//! How much memory the machine has, how much of it the control groups of this process allow, and how much the process uses.

use std::path::{Component, Path, PathBuf};

/// The memory that is assumed where the system does not say how much there is.
const UNKNOWN_BYTES: usize = 2 * 1024 * 1024 * 1024;

/// The memory in bytes of this machine, or of the container or systemd unit of this process if that is less.
pub fn memory_at_hand() -> usize {
    let read = |path: &Path| std::fs::read_to_string(path).ok();
    let kibibytes =
        |text: String| text.lines().find_map(|line| line.strip_prefix("MemTotal:")?.trim().strip_suffix(" kB")?.parse::<usize>().ok());
    let machine = read(Path::new("/proc/meminfo")).and_then(kibibytes).map(|kib| kib.saturating_mul(1024));
    let group = limit(
        &read(Path::new("/proc/self/cgroup")).unwrap_or_default(),
        &read(Path::new("/proc/self/mountinfo")).unwrap_or_default(),
        &read,
    );
    machine.into_iter().chain(group).min().unwrap_or(UNKNOWN_BYTES)
}

/// A size of this process in bytes, such as `VmRSS`; none where `/proc` does not exist.
pub fn size_of_process(name: &str) -> Option<usize> {
    let status = std::fs::read_to_string("/proc/self/status").ok()?;
    let line = status.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(':'))?;
    line.trim().strip_suffix(" kB")?.parse::<usize>().ok().map(|kibibytes| kibibytes * 1024)
}

/// The largest size of this process so far in bytes; none where `/proc` does not exist.
pub fn peak_memory() -> Option<u64> {
    size_of_process("VmHWM").map(|bytes| bytes as u64)
}

/// The smallest limit of the control groups of this process and of all groups above them. They may be of version 1 or 2, and belong to a
/// systemd unit, a pod or a container. `groups` is the content of `/proc/self/cgroup` and `mounts` that of `/proc/self/mountinfo`.
fn limit(groups: &str, mounts: &str, read: &impl Fn(&Path) -> Option<String>) -> Option<usize> {
    let of_version = |hierarchy: Hierarchy| {
        let group = groups.lines().find_map(|line| hierarchy.group(line))?;
        let mount = mounts.lines().find_map(|line| hierarchy.mount(line));
        // If the list of mounts has no such hierarchy, it is looked for in the usual folder.
        let (root, folder) = mount.unwrap_or_else(|| ("/".to_owned(), PathBuf::from(hierarchy.usual_folder())));
        levels(group, &root, &folder)
            .iter()
            .flat_map(|level| hierarchy.files().iter().map(|file| level.join(file)))
            .filter_map(|file| number(&read(&file)?))
            .min()
    };
    [Hierarchy::Unified, Hierarchy::Memory].into_iter().filter_map(of_version).min()
}

/// A hierarchy of control groups.
#[derive(Clone, Copy)]
enum Hierarchy {
    /// The single hierarchy of version 2.
    Unified,
    /// The memory hierarchy of version 1.
    Memory,
}

impl Hierarchy {
    /// The path of the group that a line of `/proc/self/cgroup` names: `0::/a/b`, or `7:memory:/a/b`.
    fn group(self, line: &str) -> Option<&str> {
        let (number, rest) = line.split_once(':')?;
        let (controllers, path) = rest.split_once(':')?;
        let is_meant = match self {
            Hierarchy::Unified => number == "0" && controllers.is_empty(),
            Hierarchy::Memory => controllers.split(',').any(|controller| controller == "memory"),
        };
        is_meant.then_some(path)
    }

    /// The group that is the root of a mount, and the folder of the mount: `36 35 98:0 /root /folder options - type source options`.
    fn mount(self, line: &str) -> Option<(String, PathBuf)> {
        let (mount, file_system) = line.split_once(" - ")?;
        let mut of_system = file_system.split(' ');
        let (kind, options) = (of_system.next()?, of_system.nth(1).unwrap_or_default());
        let is_meant = match self {
            Hierarchy::Unified => kind == "cgroup2",
            Hierarchy::Memory => kind == "cgroup" && options.split(',').any(|option| option == "memory"),
        };
        let mut fields = mount.split(' ').skip(3).map(unescaped);
        is_meant.then_some(())?;
        Some((fields.next()?, PathBuf::from(fields.next()?)))
    }

    /// The files that hold a limit. `memory.high` counts too, since a group is slowed down above it.
    fn files(self) -> &'static [&'static str] {
        match self {
            Hierarchy::Unified => &["memory.max", "memory.high"],
            Hierarchy::Memory => &["memory.limit_in_bytes"],
        }
    }

    fn usual_folder(self) -> &'static str {
        match self {
            Hierarchy::Unified => "/sys/fs/cgroup",
            Hierarchy::Memory => "/sys/fs/cgroup/memory",
        }
    }
}

/// The folders of a group and of all groups above it, as far as the mount shows them. In a container the root of the mount is often the
/// container's own group.
fn levels(group: &str, root: &str, folder: &Path) -> Vec<PathBuf> {
    let below = Path::new(group).strip_prefix(root).unwrap_or(Path::new(group));
    let parts = below.components().filter_map(|part| if let Component::Normal(name) = part { Some(name) } else { None });
    // The path of a group outside of the mount begins with `..`; only the root of the mount is left then.
    let is_within = !below.components().any(|part| part == Component::ParentDir);
    let mut levels = vec![folder.to_owned()];
    for part in parts.filter(|_| is_within) {
        let last = levels.last().map_or_else(|| folder.to_owned(), |last| last.join(part));
        levels.push(last);
    }
    levels
}

/// The limit in a file. `max` is none. The huge number that means no limit in version 1 needs no special case, since the machine has less.
fn number(text: &str) -> Option<usize> {
    text.trim().parse::<usize>().ok()
}

/// A field of the list of mounts without its escapes: spaces and some other characters are written as octal numbers there.
fn unescaped(field: &str) -> String {
    let mut parts = field.split('\\');
    let mut text = parts.next().unwrap_or_default().to_owned();
    for part in parts {
        match part.get(..3).and_then(|octal| u8::from_str_radix(octal, 8).ok()) {
            Some(byte) => {
                text.push(char::from(byte));
                text.push_str(&part[3..]);
            }
            None => {
                text.push('\\');
                text.push_str(part);
            }
        }
    }
    text
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::*;

    const UNIFIED: &str = "30 24 0:26 / /sys/fs/cgroup rw,nosuid shared:9 - cgroup2 cgroup2 rw,nsdelegate\n";
    const MIB: usize = 1024 * 1024;

    fn found(groups: &str, mounts: &str, files: &[(&str, &str)]) -> Option<usize> {
        let files: BTreeMap<PathBuf, String> = files.iter().map(|(path, text)| (PathBuf::from(path), format!("{text}\n"))).collect();
        limit(groups, mounts, &|path: &Path| files.get(path).cloned())
    }

    #[test]
    fn the_least_limit_of_any_level_counts() {
        let scope = "0::/user.slice/user-1000.slice/run-r1.scope\n";
        let at = |level: &str, file: &str| format!("/sys/fs/cgroup{level}/{file}");
        for (level, file) in [
            ("/user.slice/user-1000.slice/run-r1.scope", "memory.max"),
            ("/user.slice/user-1000.slice", "memory.max"),
            ("/user.slice", "memory.high"),
            ("", "memory.max"),
        ] {
            let limit = at(level, file);
            let files =
                [(limit.as_str(), "104857600"), ("/sys/fs/cgroup/user.slice/memory.max", "max"), ("/sys/fs/cgroup/other/memory.max", "1")];
            assert_eq!(found(scope, UNIFIED, &files), Some(100 * MIB), "{limit}");
        }
        let both = [(at("/user.slice", "memory.max"), "209715200"), (at("/user.slice/user-1000.slice", "memory.max"), "104857600")];
        assert_eq!(found(scope, UNIFIED, &both.each_ref().map(|(path, text)| (path.as_str(), *text))), Some(100 * MIB));
        assert_eq!(found(scope, UNIFIED, &[]), None);
        assert_eq!(found("", "", &[("/sys/fs/cgroup/memory.max", "1")]), None);
    }

    #[test]
    fn pods_and_containers_of_either_version_are_known() {
        let pod = "11:cpu,cpuacct:/\n7:memory:/kubepods/burstable/pod1/c1\n0::/\n";
        let whole = "41 30 0:36 / /sys/fs/cgroup/memory rw - cgroup cgroup rw,memory\n";
        let within = "41 30 0:36 /kubepods/burstable/pod1/c1 /sys/fs/cgroup/memory rw master:1 - cgroup cgroup rw,memory\n";
        let of_pod = ("/sys/fs/cgroup/memory/kubepods/burstable/pod1/memory.limit_in_bytes", "104857600");
        let unlimited = ("/sys/fs/cgroup/memory/memory.limit_in_bytes", "9223372036854771712");
        assert_eq!(found(pod, whole, &[of_pod, unlimited]), Some(100 * MIB), "the pod's limit, not the container's");
        assert_eq!(found(pod, within, &[("/sys/fs/cgroup/memory/memory.limit_in_bytes", "104857600")]), Some(100 * MIB));
        // Version 2 in a namespace of its own.
        assert_eq!(found("0::/\n", UNIFIED, &[("/sys/fs/cgroup/memory.max", "104857600")]), Some(100 * MIB));
        assert_eq!(found("0::/../other\n", UNIFIED, &[("/sys/fs/cgroup/memory.max", "104857600")]), Some(100 * MIB));
        // Both trees at once, and a mount whose path has a blank.
        let hybrid = format!("{UNIFIED}41 30 0:36 / /sys/fs/c\\040g/memory rw - cgroup cgroup rw,memory\n");
        let files = [("/sys/fs/cgroup/memory.max", "max"), ("/sys/fs/c g/memory/kubepods/memory.limit_in_bytes", "104857600")];
        assert_eq!(found(pod, &hybrid, &files), Some(100 * MIB));
    }
}
