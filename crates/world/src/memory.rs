//! What this process holds of the machine's memory, and giving back what it does not use:
//! the allocator keeps what was freed between pieces that are in use, for ever.

use std::fs;

/// Bytes of memory that this process holds; none where the system does not say.
pub fn resident() -> Option<u64> {
    let text = fs::read_to_string("/proc/self/status").ok()?;
    let line = text.lines().find_map(|line| line.strip_prefix("VmRSS:"))?;
    let kib: u64 = line.split_ascii_whitespace().next()?.parse().ok()?;
    Some(kib * 1024)
}

/// Has the allocator give back whole pages that nobody uses. It takes a few milliseconds, in
/// which others wait for memory: not for every day.
pub fn give_back() {
    #[cfg(all(target_os = "linux", target_env = "gnu"))]
    // SAFETY: it takes a number, and locks what it looks at.
    let _ = unsafe { libc::malloc_trim(0) };
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_freed_between_pieces_in_use_is_given_back() {
        let before = resident().expect("the system says");
        // Too small to be mapped one by one, and every other one stays.
        let all: Vec<Option<Box<[u8]>>> = (0..16_384).map(|_| Some(vec![1; 8192].into())).collect();
        let most = resident().expect("the system says");
        assert!(most >= before + (100 << 20), "{before} {most}");
        let kept: Vec<_> =
            all.into_iter().enumerate().filter(|(number, _)| number % 16 == 0).collect();
        give_back();
        let after = resident().expect("the system says");
        if cfg!(all(target_os = "linux", target_env = "gnu")) {
            assert!(after + (64 << 20) < most, "{before} {most} {after}");
        }
        assert_eq!(kept.len(), 1024);
    }
}
