//! Boot entries in the firmware, by efivarfs: a variable is a file whose first
//! four bytes are its attributes, and each write must be one call.

use std::fs::{File, OpenOptions};
use std::io::{self, Read as _, Write as _};
use std::path::PathBuf;

use super::device_path;
use crate::image::gpt::Partition;
use crate::settings::Roots;

/// `EFI_GLOBAL_VARIABLE`.
const GLOBAL: &str = "8be4df61-93ca-11d2-aa0d-00e098032b8c";
/// Non-volatile, of boot services and of the running system.
const ATTRIBUTES: u32 = 7;
/// Largest variable that is read.
const VARIABLE_MOST: u64 = 64 << 10;

/// The firmware's variables.
#[derive(Clone, Debug)]
pub struct Variables {
    dir: PathBuf,
}

impl Variables {
    /// `None` when the machine was not started by UEFI.
    pub fn open(roots: &Roots) -> Option<Self> {
        let dir = roots.sys("firmware/efi/efivars");
        dir.is_dir().then_some(Self { dir })
    }

    fn file(&self, name: &str) -> PathBuf {
        self.dir.join(format!("{name}-{GLOBAL}"))
    }

    /// The value without its attributes; `None` when there is none.
    fn read(&self, name: &str) -> Option<Vec<u8>> {
        let mut bytes = Vec::new();
        File::open(self.file(name)).ok()?.take(VARIABLE_MOST).read_to_end(&mut bytes).ok()?;
        bytes.get(4..).map(<[u8]>::to_vec)
    }

    fn write(&self, name: &str, value: &[u8]) -> io::Result<()> {
        let whole = [&ATTRIBUTES.to_le_bytes(), value].concat();
        let mut file =
            OpenOptions::new().write(true).create(true).truncate(false).open(self.file(name))?;
        match file.write(&whole)? {
            written if written == whole.len() => Ok(()),
            _ => Err(io::Error::from(io::ErrorKind::WriteZero)),
        }
    }

    /// Finds or makes the entry that starts the disk's own loader, and puts it first: for
    /// the next start and for all after. Returns the entry's name.
    pub fn boot_from(&self, partition: &Partition, name: &str) -> io::Result<String> {
        let path = device_path::path(partition, device_path::FALLBACK);
        let number = match self.find(&path) {
            Some(number) => number,
            None => {
                let free = (0..=u16::MAX).find(|number| !self.file(&entry(*number)).exists());
                let number = free.ok_or_else(|| io::Error::other("every boot entry is taken"))?;
                let option = device_path::load_option(&format!("Bedplate: {name}"), &path);
                self.write(&entry(number), &option)?;
                number
            }
        };
        self.write("BootNext", &number.to_le_bytes())?;
        let mut order = number.to_le_bytes().to_vec();
        for other in self.order().into_iter().filter(|other| *other != number) {
            order.extend(other.to_le_bytes());
        }
        self.write("BootOrder", &order)?;
        Ok(entry(number))
    }

    fn order(&self) -> Vec<u16> {
        let bytes = self.read("BootOrder").unwrap_or_default();
        bytes.as_chunks::<2>().0.iter().map(|number| u16::from_le_bytes(*number)).collect()
    }

    fn find(&self, path: &[u8]) -> Option<u16> {
        let entries = std::fs::read_dir(&self.dir).ok()?;
        let mut numbers: Vec<u16> = entries
            .flatten()
            .filter_map(|file| {
                let name = file.file_name().to_string_lossy().into_owned();
                let digits = name.strip_prefix("Boot")?.strip_suffix(&format!("-{GLOBAL}"))?;
                (digits.len() == 4).then(|| u16::from_str_radix(digits, 16).ok())?
            })
            .collect();
        numbers.sort_unstable();
        numbers.into_iter().find(|number| {
            self.read(&entry(*number)).is_some_and(|option| device_path::leads_to(&option, path))
        })
    }
}

fn entry(number: u16) -> String {
    format!("Boot{number:04X}")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::image::gpt::EFI_SYSTEM;

    #[test]
    fn an_entry_is_made_once_and_put_first() {
        let dir = std::env::temp_dir().join(format!("bedplate-efi-{}", std::process::id()));
        let vars = dir.join("sys/firmware/efi/efivars");
        std::fs::create_dir_all(&vars).unwrap();
        let variables = Variables::open(&Roots::new(&dir)).unwrap();
        variables.write("Boot0000", b"something else").unwrap();
        variables.write("BootOrder", &[0, 0, 9, 0]).unwrap();
        let esp = Partition { number: 1, kind: EFI_SYSTEM, guid: [9; 16], first: 34, last: 99 };
        assert_eq!(variables.boot_from(&esp, "vda").unwrap(), "Boot0001");
        assert_eq!(variables.boot_from(&esp, "vda").unwrap(), "Boot0001");
        assert_eq!(variables.order(), [1, 0, 9]);
        assert_eq!(variables.read("BootNext").unwrap(), [1, 0]);
        std::fs::remove_dir_all(&dir).unwrap();
    }
}
