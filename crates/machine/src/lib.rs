//! The life of one server as a pure state machine: a machine, what happened, and
//! the time go in; the changed machine, effects and journal entries come out.
//!
//! No I/O, no clock, no vendor: those are the callers' (`control` in production,
//! the simulator in tests), which run this same code.
//!
//! Read in this order: [`input`] (what can happen), [`plan`] (which steps lead
//! through which states), [`step`] (one file a step: how it begins, and what is
//! evidence for it), [`ladder`] (what is tried when a step fails), [`turn`] (how
//! the machine moves from step to step).

pub mod input;
pub mod ladder;
pub mod plan;
pub mod seed;
pub mod settings;
pub mod step;
pub mod turn;
pub mod verbs;

pub use input::{Input, Refusal};
pub use settings::Settings;
pub use turn::{Decision, Surroundings};

use model::machine::Machine;
use model::operation::Operation;

/// Decides what happens to a machine. The machine and its operation are changed
/// in place; on a refusal they are as they were.
pub fn decide(
    machine: &mut Machine,
    operation: &mut Option<Operation>,
    input: &Input,
    surroundings: Surroundings<'_>,
) -> Result<Decision, Refusal> {
    let mut turn = turn::Turn::new(machine.clone(), operation.clone(), surroundings);
    verbs::take(&mut turn, input)?;
    turn.check();
    let (changed, journal, decision) = turn.finish();
    *machine = changed;
    *operation = journal;
    Ok(decision)
}
