//! Which machines are well, and what is done about those that are not. Facts go in with their
//! time ([`Fact`]), decisions come out ([`Decision`]): no I/O, no clock, no thread. The same
//! facts give the same decisions and the same [`State`], byte for byte, so that a record of
//! facts can be replayed and a simulation is the real thing.
//!
//! What costs, costs by events: a machine that is well costs sixteen bytes and nothing else.
//! Its rack's relay counts its heartbeats, and speaks only of those it misses.
//!
//! Read in this order: [`fact`] (what comes in and goes out), [`rules`] (which signals mean
//! what: data, not code), [`state`], [`quiet`] (a machine that is not heard), [`domains`]
//! (many that are not heard are one case), [`signals`], [`case`], then [`crate::repair`].

pub mod case;
pub mod domains;
pub mod fact;
pub mod quiet;
pub mod rules;
pub mod settings;
pub mod signals;
pub mod state;

use model::Timestamp;

pub use case::{Case, CaseNumber, Ending, Entry, Stage, Subject};
pub use fact::{BmcSays, Decision, Fact, Load, Outcome};
pub use rules::Rules;
pub use settings::{Policy, Settings};
pub use state::{Row, State, Verdict};

use crate::budget::Budget;
use crate::placement::Place;

/// The engine: what it was told to be, and what it knows.
#[derive(Clone, Debug)]
pub struct Health {
    /// How patient it is.
    pub settings: Settings,
    /// What signals mean.
    pub rules: Rules,
    /// What is known: all that must be kept.
    pub state: State,
}

/// One step of the engine, with everything it may look at.
pub(crate) struct Turn<'a> {
    pub settings: &'a Settings,
    pub rules: &'a Rules,
    pub state: &'a mut State,
    pub budget: &'a mut Budget,
    pub now: Timestamp,
    pub out: &'a mut Vec<Decision>,
}

impl Health {
    /// An engine that knows no machine yet. The seed decides what is tried where several
    /// repairs look equally good.
    pub fn new(settings: Settings, rules: Rules, seed: u64) -> Self {
        Self { settings, rules, state: State::new(seed) }
    }

    /// A machine joins, well until something else is heard. Its number is the next one.
    pub fn join(&mut self, place: Place, kind: u16, budget: &mut Budget) -> u32 {
        budget.join(&place);
        self.state.join(place, kind)
    }

    /// Takes one fact in. What is to be done about it is added to `out`.
    pub fn step(
        &mut self,
        now: Timestamp,
        fact: &Fact,
        budget: &mut Budget,
        out: &mut Vec<Decision>,
    ) {
        let Self { settings, rules, state } = self;
        let mut turn = Turn { settings, rules, state, budget, now, out };
        turn.take(fact);
    }

    /// When the engine wants to be given [`Fact::Time`], at the latest.
    pub fn next_deadline(&self) -> Option<Timestamp> {
        self.state.timers.first().map(|(at, _)| *at)
    }
}

impl Turn<'_> {
    fn take(&mut self, fact: &Fact) {
        match fact {
            Fact::Quiet { machine, since } => self.quiet(*machine, *since),
            Fact::Heard { machine, boot } => self.heard(*machine, *boot),
            Fact::Neighbour { machine, answered } => self.neighbour(*machine, *answered),
            Fact::Bmc { machine, says } => self.bmc(*machine, *says),
            Fact::RackQuiet { rack, since } => self.rack_quiet(*rack, *since),
            Fact::RackHeard { rack } => self.rack_heard(*rack),
            Fact::RackMember { rack, answered, says } => self.member(*rack, *answered, *says),
            Fact::Signal { machine, source, name, value, text } => {
                self.signal(*machine, *source, name, *value, text);
            }
            Fact::Load { machine, load } => self.state.row(*machine).load = *load,
            Fact::Ended { case, action, outcome } => self.ended(*case, *action, *outcome),
            Fact::Returned { case } => self.returned(*case),
            Fact::Time => self.timers(),
        }
    }

    /// Carries out all that is due.
    fn timers(&mut self) {
        while let Some((at, timer)) = self.state.timers.first().copied() {
            if at > self.now {
                break;
            }
            self.state.timers.pop_first();
            match timer {
                state::Timer::Quiet(machine) => self.quiet_due(machine),
                state::Timer::Rack(rack) => self.rack_due(rack),
                state::Timer::Case(case) => self.case_due(case),
            }
        }
    }
}
