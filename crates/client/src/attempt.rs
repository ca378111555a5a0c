//! Trying again: what is safe to repeat, after which faults, and after which pause.

use std::time::Duration;

use reqwest::header::RETRY_AFTER;
use reqwest::{Response, StatusCode};
use world::{Entropy as _, SystemEntropy};

/// Tries in all.
const TRIES: u32 = 5;
/// The first pause; each further one is twice as long.
const PAUSE: Duration = Duration::from_millis(200);
/// No pause is longer, whatever the other side asks for.
const LONGEST: Duration = Duration::from_secs(10);

/// The tries of one call.
#[derive(Default)]
pub struct Attempts {
    made: u32,
}

impl Attempts {
    /// The pause before the next try; `None` when it is not worth another.
    pub fn pause(&mut self, asked: Option<Duration>) -> Option<Duration> {
        self.made += 1;
        if self.made >= TRIES {
            return None;
        }
        let usual = PAUSE * 2_u32.pow(self.made - 1);
        // A quarter more or less, so that many clients do not come back in step.
        let spread = SystemEntropy.below(usual.as_micros() as u64 / 2);
        let usual = usual * 3 / 4 + Duration::from_micros(spread);
        Some(asked.unwrap_or(usual).min(LONGEST))
    }
}

/// Whether a status means that the same request may succeed a moment later.
pub fn passing(status: StatusCode) -> bool {
    matches!(
        status,
        StatusCode::TOO_MANY_REQUESTS
            | StatusCode::BAD_GATEWAY
            | StatusCode::SERVICE_UNAVAILABLE
            | StatusCode::GATEWAY_TIMEOUT
    )
}

/// How long the other side asks to wait (`Retry-After` in seconds).
pub fn asked(response: &Response) -> Option<Duration> {
    let text = response.headers().get(RETRY_AFTER)?.to_str().ok()?;
    text.parse().ok().map(Duration::from_secs)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pauses_grow_are_bounded_and_end() {
        let mut attempts = Attempts::default();
        let pauses: Vec<Duration> = std::iter::from_fn(|| attempts.pause(None)).collect();
        assert_eq!(pauses.len() as u32, TRIES - 1);
        assert!(pauses.windows(2).all(|two| two[0] < two[1]), "{pauses:?}");
        let patient = Attempts::default().pause(Some(Duration::from_secs(3600)));
        assert_eq!(patient, Some(LONGEST));
    }
}
