//! How far a machine has booted, from what it says on its console.
//!
//! OVMF's release build speaks seldom but reliably: a line before it loads a boot
//! option, one before it starts it, one when it opens its own menu.

use crate::hardware::BootStage;

/// The longest line that is looked at.
const LINE_MAX: usize = 1024;

/// What is looked for, and what it means.
const SIGNS: [(&str, BootStage); 9] = [
    (">>Start HTTP Boot", BootStage::SystemHardwareInitializationComplete),
    (">>Start PXE", BootStage::SystemHardwareInitializationComplete),
    ("BdsDxe: loading ", BootStage::SystemHardwareInitializationComplete),
    ("BdsDxe: No bootable option", BootStage::SetupEntered),
    ("Standard English", BootStage::SetupEntered),
    ("BdsDxe: starting ", BootStage::OSBootStarted),
    ("EFI stub: ", BootStage::OSBootStarted),
    ("Linux version ", BootStage::OSRunning),
    ("login:", BootStage::OSRunning),
];

/// Reads a console line by line.
#[derive(Default)]
pub(crate) struct Watcher {
    line: Vec<u8>,
}

impl Watcher {
    /// Takes what was said; gives the last stage that it is a sign of.
    pub(crate) fn feed(&mut self, said: &[u8]) -> Option<BootStage> {
        let mut last = None;
        for byte in said {
            if matches!(byte, b'\n' | b'\r') {
                self.line.clear();
                continue;
            }
            if self.line.len() < LINE_MAX {
                self.line.push(*byte);
                last = self.sign().or(last);
            }
        }
        last
    }

    fn sign(&self) -> Option<BootStage> {
        let found = SIGNS.iter().find(|(sign, _)| self.line.ends_with(sign.as_bytes()));
        found.map(|(_, stage)| *stage)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_boot_is_followed_across_reads() {
        let mut watcher = Watcher::default();
        assert_eq!(watcher.feed(b"BdsDxe: loa"), None);
        let loading = Some(BootStage::SystemHardwareInitializationComplete);
        assert_eq!(watcher.feed(b"ding Boot0001 \"UEFI"), loading);
        assert_eq!(
            watcher.feed(b" disk\"\r\nBdsDxe: starting Boot0001"),
            Some(BootStage::OSBootStarted)
        );
        let kernel = b"\r\n[    0.000000] Linux version 6.1.0";
        assert_eq!(watcher.feed(kernel), Some(BootStage::OSRunning));
    }

    #[test]
    fn a_line_without_end_is_bounded() {
        let mut watcher = Watcher::default();
        assert_eq!(watcher.feed(&[b'x'; 100_000]), None);
        assert_eq!(watcher.line.len(), LINE_MAX);
    }
}
