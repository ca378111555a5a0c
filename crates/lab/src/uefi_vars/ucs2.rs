//! Names in UCS-2, as UEFI keeps them.

/// The bytes of a name, with its NUL. Characters outside UCS-2 become `?`.
pub fn encode(name: &str) -> Vec<u8> {
    let units = name.chars().map(|c| u16::try_from(u32::from(c)).unwrap_or(u16::from(b'?')));
    units.chain([0]).flat_map(u16::to_le_bytes).collect()
}

/// The name in some bytes, and how many of them it takes with its NUL; nothing when
/// there is no NUL.
pub fn decode(bytes: &[u8]) -> Option<(String, usize)> {
    let units = bytes.chunks_exact(2).map(|pair| u16::from_le_bytes([pair[0], pair[1]]));
    let length = units.clone().position(|unit| unit == 0)?;
    let name = char::decode_utf16(units.take(length))
        .map(|c| c.unwrap_or(char::REPLACEMENT_CHARACTER))
        .collect();
    Some((name, length * 2 + 2))
}
