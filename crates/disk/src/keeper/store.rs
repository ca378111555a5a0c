//! What the keeper keeps: bytes and descriptors under keys. It understands none of it.

use std::collections::BTreeMap;
use std::io;
use std::os::fd::{AsFd as _, OwnedFd};

use super::wire::{Channel, Kind, Message};

/// One deposit.
#[derive(Debug)]
struct Deposit {
    bytes: Vec<u8>,
    fds: Vec<OwnedFd>,
}

/// All deposits.
#[derive(Debug, Default)]
pub struct Store {
    deposits: BTreeMap<String, Deposit>,
}

impl Store {
    /// Does what a message says. `false`: it is not about the store.
    pub fn take(&mut self, message: Message) -> Result<(), Message> {
        match message.kind {
            Kind::Put => {
                let deposit = Deposit { bytes: message.bytes, fds: message.fds };
                self.deposits.insert(message.key, deposit);
            }
            Kind::Delete => {
                self.deposits.remove(&message.key);
            }
            _ => return Err(message),
        }
        Ok(())
    }

    /// Sends everything.
    pub fn tell(&self, channel: &Channel, generation: u64) -> io::Result<()> {
        for (key, deposit) in &self.deposits {
            let fds: Vec<_> = deposit.fds.iter().map(|fd| fd.as_fd()).collect();
            channel.send(Kind::Item, key, &deposit.bytes, &fds)?;
        }
        channel.send(Kind::End, "", &generation.to_le_bytes(), &[])
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn message(kind: Kind, key: &str, bytes: &[u8]) -> Message {
        Message { kind, key: key.into(), bytes: bytes.into(), fds: Vec::new() }
    }

    #[test]
    fn the_last_deposit_counts() {
        let mut store = Store::default();
        store.take(message(Kind::Put, "a", b"1")).expect("put");
        store.take(message(Kind::Put, "b", b"2")).expect("put");
        store.take(message(Kind::Put, "a", b"3")).expect("put");
        store.take(message(Kind::Delete, "b", b"")).expect("delete");
        store.take(message(Kind::Ready, "", b"")).expect_err("not about the store");
        let (here, there) = Channel::pair().expect("pair");
        store.tell(&here, 9).expect("tell");
        let item = there.receive().expect("receive").expect("item");
        assert_eq!((item.kind, &item.key[..], &item.bytes[..]), (Kind::Item, "a", &b"3"[..]));
        let end = there.receive().expect("receive").expect("end");
        assert_eq!((end.kind, end.bytes), (Kind::End, 9_u64.to_le_bytes().to_vec()));
    }
}
