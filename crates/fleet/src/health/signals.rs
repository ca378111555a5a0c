//! Signals: sensors, logs, counters, complaints. Rules say which of them are a symptom.

use super::Turn;
use super::case::Subject;
use super::rules::{Source, Value};

impl Turn<'_> {
    /// A signal came: every rule that waits for such is asked.
    pub(super) fn signal(
        &mut self,
        machine: u32,
        source: Source,
        name: &str,
        value: f64,
        text: &str,
    ) {
        if self.state.machine(machine).is_none() {
            return;
        }
        let value = Value { source, name, value, text };
        for (index, rule) in self.rules.all().iter().enumerate() {
            let key = (machine, index as u16);
            let known = self.state.partials.remove(&key).unwrap_or_default();
            let (fired, partial) = rule.take(known, self.now, &value);
            if let Some(partial) = partial {
                self.state.partials.insert(key, partial);
            }
            if !fired {
                continue;
            }
            let why = || rule.because(&value);
            match self.state.row(machine).case {
                Some(case) => self.symptom_in_case(case, rule.symptom, why),
                None => {
                    self.open(Subject::Machine(machine), rule.symptom, why());
                }
            }
        }
    }
}
