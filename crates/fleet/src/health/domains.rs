//! What many machines have in common. A rack whose relay is quiet is asked about from
//! elsewhere; if nobody there answers, it is *one* case, and while that is open no machine in
//! it is repaired. The same for racks behind one switch or on one power feed that are quiet
//! together, and for the whole fleet: when much of it is quiet at once, it is more likely
//! that we are cut off. Such a brake opens on positive evidence only: its machines are heard.

use model::{Duration, Timestamp};
use serde::{Deserialize, Serialize};

use super::Turn;
use super::case::{CaseNumber, Stage, Subject};
use super::fact::{BmcSays, Decision};
use super::state::{State, Timer, Verdict};
use crate::placement::{Domain, Level};
use crate::repair::Symptom;

/// A rack.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct RackState {
    pub(super) members: Vec<u32>,
    /// While its relay is not heard.
    pub(super) doubt: Option<RackDoubt>,
    /// Whether none of its machines answered elsewhere, either.
    pub(super) quiet: bool,
    /// Machines that fell into doubt, and when.
    pub(super) lately: Vec<(u32, Timestamp)>,
}

/// A rack whose relay is not heard.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct RackDoubt {
    since: Timestamp,
    due: Timestamp,
    round: u8,
    /// Members that answer others.
    yes: u8,
    /// Members that do not, by what their BMCs say.
    running: u8,
    dark: u8,
    mute: u8,
}

/// Members that are asked about, of a quiet rack.
const ASKED: usize = 3;

impl Turn<'_> {
    /// A rack's relay is quiet.
    pub(super) fn rack_quiet(&mut self, rack: Domain, since: Timestamp) {
        let Some(row) = self.state.racks.get(&rack) else { return };
        if row.doubt.is_some() {
            return;
        }
        self.ask_rack(rack, RackDoubt { since, ..RackDoubt::default() });
    }

    /// A rack's relay is heard.
    pub(super) fn rack_heard(&mut self, rack: Domain) {
        let Some(row) = self.state.racks.get_mut(&rack) else { return };
        if let Some(doubt) = row.doubt.take() {
            self.state.timers.remove(&(doubt.due, Timer::Rack(rack)));
        }
        if std::mem::take(&mut row.quiet) {
            self.state.racks_quiet -= 1;
        }
        if let Some(case) = self.state.domain_cases.get(&Some((Level::Rack, rack))).copied() {
            self.returning(case);
        }
    }

    /// What was found out about a member of a quiet rack.
    pub(super) fn member(&mut self, rack: Domain, answered: bool, says: BmcSays) {
        let Some(row) = self.state.racks.get_mut(&rack) else { return };
        let Some(doubt) = row.doubt.as_mut() else { return };
        let count = match says {
            _ if answered => &mut doubt.yes,
            BmcSays::Running | BmcSays::Stalled => &mut doubt.running,
            BmcSays::Dark | BmcSays::Off | BmcSays::Stopped => &mut doubt.dark,
            BmcSays::Mute => &mut doubt.mute,
        };
        *count = count.saturating_add(1);
        if answered && doubt.yes == 1 {
            self.out.push(Decision::ChangeRelay { rack });
        }
    }

    /// It is time to make up our mind about a rack.
    pub(super) fn rack_due(&mut self, rack: Domain) {
        let Some(doubt) = self.state.racks.get(&rack).and_then(|row| row.doubt) else { return };
        if doubt.yes == 0 {
            self.rack_is_quiet(rack, &doubt);
        }
        let round = doubt.round.saturating_add(1);
        self.ask_rack(rack, RackDoubt { since: doubt.since, round, ..RackDoubt::default() });
    }

    fn ask_rack(&mut self, rack: Domain, doubt: RackDoubt) {
        let wait = self.settings.rack_patience.micros() << u32::from(doubt.round).min(5);
        let due = self.now + Duration::from_micros(wait);
        let row = self.state.racks.get_mut(&rack).expect("asked about racks that there are");
        // Others each time, so that three that are ill do not speak for all.
        let first = usize::from(doubt.round) * ASKED;
        let asked = ASKED.min(row.members.len());
        let members = (0..asked).map(|next| row.members[(first + next) % row.members.len()]);
        let members = members.collect();
        row.doubt = Some(RackDoubt { due, ..doubt });
        self.state.timers.insert((due, Timer::Rack(rack)));
        self.out.push(Decision::ProbeRack { rack, members });
    }

    fn rack_is_quiet(&mut self, rack: Domain, doubt: &RackDoubt) {
        let row = self.state.racks.get_mut(&rack).expect("it is in doubt");
        if !std::mem::replace(&mut row.quiet, true) {
            self.state.racks_quiet += 1;
        }
        if self.state.domain_cases.contains_key(&Some((Level::Rack, rack))) {
            return;
        }
        let symptom = match (doubt.running, doubt.dark) {
            (0, dark) if dark > doubt.mute => Symptom::RackDark,
            (running, _) if running > 0 => Symptom::RackCutOff,
            _ => Symptom::RackSilent,
        };
        let evidence = format!(
            "its relay was not heard for {}; of the members that were asked about none answers, \
             {} run by their BMCs' word, {} have no power or stopped, of {} nothing is known",
            self.now.since(doubt.since),
            doubt.running,
            doubt.dark,
            doubt.mute
        );
        self.open(Subject::Domain(Level::Rack, rack), symptom, evidence);
        let member = self.state.racks[&rack].members[0];
        for level in [Level::Switch, Level::Power] {
            self.look_at_area(level, member);
        }
        self.look_at_fleet();
    }

    /// Whether the racks of a switch or of a power feed are quiet together.
    fn look_at_area(&mut self, level: Level, member: u32) {
        let domain = domain_of(self.state, level, member);
        if self.state.domain_cases.contains_key(&Some((level, domain))) {
            return;
        }
        let (quiet, all) = racks_in(self.state, Some((level, domain)));
        if quiet >= 2 && quiet * 100 >= all * 30 {
            let evidence = format!("{quiet} of its {all} racks are quiet at once");
            self.open(Subject::Domain(level, domain), Symptom::AreaSilent, evidence);
        }
    }

    /// Whether so much is quiet at once that it is more likely us.
    fn look_at_fleet(&mut self) {
        let settings = self.settings;
        let many = |all: u32| u64::from(settings.fleet_permille) * u64::from(all) / 1_000;
        let racks = self.state.racks.len() as u32;
        let least = u64::from(settings.fleet_least);
        let quiet = u64::from(self.state.racks_quiet) >= many(racks).max(least);
        // As many machines as there are in that many racks.
        let in_doubt = self.state.lately.len() as u64;
        let machines = self.state.machines();
        let each = u64::from(machines / racks.max(1));
        let doubted = in_doubt >= many(machines).max(least * each.max(1));
        if (quiet || doubted) && !self.state.domain_cases.contains_key(&None) {
            let evidence = format!(
                "{} racks are quiet, and {in_doubt} machines were lost at once: we may be cut off",
                self.state.racks_quiet
            );
            self.open(Subject::Fleet, Symptom::FleetSilent, evidence);
        }
    }

    /// Counts machines that fall into doubt together.
    pub(super) fn count_doubt(&mut self, machine: u32, was: Verdict, is: Verdict) {
        let doubtful =
            |verdict| matches!(verdict, Verdict::Isolated | Verdict::Dead | Verdict::Unknown);
        if doubtful(was) || !doubtful(is) {
            return;
        }
        let (now, together) = (self.now, self.settings.together);
        let rack = domain_of(self.state, Level::Rack, machine);
        self.state.lately.push_back((now, machine));
        while self.state.lately.front().is_some_and(|(at, _)| now.since(*at) > together) {
            self.state.lately.pop_front();
        }
        let row = self.state.racks.get_mut(&rack).expect("machines stand in racks");
        row.lately.retain(|(other, at)| *other != machine && now.since(*at) <= together);
        row.lately.push((machine, now));
        let (count, all) = (row.lately.len() as u32, row.members.len() as u32);
        let many =
            count >= self.settings.rack_least && count * 100 >= all * self.settings.rack_percent;
        if many && !self.state.domain_cases.contains_key(&Some((Level::Rack, rack))) {
            let evidence = format!(
                "{count} of its {all} machines were lost within {together}: machines do not \
                 fail together by themselves"
            );
            self.open(Subject::Domain(Level::Rack, rack), Symptom::RackTroubled, evidence);
        }
        self.look_at_fleet();
    }

    /// The case that holds the repairs of a machine.
    pub(crate) fn holder(&self, machine: u32) -> Option<CaseNumber> {
        let cases = &self.state.domain_cases;
        if cases.is_empty() {
            return None;
        }
        let place = self.state.place(machine);
        let domains = Level::DOMAINS.into_iter().zip(place.domains).map(Some);
        std::iter::once(None).chain(domains).find_map(|scope| cases.get(&scope).copied())
    }

    /// A domain's case is due: is the domain heard again?
    pub(super) fn domain_due(&mut self, number: CaseNumber) {
        let case = &self.state.cases[&number];
        let (subject, opened, stage, person) = (case.subject, case.opened, case.stage, case.person);
        let heard = match subject {
            Subject::Domain(Level::Rack, rack) => self.rack_is_heard(rack),
            Subject::Domain(level, domain) => {
                let (quiet, all) = racks_in(self.state, Some((level, domain)));
                quiet < 2 || quiet * 100 < all * 15
            }
            Subject::Fleet => {
                let (quiet, all) = racks_in(self.state, None);
                let many = u64::from(all) * u64::from(self.settings.fleet_permille) / 2_000;
                u64::from(quiet) < many.max(2)
            }
            Subject::Machine(_) => unreachable!("a machine is no domain"),
        };
        match (heard, stage) {
            (true, Stage::Returning) => return self.close_returned(number),
            (true, _) => return self.returning(number),
            (false, _) => {}
        }
        let late = self.now.since(opened) >= self.settings.rack_person;
        if late && !person {
            self.call_person(number);
        } else {
            let stage = if person { Stage::Person } else { Stage::Watching };
            self.stand(number, stage, self.now + self.settings.look_again);
        }
    }

    fn rack_is_heard(&self, rack: Domain) -> bool {
        let row = &self.state.racks[&rack];
        let lost = |machine: &&u32| {
            let verdict = self.state.rows[**machine as usize].verdict;
            !matches!(verdict, Verdict::Alive | Verdict::Slow)
        };
        let lost = row.members.iter().filter(lost).count() as u32;
        let all = row.members.len() as u32;
        let settings = self.settings;
        row.doubt.is_none()
            && (lost < settings.rack_least || lost * 100 < all * settings.rack_percent)
    }
}

/// The domain of a level that a machine stands in.
fn domain_of(state: &State, level: Level, machine: u32) -> Domain {
    let at = Level::DOMAINS.iter().position(|known| *known == level).expect("a level of domains");
    state.place(machine).domains[at]
}

/// Of the racks of a domain, or of the fleet, how many are quiet, and how many there are.
fn racks_in(state: &State, scope: Option<(Level, Domain)>) -> (u32, u32) {
    let inside = state.racks.values().filter(|rack| {
        scope.is_none_or(|(level, domain)| domain_of(state, level, rack.members[0]) == domain)
    });
    inside.fold((0, 0), |(quiet, all), rack| (quiet + u32::from(rack.quiet), all + 1))
}
