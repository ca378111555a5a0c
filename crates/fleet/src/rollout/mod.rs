//! Releases that go out in waves, and stop themselves on evidence.
//!
//! An engine takes facts with their times and gives decisions: no clock, no I/O, no chance.
//! Its state can be encoded and taken up again, and the same facts give the same state.
//!
//! Read in this order: [`release`] (what is rolled out, in which waves), [`fact`] (what goes
//! in and comes out), `state`, `turn` (one fact), `waves` (which machines are next), `work`
//! (what becomes of each), `look` (what came in, and what is compared with what),
//! [`evidence`] (bets for and against a release), [`gate`] and `judge` (verdicts), [`told`]
//! (evidence for people).

pub mod evidence;
pub mod fact;
pub mod gate;
mod judge;
mod logs;
mod look;
pub mod release;
mod state;
pub mod told;
mod turn;
mod waves;
mod work;

pub use evidence::About;
pub use fact::{Decision, End, Fact, Machine, RolloutId, Signal, What};
pub use gate::{Blame, Hold, Verdict};
pub use release::{Component, Extent, Hours, Policy, Release, Spec, Wave};
pub use state::{MOST_AT_ONCE, Progress, Rollouts};
pub use told::Told;
pub use turn::Refusal;
