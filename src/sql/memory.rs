//! How much memory this process may use, and `4GiB` as people write it.
//!
//! In a container the limit of the control group counts, not the machine's memory.

use std::fs;
use std::path::Path;

/// Of the memory that there is, so much is the session's unless told otherwise.
pub const DEFAULT_SHARE: f64 = 0.6;

/// The bytes of memory that this process may use: the machine's, or its control group's limit if that is less.
/// `None` where the system does not tell.
pub fn available() -> Option<u64> {
    let machine = fs::read_to_string("/proc/meminfo").ok().and_then(|text| total_of_meminfo(&text));
    let group = group_limit(
        Path::new("/sys/fs/cgroup"),
        &fs::read_to_string("/proc/self/cgroup").unwrap_or_default(),
    );
    match (machine, group) {
        (Some(machine), Some(group)) => Some(machine.min(group)),
        (machine, group) => machine.or(group),
    }
}

/// The default limit of a session: [`DEFAULT_SHARE`] of what is [`available`], or 1 GiB where nothing is known.
pub fn default_limit() -> usize {
    available().map_or(1 << 30, |bytes| (bytes as f64 * DEFAULT_SHARE) as usize)
}

fn total_of_meminfo(text: &str) -> Option<u64> {
    let line = text.lines().find_map(|line| line.strip_prefix("MemTotal:"))?;
    let kib: u64 = line.trim().strip_suffix("kB")?.trim().parse().ok()?;
    kib.checked_mul(1024)
}

/// The least limit of the process's control group and of those above it; version 2, then version 1.
fn group_limit(root: &Path, own_groups: &str) -> Option<u64> {
    let mut least: Option<u64> = None;
    let mut take = |path: &Path| {
        // `max` stands for no limit.
        if let Some(limit) = fs::read_to_string(path).ok().and_then(|text| text.trim().parse::<u64>().ok()) {
            least = Some(least.map_or(limit, |known| known.min(limit)));
        }
    };
    take(&root.join("memory.max"));
    take(&root.join("memory/memory.limit_in_bytes"));
    if let Some(own) = own_groups.lines().find_map(|line| line.strip_prefix("0::/")) {
        let mut group = root.to_path_buf();
        for part in Path::new(own).components() {
            group.push(part);
            take(&group.join("memory.max"));
        }
    }
    least
}

/// What a memory limit as a user writes it means in bytes: `512MiB`, `4G`, `60%` of what is available, `1000000`.
/// K, M, G and T count in steps of 1024, with or without `iB` or `B`.
pub fn parse_limit(text: &str) -> Option<usize> {
    let text = text.trim();
    if let Some(percent) = text.strip_suffix('%') {
        let percent: f64 = percent.trim().parse().ok()?;
        let valid = percent > 0.0 && percent <= 100.0;
        return valid.then(|| (available().unwrap_or(1 << 30) as f64 * percent / 100.0) as usize);
    }
    let split = text.find(|letter: char| !letter.is_ascii_digit() && letter != '.').unwrap_or(text.len());
    let (number, unit) = text.split_at_checked(split)?;
    let number: f64 = number.parse().ok()?;
    let unit = unit.trim().to_ascii_lowercase();
    let factor: u64 = match unit.strip_suffix("ib").or_else(|| unit.strip_suffix('b')).unwrap_or(&unit) {
        "" => 1,
        "k" => 1 << 10,
        "m" => 1 << 20,
        "g" => 1 << 30,
        "t" => 1 << 40,
        _ => return None,
    };
    let bytes = number * factor as f64;
    (bytes >= 1.0).then_some(bytes as usize)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn limits_are_read_as_people_write_them() {
        assert_eq!(parse_limit("512MiB"), Some(512 << 20));
        assert_eq!(parse_limit("4G"), Some(4 << 30));
        assert_eq!(parse_limit("1.5 kb"), Some(1536));
        assert_eq!(parse_limit("1000000"), Some(1_000_000));
        for wrong in ["", "much", "4X", "0", "-1", "200%"] {
            assert_eq!(parse_limit(wrong), None, "{wrong}");
        }
        assert_eq!(parse_limit("50%").map(|half| half as u64), available().map(|all| all / 2));
    }

    #[test]
    fn the_machine_and_the_control_group_are_asked() {
        assert_eq!(total_of_meminfo("MemTotal:       24576 kB\nMemFree: 1 kB\n"), Some(24576 * 1024));
        let root = tempfile::tempdir().unwrap();
        fs::create_dir_all(root.path().join("user/shell")).unwrap();
        fs::write(root.path().join("memory.max"), "max\n").unwrap();
        assert_eq!(group_limit(root.path(), "0::/user/shell\n"), None);
        fs::write(root.path().join("user/memory.max"), "1073741824\n").unwrap();
        fs::write(root.path().join("user/shell/memory.max"), "2147483648\n").unwrap();
        assert_eq!(group_limit(root.path(), "0::/user/shell\n"), Some(1 << 30));
    }
}
