//! NVMe's own ways to forget (base specification 2.0: Sanitize, section 5.24;
//! Format NVM, section 5.14; the log page of a sanitise operation, 5.16.1.22).

use std::fs::File;
use std::io;
use std::time::Duration;

use model::agent::AgentFailure;
use model::machine::SanitiseMethod;

use super::Span;
use crate::kernel::nvme::{Admin, admin, namespace};

const IDENTIFY: u8 = 0x06;
const GET_LOG: u8 = 0x02;
const FORMAT: u8 = 0x80;
const SANITIZE: u8 = 0x84;
const EVERY: u32 = u32::MAX;
/// Format may erase every block before it answers.
const FORMAT_TIME_MS: u32 = 4 * 3600 * 1000;
const SHORT_MS: u32 = 30_000;
/// How long a sanitise operation may take: the largest disks take hours.
const SANITISE_POLLS: u32 = 12 * 3600;

/// What the controller says that it can do.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
struct Abilities {
    sanitise_crypto: bool,
    sanitise_block: bool,
    format: bool,
    format_crypto: bool,
}

impl Abilities {
    /// From the 4096 bytes of Identify Controller.
    fn of(identity: &[u8; 4096]) -> Self {
        Self {
            sanitise_crypto: identity[328] & 1 != 0,
            sanitise_block: identity[328] & 2 != 0,
            format: identity[256] & 2 != 0,
            format_crypto: identity[524] & 4 != 0,
        }
    }
}

/// Purges the disk by the best that it has and that is wanted; `None` when it has nothing.
pub fn purge(
    disk: &File,
    wanted: SanitiseMethod,
    span: &Span<'_>,
) -> Result<Option<SanitiseMethod>, AgentFailure> {
    let mut identity = [0; 4096];
    let identify = Admin { opcode: IDENTIFY, namespace: 0, cdw10: 1, timeout_ms: SHORT_MS };
    if let Err(error) = admin(disk, identify, &mut identity) {
        crate::say!("the disk does not identify itself as NVMe: {error}");
        return Ok(None);
    }
    let can = Abilities::of(&identity);
    let crypto = wanted == SanitiseMethod::CryptoErase;
    // Sanitize action (bits 2:0 of double word 10): 4 is crypto erase, 2 is block erase.
    // Secure erase setting of Format (bits 11:9): 2 is cryptographic, 1 is user data.
    let ladder: [(bool, SanitiseMethod, Way); 4] = [
        (crypto && can.sanitise_crypto, SanitiseMethod::CryptoErase, Way::Sanitise(4)),
        (crypto && can.format && can.format_crypto, SanitiseMethod::CryptoErase, Way::Format(2)),
        (can.sanitise_block, SanitiseMethod::BlockErase, Way::Sanitise(2)),
        (can.format, SanitiseMethod::BlockErase, Way::Format(1)),
    ];
    for (possible, method, way) in ladder {
        if !possible {
            continue;
        }
        span.at("erasing by the device", 0)?;
        let done = match way {
            Way::Sanitise(action) => sanitise(disk, action, span)?,
            Way::Format(setting) => format(disk, setting),
        };
        match done {
            Ok(()) => return Ok(Some(method)),
            Err(error) => crate::say!("the disk refuses {way:?}: {error}"),
        }
    }
    Ok(None)
}

#[derive(Clone, Copy, Debug)]
enum Way {
    Sanitise(u32),
    Format(u32),
}

/// Starts a sanitise operation and waits for its end. It goes on by itself even over a power loss.
#[expect(
    clippy::disallowed_methods,
    reason = "a thread of its own asks the disk, which tells nothing by itself"
)]
fn sanitise(disk: &File, action: u32, span: &Span<'_>) -> Result<io::Result<()>, AgentFailure> {
    let start = Admin { opcode: SANITIZE, namespace: 0, cdw10: action, timeout_ms: SHORT_MS };
    if let Err(error) = admin(disk, start, &mut []) {
        return Ok(Err(error));
    }
    for _ in 0..SANITISE_POLLS {
        span.at("the disk sanitises itself", 0)?;
        let mut log = [0; 512];
        // Length in double words less one, above the page's number.
        let number = (512 / 4 - 1) << 16 | 0x81;
        let read = Admin { opcode: GET_LOG, namespace: EVERY, cdw10: number, timeout_ms: SHORT_MS };
        if let Err(error) = admin(disk, read, &mut log) {
            return Ok(Err(error));
        }
        match log[2] & 7 {
            1 | 4 => return Ok(Ok(())),
            2 => std::thread::sleep(Duration::from_secs(1)),
            other => {
                let text = format!("the sanitise operation ended in state {other}");
                return Ok(Err(io::Error::other(text)));
            }
        }
    }
    Ok(Err(io::Error::from(io::ErrorKind::TimedOut)))
}

/// Formats the namespace in the layout that it has.
fn format(disk: &File, setting: u32) -> io::Result<()> {
    let namespace = namespace(disk)?;
    let mut identity = [0; 4096];
    let identify = Admin { opcode: IDENTIFY, namespace, cdw10: 0, timeout_ms: SHORT_MS };
    admin(disk, identify, &mut identity)?;
    // Bits 3:0 are the layout, bit 4 how metadata goes: both as they are (section 4.1.5.1).
    let layout = u32::from(identity[26] & 0x1f);
    let cdw10 = setting << 9 | layout;
    admin(disk, Admin { opcode: FORMAT, namespace, cdw10, timeout_ms: FORMAT_TIME_MS }, &mut [])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn abilities_are_read_from_their_places() {
        let mut identity = [0; 4096];
        assert_eq!(Abilities::of(&identity), Abilities::default());
        identity[328] = 1;
        identity[256] = 2;
        identity[524] = 4;
        let can = Abilities::of(&identity);
        assert!(can.sanitise_crypto && !can.sanitise_block && can.format && can.format_crypto);
    }
}
