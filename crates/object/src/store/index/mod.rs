//! The index: what the log says, in the order in which it is asked for. It follows the
//! log and can be built anew from it.

pub mod backend;
pub mod books;
pub mod kept;
pub mod keys;
pub mod tables;
pub mod turn;
pub mod uploads;
pub mod view;
