//! Who decides in the simulated world: the engine, with a second one beside it that is told
//! the same by way of bytes and must say the same.

use fleet::budget::{Budget, Limit, Limits};
use fleet::rollout::{Decision, Fact, Policy, Refusal, Rollouts, What};

/// Takes facts, gives decisions.
pub trait Pilot {
    /// One fact.
    fn take(&mut self, fact: &Fact) -> Vec<Decision>;

    /// A day is over; how often the second engine said something else.
    fn day(&mut self) -> u64 {
        0
    }
}

/// An engine and the budget that it shares with repairs.
#[derive(Clone, PartialEq, serde::Serialize, serde::Deserialize)]
struct Both {
    engine: Rollouts,
    budget: Budget,
}

/// The engine.
pub struct Engine {
    first: Both,
    /// Is told the same facts, each encoded and decoded; now and then it is made anew from
    /// what the first one encodes to.
    second: Both,
    mismatches: u64,
    days: u32,
    /// Facts that were refused: none should be.
    pub refused: u64,
}

/// Days between two times that the second engine is made anew.
const ANEW_DAYS: u32 = 7;

/// The limits: the usual ones for racks and feeds; of the whole fleet 2 % at once and 5 % in
/// an hour, since twenty rollouts at once want to come to an end.
fn limits() -> Limits {
    let fleet =
        Limit { at_once_permille: 20, at_once_least: 2, hourly_permille: 50, hourly_least: 4 };
    Limits { fleet, ..Limits::default() }
}

impl Default for Engine {
    fn default() -> Self {
        let both =
            || Both { engine: Rollouts::new(Policy::default()), budget: Budget::new(limits()) };
        Self { first: both(), second: both(), mismatches: 0, days: 0, refused: 0 }
    }
}

impl Both {
    fn take(&mut self, fact: &Fact) -> Result<Vec<Decision>, Refusal> {
        if let What::Joined { place, .. } = &fact.what {
            self.budget.join(place);
        }
        self.engine.apply(&mut self.budget, fact)
    }

    fn bytes(&self) -> Vec<u8> {
        postcard::to_allocvec(self).expect("a state can be encoded")
    }
}

impl Pilot for Engine {
    fn take(&mut self, fact: &Fact) -> Vec<Decision> {
        let bytes = postcard::to_allocvec(fact).expect("a fact can be encoded");
        let again: Fact = postcard::from_bytes(&bytes).expect("what was encoded a moment ago");
        let said = self.first.take(fact);
        let repeated = self.second.take(&again);
        self.mismatches += u64::from(said != repeated);
        match said {
            Ok(decisions) => decisions,
            Err(Refusal::Stage | Refusal::Over) => Vec::new(),
            Err(_) => {
                self.refused += 1;
                Vec::new()
            }
        }
    }

    fn day(&mut self) -> u64 {
        self.days += 1;
        if self.days.is_multiple_of(ANEW_DAYS) {
            let bytes = self.first.bytes();
            self.mismatches += u64::from(bytes != self.second.bytes());
            self.second = postcard::from_bytes(&bytes).expect("what was encoded a moment ago");
        }
        self.mismatches
    }
}
