//! What a failure looks like, and how the program ends.
//!
//! There is one shape, on standard error, so that people find their way and
//! scripts can look for the code:
//!
//! ```text
//! error[conflict]: It is in a state that forbids this
//!   machine m1 is active; enroll needs one that is discovered
//!   next: Look at its state, wait for what is going on, and try again.
//! ```
//!
//! The exit status says what kind of end it was; see [`Exit`].

use client::ClientError;
use model::Problem;

use crate::human::{clean, wrap};
use crate::terminal::{Paint, Tone};

/// How the program ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Exit {
    /// It was done: 0.
    Done,
    /// It could not be done, and the error says why: 1.
    Problem,
    /// The command line makes no sense: 2.
    Usage,
    /// Work stands still until a person decides: 3.
    Attention,
    /// Ctrl-C: 130. What was asked for goes on in the control plane.
    Interrupted,
}

impl Exit {
    /// The status of the process.
    pub const fn code(self) -> u8 {
        match self {
            Exit::Done => 0,
            Exit::Problem => 1,
            Exit::Usage => 2,
            Exit::Attention => 3,
            Exit::Interrupted => 130,
        }
    }
}

/// Why a verb did not come to its end.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Failure {
    /// Stable word: an [`model::ErrorCode`] or one of the command line's own.
    pub code: String,
    /// What happened, in a few words.
    pub what: String,
    /// Why, this time; may have several lines.
    pub why: String,
    /// What to do next.
    pub next: String,
    /// How the program ends.
    pub exit: Exit,
}

impl Failure {
    /// A failure of the command line itself.
    pub fn new(code: &str, what: impl Into<String>) -> Self {
        let (why, next) = (String::new(), String::new());
        Self { code: code.to_owned(), what: what.into(), why, next, exit: Exit::Problem }
    }

    /// The command line makes no sense.
    pub fn usage(what: impl Into<String>) -> Self {
        Self { exit: Exit::Usage, ..Self::new("usage", what) }
    }

    /// A file cannot be read or written.
    pub fn file(path: &std::path::Path, error: &std::io::Error) -> Self {
        Self::new("file", format!("{} cannot be used", path.display()))
            .why(error.to_string())
            .next("Check the path and that you may read it.")
    }

    /// The same with a reason.
    pub fn why(mut self, why: impl Into<String>) -> Self {
        self.why = why.into();
        self
    }

    /// The same with a next step.
    pub fn next(mut self, next: impl Into<String>) -> Self {
        self.next = next.into();
        self
    }

    /// As it is shown on so many columns, ending with a line break. Nothing for an end
    /// that needs no words.
    pub fn render(&self, width: Option<usize>, paint: Paint) -> String {
        if self.what.is_empty() {
            return String::new();
        }
        let label = match self.exit {
            Exit::Attention => format!("attention[{}]", self.code),
            Exit::Interrupted => self.code.clone(),
            _ => format!("error[{}]", self.code),
        };
        let tone = match self.exit {
            Exit::Interrupted | Exit::Attention => Tone::Warn,
            _ => Tone::Bad,
        };
        let mut text = format!("{}: {}\n", paint.put(tone, &label), clean(&self.what));
        let room = width.unwrap_or(usize::MAX).saturating_sub(8).max(20);
        for line in self.why.lines() {
            for line in wrap(&clean(line), room) {
                text.push_str(&format!("  {line}\n"));
            }
        }
        let next = self.next.lines().flat_map(|line| wrap(&clean(line), room));
        for (place, line) in next.enumerate() {
            let label = if place == 0 { "next:" } else { "     " };
            text.push_str(&format!("  {} {line}\n", paint.put(Tone::Bold, label)));
        }
        text
    }
}

impl std::fmt::Display for Failure {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(self.render(None, Paint::plain()).trim_end())
    }
}

impl std::error::Error for Failure {}

impl From<std::io::Error> for Failure {
    /// Whoever read our output has gone (`| head`): a quiet end. Other faults are told.
    fn from(error: std::io::Error) -> Self {
        match error.kind() {
            std::io::ErrorKind::BrokenPipe => Self { exit: Exit::Done, ..Self::new("", "") },
            _ => Self::new("output", "The output cannot be written").why(error.to_string()),
        }
    }
}

impl From<Problem> for Failure {
    fn from(problem: Problem) -> Self {
        let mut why = problem.detail;
        if let Some(request) = problem.request.filter(|_| problem.status >= 500) {
            why.push_str(&format!("\nrequest {request}"));
        }
        Self::new(problem.code.name(), problem.title).why(why).next(problem.next)
    }
}

impl From<ClientError> for Failure {
    fn from(error: ClientError) -> Self {
        let next = error.next().to_owned();
        match error {
            ClientError::Problem(problem) => (*problem).into(),
            ClientError::Unreachable { url, reason } => {
                Self::new("unreachable", format!("Bedplate does not answer at {url}"))
                    .why(reason)
                    .next("Is it running? Start it with: bedplate up\nElsewhere? Say where with --url or BEDPLATE_URL.")
            }
            ClientError::Untrusted { url, reason } => untrusted(&url, &reason),
            ClientError::Interrupted { url, reason } => {
                Self::new("interrupted", format!("The connection to {url} broke off"))
                    .why(reason)
                    .next(next)
            }
            ClientError::Unexpected { url, reason } => {
                Self::new("unexpected", format!("{url} answered what is not of the API"))
                    .why(reason)
                    .next(next)
            }
            ClientError::Settings(what) => {
                Self { exit: Exit::Usage, ..Self::new("settings", what) }.next(next)
            }
            ClientError::File { path, source } => {
                Self::file(std::path::Path::new(&path), &source)
            }
        }
    }
}

/// What a refused certificate means, in words that say what to do.
fn untrusted(url: &str, reason: &str) -> Failure {
    let (what, next) = if reason.contains("NotValidYet") || reason.contains("not valid yet") {
        ("is not valid yet", "Compare the clocks of this machine and of the control plane: date -u")
    } else if reason.to_ascii_lowercase().contains("expired") {
        (
            "has expired",
            "Compare the clocks first (date -u). If they are right, restart the control plane: it renews its certificate.",
        )
    } else if reason.contains("NotValidForName") || reason.contains("not valid for name") {
        (
            "is for another name",
            "Use the name or address that it was started with; `url` in its data directory has it.",
        )
    } else {
        (
            "is not of a CA that is trusted here",
            "Give its CA with --ca or BEDPLATE_CA: the file ca/ca.pem of its data directory.",
        )
    };
    Failure::new("untrusted", format!("The certificate of {url} {what}")).why(reason).next(next)
}
