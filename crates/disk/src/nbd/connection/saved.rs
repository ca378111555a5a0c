//! A connection on its way to a successor process: everything but its memory and its
//! socket, which go by descriptor. Bytes that were received or not yet sent, and the
//! data of what is in flight, stay where they are in the memory.

use serde::{Deserialize, Serialize};
use thiserror::Error;
use volume::Region;

use super::{Agreed, Arena, Command, Connection, Inlet, Outlet, Piece, Stage, Table};

/// The form that is written. One before and one after are understood too: fields are
/// only added, with defaults.
const VERSION: u16 = 1;

/// A connection without its memory. Its fields are its own business.
#[derive(Debug, Serialize, Deserialize)]
pub struct Saved {
    version: u16,
    memory: usize,
    agreed: Agreed,
    stage: Stage,
    retiring: bool,
    commands: Table<Command>,
    pieces: Table<Piece>,
    inlet: Inlet,
    arena: Arena,
    outlet: Outlet,
}

/// Why a saved connection cannot go on. It is closed; its client may connect again.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
pub enum RestoreError {
    /// Written by a version too far away.
    #[error("the saved connection has version {0}, which is not understood")]
    Version(u16),
    /// The memory is not the one it was saved with.
    #[error("the connection was saved with {saved} bytes of memory, and is given {given}")]
    Memory {
        /// When it was saved.
        saved: usize,
        /// Now.
        given: usize,
    },
    /// The cipher's state is not saved.
    #[error("a connection over TLS cannot be taken over")]
    Tls,
}

impl Connection {
    /// Stops here: the state, and the memory that it speaks of. Requests in flight are
    /// answered to the successor, under the same tickets.
    pub fn save(self) -> (Saved, Region) {
        let saved = Saved {
            version: VERSION,
            memory: self.memory.len(),
            agreed: self.agreed,
            stage: self.stage,
            retiring: self.retiring,
            commands: self.commands,
            pieces: self.pieces,
            inlet: self.inlet,
            arena: self.arena,
            outlet: self.outlet,
        };
        (saved, self.memory)
    }

    /// Goes on where another stopped, with the same memory, mapped anywhere.
    pub fn restore(saved: Saved, memory: Region) -> Result<Self, RestoreError> {
        if saved.version.abs_diff(VERSION) > 1 {
            return Err(RestoreError::Version(saved.version));
        }
        if saved.memory != memory.len() {
            return Err(RestoreError::Memory { saved: saved.memory, given: memory.len() });
        }
        if saved.agreed.tls {
            return Err(RestoreError::Tls);
        }
        Ok(Self {
            agreed: saved.agreed,
            memory,
            stage: saved.stage,
            retiring: saved.retiring,
            commands: saved.commands,
            pieces: saved.pieces,
            inlet: saved.inlet,
            arena: saved.arena,
            outlet: saved.outlet,
        })
    }
}
