//! How many machines may be taken out of service on purpose, at once and in an hour, in each
//! fault domain and in the fleet. Repairs and rollouts share one budget: what one of them
//! takes, the other has not. So no two loops that are each careful are careless together.
//!
//! Limits at once count what is out *by our doing*. The limit in an hour is a leaky bucket
//! (the generic cell rate algorithm: one time a domain), so that a loop which takes a machine,
//! gives it back and takes the next cannot walk through a rack either.

use std::collections::BTreeMap;

use model::{Duration, Timestamp};
use serde::{Deserialize, Serialize};
use thiserror::Error;

use crate::placement::{Domain, Level, Place};

/// How much of one domain, or of the fleet, may be out.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Limit {
    /// Of a thousand machines, so many at once.
    pub at_once_permille: u32,
    /// So many at once however small the domain is.
    pub at_once_least: u32,
    /// Of a thousand machines, so many taken in an hour.
    pub hourly_permille: u32,
    /// So many in an hour however small the domain is.
    pub hourly_least: u32,
}

impl Limit {
    /// No limit at all.
    pub const NONE: Self = Self {
        at_once_permille: 1_000,
        at_once_least: u32::MAX,
        hourly_permille: 1_000,
        hourly_least: u32::MAX,
    };

    /// Machines of a domain of this size that may be out at once.
    pub fn at_once(&self, size: u32) -> u32 {
        permille(size, self.at_once_permille).max(self.at_once_least)
    }

    /// Machines of a domain of this size that may be taken in an hour.
    pub fn hourly(&self, size: u32) -> u32 {
        permille(size, self.hourly_permille).max(self.hourly_least)
    }
}

fn permille(size: u32, part: u32) -> u32 {
    u32::try_from(u64::from(size) * u64::from(part) / 1_000).unwrap_or(u32::MAX)
}

/// The limits of a cell.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Limits {
    /// Of the whole fleet.
    pub fleet: Limit,
    /// Of each domain of a level, in the order of [`Level::DOMAINS`].
    pub domains: [Limit; 4],
}

impl Default for Limits {
    /// One machine in a hundred of the fleet at once; of a rack one in ten, of a switch or a
    /// power feed one in twenty. Waves of updates are limited by rollouts themselves.
    fn default() -> Self {
        let limit = |at_once_permille, at_once_least, hourly_permille, hourly_least| Limit {
            at_once_permille,
            at_once_least,
            hourly_permille,
            hourly_least,
        };
        let row = limit(50, 2, 100, 4);
        Self { fleet: limit(10, 2, 20, 4), domains: [limit(100, 1, 100, 2), row, row, Limit::NONE] }
    }
}

/// What has no room left.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, Error)]
pub enum Spent {
    /// As many machines are out as may be at once.
    #[error("{out} machines of {} are out, and {most} may be", Scope(*.scope))]
    AtOnce {
        /// The domain; the fleet when absent.
        scope: Option<(Level, Domain)>,
        /// How many are out.
        out: u32,
        /// How many may be.
        most: u32,
    },
    /// As many were taken as may be in an hour.
    #[error("as many machines of {} were taken as may be in an hour; again from {until}", Scope(*.scope))]
    Hourly {
        /// The domain; the fleet when absent.
        scope: Option<(Level, Domain)>,
        /// When the next may be taken.
        until: Timestamp,
    },
}

/// A domain or the fleet, for people.
struct Scope(Option<(Level, Domain)>);

impl std::fmt::Display for Scope {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self.0 {
            None => f.write_str("the fleet"),
            Some((level, domain)) => {
                write!(f, "{} {}", format!("{level:?}").to_lowercase(), domain.0)
            }
        }
    }
}

/// The account of one domain, or of the fleet.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
struct Account {
    /// Machines that stand there.
    size: u32,
    /// Of those, how many are out by our doing.
    out: u32,
    /// When the bucket is empty again.
    drained: Timestamp,
}

const HOUR: u64 = 3_600_000_000;

impl Account {
    /// The time that one machine stays in the bucket.
    fn drip(&self, limit: &Limit) -> Duration {
        Duration::from_micros(HOUR / u64::from(limit.hourly(self.size).max(1)))
    }

    fn fits(
        &self,
        limit: &Limit,
        scope: Option<(Level, Domain)>,
        now: Timestamp,
    ) -> Result<(), Spent> {
        let most = limit.at_once(self.size);
        if self.out >= most {
            return Err(Spent::AtOnce { scope, out: self.out, most });
        }
        // The bucket holds what one hour lets out.
        let full = self.drained.max(now) + self.drip(limit);
        let hour = Duration::from_micros(HOUR);
        if full > now + hour {
            return Err(Spent::Hourly { scope, until: full - hour });
        }
        Ok(())
    }

    fn take(&mut self, limit: &Limit, now: Timestamp) {
        self.out += 1;
        self.drained = self.drained.max(now) + self.drip(limit);
    }
}

/// What is out, by domain.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Budget {
    limits: Limits,
    fleet: Account,
    domains: BTreeMap<(Level, Domain), Account>,
}

impl Budget {
    /// A budget of no machines yet.
    pub fn new(limits: Limits) -> Self {
        Self { limits, fleet: Account::default(), domains: BTreeMap::new() }
    }

    /// The limits.
    pub const fn limits(&self) -> &Limits {
        &self.limits
    }

    /// A machine joins the fleet at a place.
    pub fn join(&mut self, place: &Place) {
        self.fleet.size += 1;
        for scope in scopes(place) {
            self.domains.entry(scope).or_default().size += 1;
        }
    }

    /// A machine leaves the fleet for good. What is out is given back before.
    pub fn leave(&mut self, place: &Place) {
        assert!(self.fleet.size > 0, "a machine leaves that never joined");
        self.fleet.size -= 1;
        for scope in scopes(place) {
            let account = self.domains.get_mut(&scope).expect("it joined here");
            account.size -= 1;
        }
    }

    /// Whether one more machine of a place may be taken out now, and if not, why.
    pub fn fits(&self, place: &Place, now: Timestamp) -> Result<(), Spent> {
        self.fleet.fits(&self.limits.fleet, None, now)?;
        for (limit, scope) in self.limits.domains.iter().zip(scopes(place)) {
            let account = self.domains.get(&scope).copied().unwrap_or_default();
            account.fits(limit, Some(scope), now)?;
        }
        Ok(())
    }

    /// Takes a machine of a place out; nothing is changed when it does not fit.
    pub fn take(&mut self, place: &Place, now: Timestamp) -> Result<(), Spent> {
        self.fits(place, now)?;
        self.fleet.take(&self.limits.fleet, now);
        let limits = self.limits.domains;
        for (limit, scope) in limits.iter().zip(scopes(place)) {
            self.domains.entry(scope).or_default().take(limit, now);
        }
        Ok(())
    }

    /// A machine that was taken is in service again.
    pub fn give_back(&mut self, place: &Place) {
        assert!(self.fleet.out > 0, "a machine is given back that was not taken");
        self.fleet.out -= 1;
        for scope in scopes(place) {
            let account = self.domains.get_mut(&scope).expect("it was taken here");
            account.out -= 1;
        }
    }

    /// Machines of the fleet that are out by our doing.
    pub const fn out(&self) -> u32 {
        self.fleet.out
    }

    /// Machines of a domain that are out by our doing.
    pub fn out_of(&self, level: Level, domain: Domain) -> u32 {
        self.domains.get(&(level, domain)).map_or(0, |account| account.out)
    }

    /// Machines of the fleet.
    pub const fn size(&self) -> u32 {
        self.fleet.size
    }

    /// Machines of a domain.
    pub fn size_of(&self, level: Level, domain: Domain) -> u32 {
        self.domains.get(&(level, domain)).map_or(0, |account| account.size)
    }
}

fn scopes(place: &Place) -> impl Iterator<Item = (Level, Domain)> + use<> {
    Level::DOMAINS.into_iter().zip(place.domains)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn place(rack: u32, power: u32) -> Place {
        Place { domains: [Domain(rack), Domain(rack), Domain(power), Domain(0)] }
    }

    fn fleet(racks: u32, each: u32) -> Budget {
        let mut budget = Budget::new(Limits::default());
        for rack in 0..racks {
            (0..each).for_each(|_| budget.join(&place(rack, rack / 4)));
        }
        budget
    }

    fn at(minutes: i64) -> Timestamp {
        Timestamp::from_micros(minutes * 60_000_000)
    }

    #[test]
    fn a_rack_has_its_own_limit() {
        let mut budget = fleet(100, 20);
        budget.take(&place(0, 0), at(0)).expect("the first");
        budget.take(&place(0, 0), at(0)).expect("the second: one in ten");
        let scope = Some((Level::Rack, Domain(0)));
        let third = budget.take(&place(0, 0), at(0));
        assert_eq!(third, Err(Spent::AtOnce { scope, out: 2, most: 2 }));
        assert_eq!(
            third.expect_err("refused").to_string(),
            "2 machines of rack 0 are out, and 2 may be"
        );
        budget.take(&place(1, 0), at(0)).expect("another rack");
        budget.give_back(&place(0, 0));
        // Given back at once, and still only two an hour.
        assert!(matches!(budget.take(&place(0, 0), at(0)), Err(Spent::Hourly { .. })));
        budget.take(&place(0, 0), at(31)).expect("half an hour later one has leaked out");
    }

    #[test]
    fn what_is_refused_changes_nothing() {
        let mut budget = fleet(2, 10);
        budget.take(&place(0, 0), at(0)).expect("the first");
        let before = budget.clone();
        budget.take(&place(0, 0), at(0)).expect_err("one in ten of ten");
        assert_eq!(budget, before);
    }

    proptest! {
        /// Whatever is taken and given back, no domain has more out than it may, nor had
        /// more taken in any hour than twice what one hour lets out (a full bucket, and
        /// what leaks meanwhile).
        #[test]
        fn limits_hold(acts in prop::collection::vec((0u32..8, any::<bool>(), 0i64..20), 1..300)) {
            let mut budget = fleet(8, 30);
            let (mut now, mut out) = (0, Vec::new());
            let mut taken: Vec<(u32, i64)> = Vec::new();
            for (rack, takes, wait) in acts {
                now += wait;
                if takes {
                    if budget.take(&place(rack, rack / 4), at(now)).is_ok() {
                        out.push(rack);
                        taken.push((rack, now));
                    }
                } else if let Some(rack) = out.pop() {
                    budget.give_back(&place(rack, rack / 4));
                }
                let there = out.iter().filter(|one| **one == rack).count();
                prop_assert!(there <= 3);
                prop_assert_eq!(budget.out_of(Level::Rack, Domain(rack)) as usize, there);
                prop_assert!(budget.out() <= 2);
                let hour = taken.iter().filter(|one| one.0 == rack && one.1 > now - 60).count();
                prop_assert!(hour <= 6);
            }
        }
    }
}
