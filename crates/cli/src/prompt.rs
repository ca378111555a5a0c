//! Passwords: from a file, the environment, or typed without being seen. Never
//! from the command line: others can read it in the process list.

use std::fs::{File, OpenOptions};
use std::io::{Read as _, Write as _};
use std::path::Path;

use model::Secret;
use rustix::termios::{LocalModes, OptionalActions, Termios, tcgetattr, tcsetattr};

use crate::{Exit, Failure};

/// Where the password of a BMC may stand.
pub const BMC_PASSWORD: &str = "BEDPLATE_BMC_PASSWORD";
/// No password is longer.
const LONGEST: u64 = 4096;

/// The password of a BMC.
pub fn bmc_password(file: Option<&Path>, asks: bool, what: &str) -> Result<Secret, Failure> {
    if let Some(path) = file {
        return from_file(path);
    }
    if let Some(password) = std::env::var_os(BMC_PASSWORD) {
        let text = password.into_string();
        return text
            .map(Secret::new)
            .map_err(|_| Failure::usage(format!("{BMC_PASSWORD} is not text")));
    }
    match asks {
        true => typed(what),
        false => Err(Failure::usage("The password of the BMC is missing").next(format!(
            "Give --password-file FILE (- is standard input), or set {BMC_PASSWORD}."
        ))),
    }
}

/// The first line of a file; `-` is standard input.
fn from_file(path: &Path) -> Result<Secret, Failure> {
    let mut text = String::new();
    let read = match path == Path::new("-") {
        true => std::io::stdin().take(LONGEST).read_to_string(&mut text),
        false => File::open(path).and_then(|file| file.take(LONGEST).read_to_string(&mut text)),
    };
    read.map_err(|error| Failure::file(path, &error))?;
    Ok(Secret::new(text.lines().next().unwrap_or_default()))
}

/// A terminal that shows nothing of what is typed, until it is dropped.
struct Silent {
    tty: File,
    before: Termios,
}

impl Silent {
    fn open() -> std::io::Result<Self> {
        let tty = OpenOptions::new().read(true).write(true).open("/dev/tty")?;
        let before = tcgetattr(&tty)?;
        let mut silent = before.clone();
        // Signals too: Ctrl-C would leave the terminal silent.
        silent.local_modes -= LocalModes::ECHO | LocalModes::ICANON | LocalModes::ISIG;
        tcsetattr(&tty, OptionalActions::Now, &silent)?;
        Ok(Self { tty, before })
    }
}

impl Drop for Silent {
    fn drop(&mut self) {
        tcsetattr(&self.tty, OptionalActions::Now, &self.before).ok();
        self.tty.write_all(b"\n").ok();
    }
}

/// Asks on the terminal.
fn typed(what: &str) -> Result<Secret, Failure> {
    let mut silent = Silent::open()?;
    silent.tty.write_all(format!("{what}: ").as_bytes())?;
    let mut typed = Vec::new();
    loop {
        let mut byte = [0];
        if silent.tty.read(&mut byte)? == 0 {
            return Err(stopped());
        }
        match byte[0] {
            b'\r' | b'\n' => break,
            3 | 4 => return Err(stopped()),
            // A whole character, however many bytes it has (UTF-8).
            8 | 127 => while typed.pop().is_some_and(|byte: u8| byte & 0xc0 == 0x80) {},
            21 => typed.clear(),
            byte if (typed.len() as u64) < LONGEST => typed.push(byte),
            _ => {}
        }
    }
    let text = String::from_utf8(typed);
    text.map(Secret::new).map_err(|_| Failure::usage("The password is not text"))
}

fn stopped() -> Failure {
    Failure { exit: Exit::Interrupted, ..Failure::new("interrupted", "Nothing was done") }
}
