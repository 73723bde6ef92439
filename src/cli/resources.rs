//! The memory limit and the threads as they are typed.

/// The most threads that a run may work on. More of them than a machine has cost memory, and time.
pub const MAX_THREADS: u16 = 256;

/// A number of threads.
pub fn thread_count(text: &str) -> Result<u16, String> {
    let count: u64 = text.parse().map_err(|_| "write a number, such as 8")?;
    match u16::try_from(count) {
        Ok(0) => Err("give it 1 at least".to_owned()),
        Ok(count) if count <= MAX_THREADS => Ok(count),
        _ => Err(format!("give it {MAX_THREADS} at most: as many as there are processors is best")),
    }
}

/// The smallest and the largest memory limit.
const MIN_MEMORY_BYTES: usize = 16 << 20;
const MAX_MEMORY_BYTES: usize = 1 << 50;

/// A size with a unit: `512MiB`, `2GB`, `1.5GiB`; without one, bytes.
pub fn memory_size(text: &str) -> Result<usize, String> {
    const WRONG: &str = "write it as 512MiB or 2GB";
    let digits = text.find(|c: char| !c.is_ascii_digit() && c != '.').unwrap_or(text.len());
    let (number, unit) = text.split_at(digits);
    let number: f64 = number.parse().map_err(|_| WRONG)?;
    let factor: f64 = match unit.trim().to_ascii_lowercase().as_str() {
        "" | "b" => 1.0,
        "kb" => 1e3,
        "mb" => 1e6,
        "gb" => 1e9,
        "kib" | "k" => 1024.0,
        "mib" | "m" => 1024.0 * 1024.0,
        "gib" | "g" => 1024.0 * 1024.0 * 1024.0,
        "tb" => 1e12,
        "tib" | "t" => 1024.0 * 1024.0 * 1024.0 * 1024.0,
        _ => return Err(WRONG.to_owned()),
    };
    #[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "a size in bytes, which saturates")]
    let bytes = (number * factor) as usize;
    match bytes {
        ..MIN_MEMORY_BYTES => Err("give it 16MiB at least".to_owned()),
        MIN_MEMORY_BYTES..=MAX_MEMORY_BYTES => Ok(bytes),
        _ => Err("give it 1024TiB at most".to_owned()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn threads_are_a_number_that_a_machine_may_have() {
        assert_eq!((thread_count("1"), thread_count("256")), (Ok(1), Ok(256)));
        let wrong = ["0", "257", "65536", "18446744073709551616", "-1", "2.5", "", "all"];
        assert!(wrong.iter().all(|text| thread_count(text).is_err()));
    }

    #[test]
    fn sizes_have_units() {
        assert_eq!(memory_size("1.5GiB"), Ok(1_610_612_736));
        assert_eq!(memory_size("512MB"), Ok(512_000_000));
        assert!(memory_size("12").is_err());
        assert!(memory_size("lots").is_err());
    }
}
