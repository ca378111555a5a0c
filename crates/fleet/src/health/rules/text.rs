//! Rules as text. One begins at the word `rule`; its lines follow in this order:
//!
//! ```text
//! # A fan stands still, and it gets warm.
//! rule fan-then-heat
//!   when sensor "FAN*" below 500
//!   then sensor "*Inlet*" above 42
//!   within 10m
//!   symptom heat
//!   because "a fan stands still and the machine gets warm"
//! ```
//!
//! A condition may say how often: `when kernel matches "*EDAC*CE*" 100 times in 1h`. Spans
//! are `500ms`, `30s`, `10m`, `2h`, `1d`. `*` in patterns stands for anything. `within` is
//! needed where there is a `then`.

use model::Duration;
use thiserror::Error;

use super::pattern::Pattern;
use super::{Condition, Rule, Rules, Source, Test};
use crate::repair::Symptom;

/// What is wrong with a text of rules, and where.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[error("line {line}: {wrong}")]
pub struct RuleError {
    /// Counted from 1.
    pub line: usize,
    /// What is wrong, and what would be right.
    pub wrong: String,
}

/// More rules than this are a mistake.
const RULES_MOST: usize = 1_000;
/// More conditions than this in a sequence, too.
const SEQUENCE_MOST: usize = 8;
/// Times of a condition are kept one by one.
const TIMES_MOST: u16 = 1_000;

/// A rule while its lines are read.
#[derive(Default)]
struct Draft {
    line: usize,
    name: String,
    sequence: Vec<Condition>,
    within: Option<Duration>,
    symptom: Option<Symptom>,
    reason: Option<String>,
}

/// Reads rules.
pub fn parse(text: &str) -> Result<Rules, RuleError> {
    let mut rules: Vec<Rule> = Vec::new();
    let mut draft: Option<Draft> = None;
    for (index, line) in text.lines().enumerate() {
        let at = |wrong: String| RuleError { line: index + 1, wrong };
        let words = words(line).map_err(at)?;
        let Some((first, rest)) = words.split_first() else { continue };
        if first.text == "rule" {
            if let Some(done) = draft.take() {
                rules.push(done.finish()?);
            }
            let [name] = rest else { return Err(at("write `rule NAME`".into())) };
            if rules.iter().any(|rule| rule.name == name.text) {
                return Err(at(format!("there is a rule {} already", name.text)));
            }
            if rules.len() >= RULES_MOST {
                return Err(at(format!("more than {RULES_MOST} rules")));
            }
            draft = Some(Draft { line: index + 1, name: name.text.clone(), ..Draft::default() });
            continue;
        }
        let draft = draft.as_mut().ok_or_else(|| at("begin with `rule NAME`".into()))?;
        draft.line_of(&first.text, rest).map_err(at)?;
    }
    if let Some(done) = draft {
        rules.push(done.finish()?);
    }
    Ok(Rules { rules })
}

impl Draft {
    /// One line after `rule`.
    fn line_of(&mut self, first: &str, rest: &[Word]) -> Result<(), String> {
        match (first, rest) {
            ("when", _) if !self.sequence.is_empty() => {
                Err("a rule has one `when`; what comes after it is `then`".into())
            }
            ("then", _) if self.sequence.is_empty() => Err("`when` comes before `then`".into()),
            ("when" | "then", rest) if self.sequence.len() < SEQUENCE_MOST => {
                self.sequence.push(condition(rest)?);
                Ok(())
            }
            ("then", _) => Err(format!("at most {SEQUENCE_MOST} conditions")),
            ("within", [span]) => {
                self.within = Some(duration(&span.text)?);
                Ok(())
            }
            ("symptom", [name]) => {
                let known = || Symptom::ALL.iter().map(|known| known.name()).collect::<Vec<_>>();
                let wrong =
                    || format!("no symptom {}; there are: {}", name.text, known().join(", "));
                self.symptom = Some(name.text.parse().map_err(|()| wrong())?);
                Ok(())
            }
            ("because", [reason]) if reason.quoted => {
                self.reason = Some(reason.text.clone());
                Ok(())
            }
            _ => Err(format!(
                "`{first}` makes no sense here; a rule has `when`, `then`, `within SPAN`, \
                 `symptom NAME` and `because \"WORDS\"`"
            )),
        }
    }

    fn finish(self) -> Result<Rule, RuleError> {
        let Self { line, name, sequence, within, symptom, reason } = self;
        let missing = |what: &str| RuleError { line, wrong: format!("rule {name} has no {what}") };
        if sequence.is_empty() {
            return Err(missing("`when`"));
        }
        let within = match within {
            None if sequence.len() > 1 => return Err(missing("`within`, and has a `then`")),
            within => within.unwrap_or_default(),
        };
        let symptom = symptom.ok_or_else(|| missing("`symptom`"))?;
        let reason = reason.ok_or_else(|| missing("`because`"))?;
        Ok(Rule { name, sequence, within, symptom, reason })
    }
}

/// `SOURCE matches "PATTERN"`, `SOURCE "NAME" above NUMBER`, each with `N times in SPAN`.
fn condition(words: &[Word]) -> Result<Condition, String> {
    let wrong = || {
        "write `SOURCE matches \"PATTERN\"` or `SOURCE \"NAME\" above|below NUMBER`, \
         and after it, if you like, `N times in SPAN`"
            .to_owned()
    };
    let (source, rest) = words.split_first().ok_or_else(wrong)?;
    let source = Source::ALL.iter().find(|(_, name)| *name == source.text).ok_or_else(|| {
        let known = Source::ALL.map(|(_, name)| name).join(", ");
        format!("no source {}; there are: {known}", source.text)
    })?;
    let number = |word: &Word| {
        let parsed = word.text.parse::<f64>().ok().filter(|number| number.is_finite());
        parsed.ok_or_else(|| format!("{} is no number", word.text))
    };
    let (test, rest) = match rest {
        [word, pattern, rest @ ..] if word.text == "matches" && pattern.quoted => {
            (Test::Matches(Pattern::new(&pattern.text)), rest)
        }
        [name, word, limit, rest @ ..] if word.text == "above" => {
            (Test::Above(Pattern::new(&name.text), number(limit)?), rest)
        }
        [name, word, limit, rest @ ..] if word.text == "below" => {
            (Test::Below(Pattern::new(&name.text), number(limit)?), rest)
        }
        _ => return Err(wrong()),
    };
    let (times, within) = match rest {
        [] => (1, Duration::ZERO),
        [count, times, within, span] if times.text == "times" && within.text == "in" => {
            let count = count.text.parse().ok().filter(|count| (1..=TIMES_MOST).contains(count));
            let count =
                count.ok_or_else(|| format!("a count is a number from 1 to {TIMES_MOST}"))?;
            (count, duration(&span.text)?)
        }
        _ => return Err(wrong()),
    };
    Ok(Condition { source: source.0, test, times, within })
}

fn duration(text: &str) -> Result<Duration, String> {
    let wrong = || format!("{text} is no span; write 500ms, 30s, 10m, 2h or 1d");
    let digits = text.chars().take_while(char::is_ascii_digit).count();
    let (count, unit) = text.split_at(digits);
    let micros: u64 = match unit {
        "ms" => 1_000,
        "s" => 1_000_000,
        "m" => 60_000_000,
        "h" => 3_600_000_000,
        "d" => 86_400_000_000,
        _ => return Err(wrong()),
    };
    let count: u64 = count.parse().map_err(|_| wrong())?;
    let micros = count.checked_mul(micros).filter(|micros| *micros <= 366 * 86_400_000_000);
    micros.map(Duration::from_micros).ok_or_else(wrong)
}

/// A word, or what stood between quotes.
#[derive(Debug)]
struct Word {
    text: String,
    quoted: bool,
}

/// The words of a line, without its comment.
fn words(line: &str) -> Result<Vec<Word>, String> {
    let mut words = Vec::new();
    let mut rest = line.trim_start();
    while !rest.is_empty() && !rest.starts_with('#') {
        if let Some(inside) = rest.strip_prefix('"') {
            let end = inside.find('"').ok_or("a quote is not closed")?;
            words.push(Word { text: inside[..end].to_owned(), quoted: true });
            rest = inside[end + 1..].trim_start();
        } else {
            let end = rest.find([' ', '\t', '"']).unwrap_or(rest.len());
            words.push(Word { text: rest[..end].to_owned(), quoted: false });
            rest = rest[end..].trim_start();
        }
    }
    Ok(words)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn mistakes_say_where_and_what() {
        let mistakes = [
            ("when kernel matches \"a\"", "line 1: begin with `rule NAME`"),
            ("rule a b", "line 1: write `rule NAME`"),
            ("rule a\n when kernal matches \"x\"", "line 2: no source kernal; there are: kernel"),
            ("rule a\n\n when kernel matches x", "line 3: write `SOURCE matches"),
            ("rule a\n when sensor \"T\" above warm", "line 2: warm is no number"),
            ("rule a\n when kernel matches \"x", "line 2: a quote is not closed"),
            ("rule a\n then kernel matches \"x\"", "line 2: `when` comes before"),
            ("rule a\n when kernel matches \"x\" 0 times in 1h", "line 2: a count is"),
            ("rule a\n when kernel matches \"x\" 2 times in 1y", "line 2: 1y is no span"),
            ("rule a\n when kernel matches \"x\"\n symptom tired", "line 3: no symptom tired"),
            (
                "rule a\n when kernel matches \"x\"\n symptom heat",
                "line 1: rule a has no `because`",
            ),
            ("rule a\n sometimes", "line 2: `sometimes` makes no sense"),
        ];
        for (text, wrong) in mistakes {
            let error = parse(text).expect_err(text).to_string();
            assert!(error.starts_with(wrong), "{text:?}: {error}");
        }
    }

    proptest! {
        #[test]
        fn never_panics(text in "(rule a\n)?(when|then|within|symptom|because| |\"|\n|[a-z0-9*])*") {
            drop(parse(&text));
        }
    }
}
