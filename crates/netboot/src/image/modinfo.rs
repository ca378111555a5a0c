//! Reads what a kernel module says of itself: the section `.modinfo` of an ELF file.
//!
//! The package of a kernel has no index of its modules (`depmod` makes it when the
//! package is installed), and ours is not installed. The modules themselves say
//! what they need and which devices they are for.

/// Largest section of this kind that is read.
const SECTION_BYTES_MAX: usize = 4 << 20;

/// What a module says of itself.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ModInfo {
    /// Modules that it needs, names with `_`.
    pub depends: Vec<String>,
    /// Modules that are to be loaded before it if they are there.
    pub soft: Vec<String>,
    /// Patterns of devices that it is for.
    pub aliases: Vec<String>,
}

/// Reads a module (64-bit, little-endian ELF).
///
/// # Errors
/// In words, when it is not one.
pub fn read(elf: &[u8]) -> Result<ModInfo, &'static str> {
    let section = find(elf).ok_or("it is not a 64-bit ELF file with module information")?;
    let mut info = ModInfo::default();
    for word in section.split(|byte| *byte == 0) {
        let Some((key, value)) = std::str::from_utf8(word).ok().and_then(|w| w.split_once('='))
        else {
            continue;
        };
        match key {
            "depends" => info.depends.extend(value.split(',').filter(|n| !n.is_empty()).map(name)),
            "softdep" => {
                let before = value.strip_prefix("pre:").unwrap_or("");
                let before = before.split("post:").next().unwrap_or("");
                info.soft.extend(before.split_whitespace().map(name));
            }
            "alias" => info.aliases.push(value.to_owned()),
            _ => {}
        }
    }
    Ok(info)
}

/// The name of a module as the kernel writes it: `_` for `-`.
pub fn name(name: &str) -> String {
    name.replace('-', "_")
}

/// The bytes of `.modinfo`.
fn find(elf: &[u8]) -> Option<&[u8]> {
    if !elf.starts_with(b"\x7fELF\x02\x01") {
        return None;
    }
    let table = long(elf, 0x28)?;
    let (entry, count, names) = (short(elf, 0x3a)?, short(elf, 0x3c)?, short(elf, 0x3e)?);
    let header = |index: usize| {
        let at = table.checked_add(index.checked_mul(entry)?)?;
        elf.get(at..at.checked_add(64)?)
    };
    let strings = bytes(elf, header(names)?)?;
    (0..count).find_map(|index| {
        let header = header(index)?;
        let at = usize::try_from(u32::from_le_bytes(*header.first_chunk()?)).ok()?;
        let named = strings.get(at..)?.starts_with(b".modinfo\0");
        named.then(|| bytes(elf, header)).flatten().filter(|b| b.len() <= SECTION_BYTES_MAX)
    })
}

/// The bytes of a section by its header.
fn bytes<'a>(elf: &'a [u8], header: &[u8]) -> Option<&'a [u8]> {
    let (start, length) = (long(header, 24)?, long(header, 32)?);
    elf.get(start..start.checked_add(length)?)
}

fn short(bytes: &[u8], at: usize) -> Option<usize> {
    bytes.get(at..)?.first_chunk().map(|two| usize::from(u16::from_le_bytes(*two)))
}

fn long(bytes: &[u8], at: usize) -> Option<usize> {
    usize::try_from(u64::from_le_bytes(*bytes.get(at..)?.first_chunk()?)).ok()
}
