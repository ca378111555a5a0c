//! Who is at the other end of each cable: LLDP (IEEE 802.1AB). Switches speak
//! every 30 seconds, so this listens all the time, from the start.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};

use model::inventory::Neighbour;

use crate::kernel::packet;

const ETHERTYPE: u16 = 0x88cc;
/// Longest name that is kept.
const TEXT_MOST: usize = 128;
/// Largest frame that is read.
const FRAME_MOST: usize = 2048;

/// What was heard, by interface. Clones share it.
#[derive(Clone, Debug, Default)]
pub struct Heard(Arc<Mutex<BTreeMap<String, Neighbour>>>);

impl Heard {
    /// What was heard so far.
    pub fn all(&self) -> BTreeMap<String, Neighbour> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    fn heard(&self, interface: &str, neighbour: Neighbour) {
        let mut all = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let before = all.insert(interface.to_owned(), neighbour.clone());
        if before.as_ref() != Some(&neighbour) {
            crate::say!("{interface} is connected to {} port {}", neighbour.system, neighbour.port);
        }
    }
}

/// Listens on an interface for ever; returns when it cannot.
pub async fn listen(name: String, index: u32, heard: Heard) -> std::io::Result<()> {
    let socket = packet::listen(index, ETHERTYPE)?;
    let mut frame = [0; FRAME_MOST];
    loop {
        let mut ready = socket.readable().await?;
        let read = ready.try_io(|socket| {
            rustix::io::read(socket.get_ref(), &mut frame[..]).map_err(Into::into)
        });
        match read {
            Ok(Ok(length)) => {
                if let Some(neighbour) = parse(&frame[..length]) {
                    heard.heard(&name, neighbour);
                }
            }
            Ok(Err(error)) => return Err(error),
            Err(_not_ready) => {}
        }
    }
}

/// Reads a frame's payload (section 8.2: type in 7 bits, length in 9, value).
/// `None` when it names neither system nor port, or is cut off.
pub fn parse(mut frame: &[u8]) -> Option<Neighbour> {
    let (mut chassis, mut port, mut description, mut system) =
        (String::new(), String::new(), String::new(), String::new());
    while let [high, low, rest @ ..] = frame {
        let length = usize::from(high & 1) << 8 | usize::from(*low);
        let value = rest.get(..length)?;
        frame = &rest[length..];
        match high >> 1 {
            0 => break,
            1 => chassis = identity(value, 4),
            2 => port = identity(value, 3),
            4 => description = text(value),
            5 => system = text(value),
            _ => {}
        }
    }
    let neighbour = Neighbour {
        system: if system.is_empty() { chassis } else { system },
        port: if port.is_empty() { description } else { port },
    };
    (!neighbour.system.is_empty() || !neighbour.port.is_empty()).then_some(neighbour)
}

/// A chassis or port: a subtype, then a hardware address (subtype `mac`), or text.
fn identity(value: &[u8], mac: u8) -> String {
    match value {
        [kind, address @ ..] if *kind == mac && address.len() == 6 => {
            let parts: Vec<String> = address.iter().map(|byte| format!("{byte:02x}")).collect();
            parts.join(":")
        }
        [_, name @ ..] => text(name),
        [] => String::new(),
    }
}

fn text(bytes: &[u8]) -> String {
    let text = String::from_utf8_lossy(&bytes[..bytes.len().min(TEXT_MOST)]);
    text.trim_matches(|c: char| c.is_whitespace() || c == '\0').replace(char::is_control, " ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_switch_is_understood() {
        let mut frame = vec![2, 7, 4, 0x52, 0x54, 0, 1, 2, 3];
        frame.extend([4, 9, 5]);
        frame.extend(b"Eth1/1/7");
        frame.extend([6, 2, 0, 120, 10, 5]);
        frame.extend(b"leaf1");
        frame.extend([0, 0]);
        let neighbour = parse(&frame).unwrap();
        assert_eq!((neighbour.system.as_str(), neighbour.port.as_str()), ("leaf1", "Eth1/1/7"));
    }

    #[test]
    fn without_a_name_the_chassis_speaks() {
        let frame =
            [2, 7, 4, 0x52, 0x54, 0, 1, 2, 3, 4, 7, 3, 1, 2, 3, 4, 5, 6, 6, 2, 0, 120, 0, 0];
        let neighbour = parse(&frame).unwrap();
        assert_eq!(neighbour.system, "52:54:00:01:02:03");
        assert_eq!(neighbour.port, "01:02:03:04:05:06");
        assert_eq!(parse(&frame[..8]), None);
    }
}
