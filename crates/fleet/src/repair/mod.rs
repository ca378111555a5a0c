//! What is done about a machine that is not well. A symptom has a ladder of repairs that make
//! sense for it ([`ladder`]); which of them is tried next is decided by how often it worked for
//! this symptom on this type of hardware, and by the minutes of work that it costs
//! ([`choose`]). [`turn`] carries a case from one to the next, within the budget, one repair
//! of a machine at a time, until it is well or with a person.

pub mod action;
pub mod choose;
pub mod ladder;
pub mod symptom;
pub mod turn;

pub use action::Action;
pub use choose::Experience;
pub use symptom::Symptom;
