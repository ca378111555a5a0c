//! EFI load options with a hard-drive device path (UEFI specification sections
//! 3.1.3, 10.3.5.1 and 10.3.6.4): how firmware is told "that file on that partition".

use crate::image::gpt::Partition;

/// The loader that every image has: the fallback path for x86-64 (section 3.5.1.1).
pub const FALLBACK: &str = "\\EFI\\BOOT\\BOOTX64.EFI";

/// LOAD_OPTION_ACTIVE.
const ACTIVE: u32 = 1;

/// The path list: hard drive, file, end.
pub fn path(partition: &Partition, file: &str) -> Vec<u8> {
    let mut path = vec![0x04, 0x01, 42, 0];
    path.extend(partition.number.to_le_bytes());
    path.extend(partition.first.to_le_bytes());
    path.extend((partition.last - partition.first + 1).to_le_bytes());
    path.extend(partition.guid);
    path.extend([0x02, 0x02]); // a GUID table, named by the partition's GUID
    let name: Vec<u8> = wide(file);
    path.extend([0x04, 0x04]);
    path.extend((name.len() as u16 + 4).to_le_bytes());
    path.extend(name);
    path.extend([0x7f, 0xff, 4, 0]);
    path
}

/// A whole load option (`EFI_LOAD_OPTION`) with a name for people.
pub fn load_option(description: &str, path: &[u8]) -> Vec<u8> {
    let mut option = ACTIVE.to_le_bytes().to_vec();
    option.extend((path.len() as u16).to_le_bytes());
    option.extend(wide(description));
    option.extend(path);
    option
}

/// Whether a load option (as read from the firmware) leads to this path.
pub fn leads_to(option: &[u8], path: &[u8]) -> bool {
    let Some(length) = option.get(4..6).map(|b| usize::from(u16::from_le_bytes([b[0], b[1]])))
    else {
        return false;
    };
    let after = option[6..].chunks_exact(2).position(|unit| unit == [0, 0]);
    let start = after.map(|units| 6 + (units + 1) * 2);
    start.and_then(|start| option.get(start..start + length)) == Some(path)
}

/// UTF-16 with its final zero.
fn wide(text: &str) -> Vec<u8> {
    text.encode_utf16().chain([0]).flat_map(u16::to_le_bytes).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::image::gpt::EFI_SYSTEM;

    #[test]
    fn an_option_is_found_again() {
        let partition =
            Partition { number: 15, kind: EFI_SYSTEM, guid: [7; 16], first: 2048, last: 4095 };
        let path = path(&partition, FALLBACK);
        // 42 bytes of hard drive, 4 + 2 * 23 of file, 4 of end.
        assert_eq!(path.len(), 42 + 4 + (FALLBACK.len() + 1) * 2 + 4);
        let option = load_option("Bedplate: vda", &path);
        assert!(leads_to(&option, &path));
        assert!(!leads_to(&option, &path[..path.len() - 1]));
        for cut in 0..option.len() {
            leads_to(&option[..cut], &path);
        }
    }
}
