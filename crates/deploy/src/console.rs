//! What the machine says on its (serial) console. A person who looks at a
//! machine that does not appear in the control plane has nothing else, so every
//! step says one line, and every failure says why and what happens next.

use std::fmt;
use std::io::Write;

/// Writes one line to the console. Failure to write is ignored: there is nobody to tell.
pub fn line(text: fmt::Arguments<'_>) {
    let whole = format!("deploy: {text}\r\n");
    let mut out = std::io::stdout().lock();
    let _ = out.write_all(whole.as_bytes());
    let _ = out.flush();
}

/// One line on the console.
#[macro_export]
macro_rules! say {
    ($($text:tt)*) => { $crate::console::line(format_args!($($text)*)) };
}
