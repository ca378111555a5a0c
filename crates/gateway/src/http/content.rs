//! The content of a request, however it is framed.

use super::chunked::{Chunked, Found};
use super::head::Broken;
use crate::step::Framing;

/// Where a request's content stands.
#[derive(Clone, Copy, Debug)]
pub struct Content {
    framed: Framed,
    /// Bytes of content that came so far.
    pub came: u64,
    ended: bool,
}

#[derive(Clone, Copy, Debug)]
enum Framed {
    Length(u64),
    Chunked(Chunked),
}

/// What a look at received bytes found.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Progress {
    /// All bytes are read, and more are needed.
    More,
    /// From the first to before the second there is content; what is before is framing.
    Some(usize, usize),
    /// The message ends after so many bytes.
    End(usize),
}

impl Content {
    /// At the beginning.
    pub fn new(framing: Framing) -> Self {
        let framed = match framing {
            Framing::None => Framed::Length(0),
            Framing::Length(length) => Framed::Length(length),
            Framing::Chunked => Framed::Chunked(Chunked::default()),
        };
        Self { framed, came: 0, ended: matches!(framed, Framed::Length(0)) }
    }

    /// Looks at bytes as they come. After [`Progress::Some`] the bytes from its second
    /// number on are looked at next.
    ///
    /// # Errors
    /// When the framing is wrong.
    pub fn read(&mut self, bytes: &[u8]) -> Result<Progress, Broken> {
        if self.ended {
            return Ok(Progress::End(0));
        }
        let progress = match &mut self.framed {
            Framed::Length(left) => {
                let taken = (bytes.len() as u64).min(*left);
                *left -= taken;
                self.ended = *left == 0;
                if taken == 0 { Progress::More } else { Progress::Some(0, taken as usize) }
            }
            Framed::Chunked(chunked) => match chunked.read(bytes)? {
                Found::Framing(_) => Progress::More,
                Found::Content(from, length) => Progress::Some(from, from + length),
                Found::End(length) => {
                    self.ended = true;
                    Progress::End(length)
                }
            },
        };
        if let Progress::Some(from, to) = progress {
            self.came += (to - from) as u64;
        }
        Ok(progress)
    }

    /// All of it came.
    pub fn ended(&self) -> bool {
        self.ended
    }

    /// How many bytes are still to come; `None` when nobody knows.
    pub fn left(&self) -> Option<u64> {
        match self.framed {
            _ if self.ended => Some(0),
            Framed::Length(left) => Some(left),
            Framed::Chunked(_) => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_length_is_counted_down() {
        let mut content = Content::new(Framing::Length(5));
        assert_eq!(content.read(b"abc"), Ok(Progress::Some(0, 3)));
        assert_eq!((content.left(), content.ended()), (Some(2), false));
        assert_eq!(content.read(b""), Ok(Progress::More));
        assert_eq!(content.read(b"deGET"), Ok(Progress::Some(0, 2)));
        assert_eq!(content.read(b"GET"), Ok(Progress::End(0)));
        assert_eq!((content.came, content.left()), (5, Some(0)));
        assert_eq!(Content::new(Framing::None).read(b"GET"), Ok(Progress::End(0)));
    }

    #[test]
    fn chunks_are_followed() {
        let mut content = Content::new(Framing::Chunked);
        let bytes = b"2\r\nab\r\n0\r\n\r\nG";
        assert_eq!(content.read(bytes), Ok(Progress::Some(3, 5)));
        assert_eq!(content.left(), None);
        assert_eq!(content.read(&bytes[5..]), Ok(Progress::End(7)));
        assert!(content.ended());
    }
}
