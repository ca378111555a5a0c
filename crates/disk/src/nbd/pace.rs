//! When to look at a socket again.
//!
//! A client with many requests under way sends them one by one, and a server that is
//! woken by each spends more on being woken than on serving. Not looking for some
//! microseconds lets requests gather: measured with fio over a Unix socket at depth
//! 32, holding for 20 to 50 µs nearly doubles the requests for each second of processor
//! time, and the client, which is woken less too, gets as many or more of them done.
//!
//! A client with one request under way would only lose by that. So it is tried out: now
//! and then one look is held back, and only if enough came meanwhile it goes on.

use volume::Nanos;

/// How long a look is held back.
const HOLD: Nanos = Nanos(50_000);
/// It is worth it if at least so many requests came.
const WORTH: usize = 4;
/// Requests until it is tried again, after it was worth it.
const SOON: u32 = 32;
/// Requests until it is tried first.
const FIRST: u32 = 128;
/// Requests between attempts that have failed again and again.
const LAST: u32 = 8192;

/// The pace of one connection.
#[derive(Clone, Copy, Debug)]
pub struct Pace {
    held: bool,
    /// Requests since a look was last held back.
    prompt: u32,
    /// Requests until that is tried again.
    patience: u32,
}

impl Default for Pace {
    fn default() -> Self {
        Self { held: false, prompt: 0, patience: FIRST }
    }
}

impl Pace {
    /// So many requests came with one look at the socket: how long not to look at it
    /// now. 0: wait for it as usual.
    #[inline]
    pub fn after(&mut self, requests: usize) -> Nanos {
        if self.held {
            if requests >= WORTH {
                self.patience = SOON;
                return HOLD;
            }
            *self = Self { held: false, prompt: 0, patience: (self.patience * 2).min(LAST) };
        }
        self.prompt = self.prompt.saturating_add(u32::try_from(requests).unwrap_or(u32::MAX));
        self.held = self.prompt >= self.patience;
        if self.held { HOLD } else { Nanos(0) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_client_with_one_request_is_hardly_ever_held() {
        let mut pace = Pace::default();
        let held = (0..100_000).filter(|_| pace.after(1) > Nanos(0)).count();
        assert!((1..25).contains(&held), "{held}");
    }

    #[test]
    fn a_client_with_many_is_held_until_it_has_few() {
        let mut pace = Pace::default();
        let tried = (0..FIRST).position(|_| pace.after(1) > Nanos(0));
        assert_eq!(tried, Some(FIRST as usize - 1));
        assert!((0..1000).all(|_| pace.after(20) == HOLD));
        assert_eq!(pace.after(3), Nanos(0));
        assert_eq!(pace.after(20), Nanos(0));
    }
}
