//! What an event measures, in words for people, and whether its data is what was
//! hashed. Names and strings are read from bytes that anybody may have written:
//! they are cut short, and what cannot be shown is left out.

use x509_parser::prelude::{FromDer, X509Certificate};

use super::{Backing, Cursor, EventKind, Parsed};
use crate::digest::{Sha256Value, hex, sha256};

/// The longest text that is taken from event data, in characters.
const MAX_TEXT: usize = 120;
/// Values of variables up to this many bytes are shown.
const MAX_VALUE: usize = 4;

/// Describes an event and checks its data against its digest.
pub(super) fn describe(kind: EventKind, data: &[u8], digest: &Sha256Value) -> (String, Backing) {
    match kind {
        EventKind::SEPARATOR => (separator(data), by_hash(&[data], digest)),
        EventKind::EFI_VARIABLE_DRIVER_CONFIG
        | EventKind::EFI_VARIABLE_BOOT
        | EventKind::EFI_VARIABLE_BOOT2
        | EventKind::EFI_VARIABLE_AUTHORITY => variable(kind, data, digest),
        EventKind::EFI_BOOT_SERVICES_APPLICATION => {
            (image("boot application", data), Backing::Opaque)
        }
        EventKind::EFI_BOOT_SERVICES_DRIVER => (image("boot driver", data), Backing::Opaque),
        EventKind::EFI_RUNTIME_SERVICES_DRIVER => (image("runtime driver", data), Backing::Opaque),
        EventKind::EFI_PLATFORM_FIRMWARE_BLOB => (blob(data), Backing::Opaque),
        EventKind::EFI_PLATFORM_FIRMWARE_BLOB2 => (named_blob(data), Backing::Opaque),
        EventKind::EFI_ACTION | EventKind::ACTION => {
            let text = data.strip_suffix(&[0]).unwrap_or(data);
            (format!("action: {}", text_of(text)), by_hash(&[data, text], digest))
        }
        EventKind::S_CRTM_VERSION => {
            let version = match wide_text(data) {
                text if text.is_empty() => format!("of {} bytes", data.len()),
                text => text,
            };
            (format!("S-CRTM version {version}"), by_hash(&[data], digest))
        }
        EventKind::IPL => loader(data, digest),
        EventKind::EVENT_TAG => (tagged(data), Backing::Opaque),
        EventKind::EFI_GPT_EVENT | EventKind::EFI_GPT_EVENT2 => {
            ("partition table".into(), Backing::Opaque)
        }
        _ => (or_size(text_of(data), data), Backing::Opaque),
    }
}

/// Proven when hashing one of the forms gives the digest.
fn by_hash(forms: &[&[u8]], digest: &Sha256Value) -> Backing {
    let proven = forms.iter().any(|form| sha256(&[form]) == *digest);
    if proven { Backing::Proven } else { Backing::Differs }
}

fn separator(data: &[u8]) -> String {
    match data {
        [0, 0, 0, 0] | [0xff, 0xff, 0xff, 0xff] => "separator".into(),
        _ => format!("separator after an error ({})", hex(&data[..data.len().min(MAX_VALUE)])),
    }
}

/// `UEFI_VARIABLE_DATA`: GUID, length of the name in characters, length of the value, both.
fn variable(kind: EventKind, data: &[u8], digest: &Sha256Value) -> (String, Backing) {
    let Ok((name, value)) = variable_parts(data) else {
        return (or_size(String::new(), data), by_hash(&[data], digest));
    };
    let name = wide_text(name);
    let shown = match kind {
        EventKind::EFI_VARIABLE_AUTHORITY => match signer(value) {
            Some(signer) => format!("authority {name}: {signer}"),
            None => format!("authority {name} ({} bytes)", value.len()),
        },
        _ if value.len() <= MAX_VALUE => format!("variable {name} = {}", hex(value)),
        _ => format!("variable {name} ({} bytes)", value.len()),
    };
    // For boot variables firmware hashes the value alone.
    let backing = match kind {
        EventKind::EFI_VARIABLE_BOOT => by_hash(&[data, value], digest),
        _ => by_hash(&[data], digest),
    };
    (shown, backing)
}

fn variable_parts(data: &[u8]) -> Parsed<(&[u8], &[u8])> {
    let mut cursor = Cursor(data);
    cursor.take(16)?;
    let (name, value) = (cursor.u64()?, cursor.u64()?);
    let name = usize::try_from(name).ok().and_then(|length| length.checked_mul(2));
    let name = cursor.take(name.ok_or("it ends too early")?)?;
    let value = cursor.take(usize::try_from(value).map_err(|_| "it ends too early")?)?;
    Ok((name, value))
}

/// Who the certificate of an `EFI_SIGNATURE_DATA` is of (owner's GUID, then X.509).
fn signer(value: &[u8]) -> Option<String> {
    let (_, certificate) = value.split_at_checked(16)?;
    let (_, certificate) = X509Certificate::from_der(certificate).ok()?;
    Some(cut(certificate.subject().to_string().chars().filter(|c| !c.is_control())))
}

/// `UEFI_IMAGE_LOAD_EVENT`: address, length, link address, device path. Of the path
/// only the kind of place is told: a URI may hold a token.
fn image(what: &str, data: &[u8]) -> String {
    let Ok(path) = image_path(data) else { return what.into() };
    match place(path) {
        Some(place) => format!("{what} from {place}"),
        None => what.into(),
    }
}

fn image_path(data: &[u8]) -> Parsed<&[u8]> {
    let mut cursor = Cursor(data);
    cursor.take(24)?;
    let length = cursor.u64()?;
    cursor.take(usize::try_from(length).map_err(|_| "it ends too early")?)
}

/// The last telling node of a UEFI device path (UEFI specification, section 10.3).
fn place(path: &[u8]) -> Option<String> {
    let mut cursor = Cursor(path);
    let mut place = None;
    while let Ok([class, subclass]) = cursor.array::<2>() {
        let body = usize::from(cursor.u16().ok()?).checked_sub(4)?;
        let body = cursor.take(body).ok()?;
        match (class, subclass) {
            (0x7f, _) => break,
            (3, 24) => place = Some("the network (HTTP)".into()),
            (3, 11) if place.is_none() => place = Some("the network".into()),
            (4, 4) => place = Some(format!("file {}", wide_text(body))),
            (4, 6) => place = Some("the firmware".into()),
            _ => {}
        }
    }
    place
}

/// `UEFI_PLATFORM_FIRMWARE_BLOB`: address and length.
fn blob(data: &[u8]) -> String {
    let mut cursor = Cursor(data);
    match (cursor.u64(), cursor.u64()) {
        (Ok(base), Ok(length)) => format!("firmware volume at {base:#x}, {length:#x} bytes"),
        _ => "firmware volume".into(),
    }
}

/// `UEFI_PLATFORM_FIRMWARE_BLOB2`: description with its length, address, length.
fn named_blob(data: &[u8]) -> String {
    match data.split_first() {
        Some((length, rest)) if rest.len() >= usize::from(*length) => {
            format!("firmware volume {}", text_of(&rest[..usize::from(*length)]))
        }
        _ => "firmware volume".into(),
    }
}

/// `EV_IPL`: a boot loader's own measurement. systemd's stub measures each section
/// of a unified kernel image twice, the name (with its zero) and then the content,
/// both described by the name; and a command line that it was given as itself.
fn loader(data: &[u8], digest: &Sha256Value) -> (String, Backing) {
    let wide = wide_text(data);
    let text = if wide.is_empty() { text_of(data) } else { wide };
    let bytes = text.as_bytes();
    let named = [bytes, &[0]].concat();
    let proven = by_hash(&[data, bytes, &named], digest) == Backing::Proven;
    let shown = match (text.starts_with('.'), proven) {
        (true, true) => format!("name of section {text}"),
        (true, false) => format!("content of section {text}"),
        (false, _) => or_size(text, data),
    };
    (shown, if proven { Backing::Proven } else { Backing::Opaque })
}

/// `TCG_PCClientTaggedEvent`: number, length, data. Linux measures its load options
/// and initial RAM disk so.
fn tagged(data: &[u8]) -> String {
    let mut cursor = Cursor(data);
    let text = cursor.u32().and_then(|_| cursor.sized()).map(text_of).unwrap_or_default();
    or_size(text, data)
}

/// The text, or how many bytes there are when it is empty.
fn or_size(text: String, data: &[u8]) -> String {
    if text.is_empty() { format!("{} bytes", data.len()) } else { text }
}

/// ASCII up to the first zero; empty when anything in it is not to be shown.
fn text_of(data: &[u8]) -> String {
    let end = data.iter().position(|byte| *byte == 0).unwrap_or(data.len());
    let text = &data[..end];
    if text.iter().all(|byte| (b' '..=b'~').contains(byte)) {
        cut(text.iter().map(|byte| char::from(*byte)))
    } else {
        String::new()
    }
}

/// UTF-16 (little endian) up to the first zero; empty when it is none, or plainly
/// bytes of another kind (a lone byte at the end, controls).
fn wide_text(data: &[u8]) -> String {
    let (units, rest) = data.as_chunks::<2>();
    let units = units.iter().map(|unit| u16::from_le_bytes(*unit)).take_while(|unit| *unit != 0);
    let text: Result<String, _> = char::decode_utf16(units).take(MAX_TEXT + 1).collect();
    match text {
        Ok(text) if rest.is_empty() && text.chars().all(|c| (' '..='~').contains(&c)) => {
            cut(text.chars())
        }
        _ => String::new(),
    }
}

/// At most [`MAX_TEXT`] characters, with a mark where more were.
fn cut(mut text: impl Iterator<Item = char>) -> String {
    let mut kept: String = text.by_ref().take(MAX_TEXT).collect();
    if text.next().is_some() {
        kept.push('…');
    }
    kept
}
