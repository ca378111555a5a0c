//! `bedplate machine console`: what a machine writes on its serial line. History
//! first; with `--follow` what comes.
//!
//! What a machine writes is a stranger's text: on a terminal, whatever could do
//! more than put letters on the screen is taken out. `--raw` lets it through.

use std::io::Write as _;

use clap::Args;
use futures_util::{StreamExt as _, pin_mut};

use crate::Failure;
use crate::session::Session;

/// Which machine.
#[derive(Args, Debug)]
#[command(
    after_help = "Examples:\n  bedplate machine console m1\n  bedplate machine console m1 --follow"
)]
pub struct Arguments {
    /// Which machine
    machine: String,
    /// Go on with what comes, until Ctrl-C
    #[arg(long, short)]
    follow: bool,
    /// Every byte as it is, also on a terminal
    #[arg(long)]
    raw: bool,
}

/// Copies the console to standard output.
pub async fn run(session: &Session, arguments: Arguments) -> Result<(), Failure> {
    let stream = session.client()?.console(&arguments.machine, arguments.follow).await?;
    pin_mut!(stream);
    let mut out = session.terminal.out.clone();
    let mut harmless = Harmless::default();
    let filtered = session.terminal.width.is_some() && !arguments.raw;
    while let Some(chunk) = stream.next().await {
        let chunk = chunk?;
        match filtered {
            true => out.write_all(&harmless.take(&chunk))?,
            false => out.write_all(&chunk)?,
        }
        out.flush()?;
    }
    Ok(())
}

/// Takes escape sequences and control characters out of a stream (ECMA-48).
#[derive(Debug, Default)]
pub struct Harmless {
    state: State,
}

#[derive(Clone, Copy, Debug, Default, PartialEq)]
enum State {
    #[default]
    Text,
    /// After ESC.
    Escape,
    /// In a control sequence: it ends with a byte from @ to ~.
    Sequence,
    /// In a string that ends with BEL or ST.
    Text7,
}

impl Harmless {
    /// The harmless part of the next bytes. Line breaks, tabs and backspaces stay.
    pub fn take(&mut self, bytes: &[u8]) -> Vec<u8> {
        let mut kept = Vec::with_capacity(bytes.len());
        for byte in bytes {
            self.state = match (self.state, *byte) {
                (State::Text7, 7) => State::Text,
                (_, 0x1b) => State::Escape,
                (State::Text, byte) => {
                    if byte >= 0x20 && byte != 0x7f || matches!(byte, b'\n' | b'\r' | b'\t' | 8) {
                        kept.push(byte);
                    }
                    State::Text
                }
                (State::Escape, b'[') => State::Sequence,
                (State::Escape, b']' | b'P' | b'X' | b'^' | b'_') => State::Text7,
                // Intermediate bytes; the final one comes.
                (State::Escape, 0x20..=0x2f) => State::Escape,
                (State::Escape, _) => State::Text,
                (State::Sequence, 0x40..=0x7e) => State::Text,
                // Broken off by a line break: a sequence has none.
                (State::Sequence | State::Text7, b'\n') => {
                    kept.push(b'\n');
                    State::Text
                }
                (state, _) => state,
            };
        }
        kept
    }
}
