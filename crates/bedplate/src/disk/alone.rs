//! The command line of an engine, read without the tree of all verbs.
//!
//! Making that tree runs through a good part of the program and fills a good part of the
//! heap, and both stay in memory. An engine lives long, there may be many on a host, and
//! each is to be small while nothing is asked of it.

use std::ffi::OsString;
use std::path::PathBuf;

use ::disk::engine;
use anyhow::Result;
use clap::Parser;

use super::{Up, settings};

/// An engine, as a keeper starts it.
#[derive(Debug)]
pub struct Engine {
    directory: PathBuf,
    up: Up,
}

#[derive(Debug, Parser)]
#[command(disable_help_flag = true)]
struct Words {
    #[command(flatten)]
    up: Up,
}

impl Engine {
    /// Understands what [`super::again`] says, from the first word after the program. What
    /// differs from that is for the whole tree, which knows what is wrong with it.
    pub fn of(mut words: impl Iterator<Item = OsString>) -> Option<Self> {
        let (dir, directory) = (words.next()?, words.next()?);
        let verb = (words.next()?, words.next()?);
        if dir != "--dir" || verb.0 != "disk" || verb.1 != "engine" {
            return None;
        }
        let up = Words::try_parse_from(std::iter::once(verb.1).chain(words)).ok()?.up;
        Some(Self { directory: directory.into(), up })
    }

    /// Runs until the keeper has another, or none.
    pub fn run(self) -> Result<()> {
        Ok(engine::run(settings(&self.up, &self.directory)?)?)
    }
}

#[cfg(test)]
mod tests {
    use super::super::{Poll, again};
    use super::*;
    use model::Bytes;

    fn read(words: &[&str]) -> Option<Engine> {
        Engine::of(words.iter().map(OsString::from))
    }

    #[test]
    fn what_a_keeper_says_is_understood() {
        let said = Up {
            pools: vec!["/a b.img:1G".into(), "/dev/c".into()],
            memory: Some(Bytes::gib(2)),
            poll: Poll::Always,
            core: Some(3),
            user: Some("disk".into()),
            unconfined: true,
        };
        for up in [said.clone(), Up { poll: Poll::Adaptive, core: None, ..said }] {
            let words = again(&up, "/some where".as_ref()).expect("a command line");
            let engine = Engine::of(words.into_iter()).expect("its own words");
            assert_eq!(engine.directory, PathBuf::from("/some where"));
            assert_eq!(format!("{:?}", engine.up), format!("{up:?}"));
        }
    }

    #[test]
    fn all_else_is_for_the_whole_tree() {
        assert!(read(&["--dir", "/d", "disk", "engine"]).is_some());
        assert!(read(&["--dir", "/d", "disk", "up"]).is_none());
        assert!(read(&["--dir", "/d", "disk", "engine", "--help"]).is_none());
        assert!(read(&["--dir", "/d", "disk", "engine", "--verbose"]).is_none());
        assert!(read(&["disk", "engine"]).is_none());
        assert!(read(&[]).is_none());
    }
}
