//! Recorded requests: lines of `start_days,end_days,core_units,ram_units,priority,tenant`
//! (hundredths of a core; quarters of a GiB), as the published trace of Azure's Protean is
//! laid out.

use super::demand::{Asked, size};

/// Why a recording cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum TraceError {
    /// A line is not what it should be.
    #[error("line {line} is not `start,end,core_units,ram_units,priority,tenant`: {text:?}")]
    Line {
        /// Which, from 1.
        line: usize,
        /// What stands there.
        text: String,
    },
    /// There is no request in it.
    #[error("there is no request in it")]
    Empty,
}

/// Ends beyond this are never.
const NEVER: f64 = 1e8;

/// Reads the lines of a recording; the first is its header.
pub fn read(text: &str) -> Result<Vec<Asked>, TraceError> {
    let mut asked = Vec::new();
    for (at, line) in text.lines().enumerate().skip(1) {
        let parsed = parse(line).ok_or_else(|| TraceError::Line {
            line: at + 1,
            text: line.chars().take(80).collect(),
        })?;
        asked.push(parsed);
    }
    if asked.is_empty() {
        return Err(TraceError::Empty);
    }
    asked.sort_by(|one: &Asked, two| one.start.total_cmp(&two.start));
    Ok(asked)
}

fn parse(line: &str) -> Option<Asked> {
    let mut fields = line.split(',');
    let start: f64 = fields.next()?.parse().ok()?;
    let end: f64 = fields.next()?.parse().ok()?;
    let cores: u32 = fields.next()?.parse().ok()?;
    let memory: u32 = fields.next()?.parse().ok()?;
    let priority: u8 = fields.next()?.parse().ok()?;
    let sensible = start.is_finite() && !end.is_nan() && cores <= 100_000 && memory <= 1_000_000;
    sensible.then(|| Asked {
        resources: size(cores, memory),
        start,
        end: if end > NEVER { f64::INFINITY } else { end },
        spot: priority == 1,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_are_read_and_strange_ones_named() {
        let text = "start_days,end_days,core_units,ram_units,priority,tenant\n\
                    0.5,1e9,42,7,0,77\n-3,0.25,100,14,1,78\n";
        let asked = read(text).expect("well formed");
        assert_eq!((asked[0].start, asked[0].end, asked[0].spot), (-3.0, 0.25, true));
        assert_eq!(asked[1].end, f64::INFINITY);
        assert_eq!((asked[1].resources.millicores, asked[1].resources.memory_mib), (420, 1792));
        let strange = read("header\n1,2,3\n").expect_err("too few fields");
        assert!(strange.to_string().contains("line 2"), "{strange}");
        assert!(matches!(read("header\n"), Err(TraceError::Empty)));
    }
}
