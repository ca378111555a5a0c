//! Where text goes: standard output for what was asked for, standard error for
//! everything else, with what each of them can show.

use std::io::{self, IsTerminal as _, Write};
use std::os::fd::AsFd;
use std::sync::{Arc, Mutex, PoisonError};

/// The meaning of a colour. Without colours the words say the same.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Tone {
    /// Nothing special.
    #[default]
    Plain,
    /// What the eye is to find first.
    Bold,
    /// What it may skip.
    Dim,
    /// Well.
    Good,
    /// Going on.
    Moving,
    /// To be looked at.
    Warn,
    /// Wrong.
    Bad,
}

/// Puts colours on text, or does not.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Paint {
    on: bool,
}

impl Paint {
    /// With colours or without.
    pub const fn new(on: bool) -> Self {
        Self { on }
    }
    /// Without.
    pub const fn plain() -> Self {
        Self { on: false }
    }
    /// Text in a tone (ECMA-48, SGR).
    pub fn put(self, tone: Tone, text: &str) -> String {
        let code = match tone {
            Tone::Plain => return text.to_owned(),
            Tone::Bold => "1",
            Tone::Dim => "2",
            Tone::Good => "32",
            Tone::Moving => "36",
            Tone::Warn => "33",
            Tone::Bad => "31",
        };
        match self.on && !text.is_empty() {
            true => format!("\x1b[{code}m{text}\x1b[0m"),
            false => text.to_owned(),
        }
    }
}

/// A place to write to that several may hold.
#[derive(Clone)]
pub struct Sink(Arc<Mutex<dyn Write + Send>>);

impl Sink {
    /// A sink over anything that can be written to.
    pub fn new(inner: impl Write + Send + 'static) -> Self {
        Self(Arc::new(Mutex::new(inner)))
    }
}

impl Write for Sink {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).write(bytes)
    }
    fn flush(&mut self) -> io::Result<()> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).flush()
    }
}

/// Both ways out, and what they can show.
#[derive(Clone)]
pub struct Terminal {
    /// What was asked for.
    pub out: Sink,
    /// Progress, questions and errors.
    pub err: Sink,
    /// Columns of standard output; `None` when it is not a terminal.
    pub width: Option<usize>,
    /// Columns of standard error; `None` when it is not a terminal.
    pub err_width: Option<usize>,
    /// Colours of standard output.
    pub paint: Paint,
    /// Colours of standard error.
    pub err_paint: Paint,
    /// Whether lines on standard error can be drawn over.
    pub live: bool,
    /// Whether there is somebody to ask.
    pub asks: bool,
}

impl Terminal {
    /// The terminal of this process. Colours only on terminals that want them, and
    /// never with `NO_COLOR` (no-color.org).
    pub fn of_process(no_color: bool) -> Self {
        let (out, err) = (io::stdout().is_terminal(), io::stderr().is_terminal());
        let set = |name: &str| std::env::var_os(name).is_some_and(|value| !value.is_empty());
        let dumb = std::env::var_os("TERM").is_some_and(|term| term == "dumb");
        let colours = !no_color && !set("NO_COLOR") && !dumb;
        Self {
            out: Sink::new(io::stdout()),
            err: Sink::new(io::stderr()),
            width: out.then(|| columns(io::stdout())),
            err_width: err.then(|| columns(io::stderr())),
            paint: Paint::new(out && colours),
            err_paint: Paint::new(err && colours),
            live: err && !dumb,
            asks: io::stdin().is_terminal() && err,
        }
    }

    /// Two places in memory or files, as wide as said and without colours.
    pub fn plain(out: Sink, err: Sink, width: Option<usize>) -> Self {
        let paint = Paint::plain();
        Self {
            out,
            err,
            width,
            err_width: width,
            paint,
            err_paint: paint,
            live: false,
            asks: false,
        }
    }
}

/// Columns of the terminal; 80 when it would not say.
fn columns(of: impl AsFd) -> usize {
    let told = rustix::termios::tcgetwinsize(of).map(|size| size.ws_col);
    match told {
        Ok(columns @ 20..) => usize::from(columns),
        _ => 80,
    }
}
