//! Where Bedplate is, whom to trust and who asks: from flags, else from the
//! environment, else from the data directory of a `bedplate up` on this machine.
//!
//! The data directory's token is for the Bedplate of that directory. It never goes
//! to an address that was given on the command line, unless it is the same one.

use std::path::{Path, PathBuf};

use clap::{ArgAction, Args, ValueEnum};
use client::ClientSettings;
use model::Secret;

use crate::Failure;

/// Heading of the options that every verb has.
const HEADING: &str = "Options of every verb";

/// What every verb takes.
#[derive(Args, Clone, Debug, Default)]
pub struct Global {
    /// Where Bedplate is: https://host:port
    #[arg(long, global = true, env = "BEDPLATE_URL", hide_env_values = true, help_heading = HEADING)]
    pub url: Option<String>,
    /// File with the CA's certificate (PEM) to trust
    #[arg(long, global = true, value_name = "FILE", env = "BEDPLATE_CA", hide_env_values = true, help_heading = HEADING)]
    pub ca: Option<PathBuf>,
    /// Token of who asks; others can see it in the process list, so prefer the variable or the file
    #[arg(long, global = true, env = "BEDPLATE_TOKEN", hide_env_values = true, conflicts_with = "token_file", help_heading = HEADING)]
    pub token: Option<String>,
    /// File with the token
    #[arg(long, global = true, value_name = "FILE", help_heading = HEADING)]
    pub token_file: Option<PathBuf>,
    /// Data directory of a `bedplate up` on this machine [default: /var/lib/bedplate as root, else ~/.local/share/bedplate]
    #[arg(long, global = true, env = "BEDPLATE_DIR", hide_env_values = true, help_heading = HEADING)]
    pub dir: Option<PathBuf>,
    /// What is printed: tables for people, or the JSON of the API
    #[arg(long, short, global = true, value_enum, default_value_t, help_heading = HEADING)]
    pub output: Output,
    /// No colours; NO_COLOR in the environment does the same
    #[arg(long, global = true, help_heading = HEADING)]
    pub no_color: bool,
    /// Ask nothing: yes to every question
    #[arg(long, short, global = true, help_heading = HEADING)]
    pub yes: bool,
    /// This text
    #[arg(long, short, global = true, action = ArgAction::HelpShort, help_heading = HEADING)]
    pub help: Option<bool>,
}

/// What is printed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum)]
pub enum Output {
    /// For people.
    #[default]
    Table,
    /// The JSON of the API.
    Json,
}

impl Global {
    /// The data directory: `--dir` or `BEDPLATE_DIR`, else the usual place of whoever asks.
    pub fn directory(&self) -> PathBuf {
        let home = std::env::var_os("HOME").map(PathBuf::from);
        directory(self.dir.as_deref(), rustix::process::geteuid().is_root(), home.as_deref())
    }

    /// The certificate of the CA that `--ca` names (PEM).
    pub fn authority_file(&self) -> Result<Option<String>, Failure> {
        self.ca.as_deref().map(read).transpose()
    }

    /// Settings for a client.
    pub fn settings(&self) -> Result<ClientSettings, Failure> {
        let local = Local::read(&self.directory())?;
        let url = match (&self.url, &local.url) {
            (Some(url), _) => url.clone(),
            (None, Some(url)) => url.clone(),
            (None, None) => return Err(nowhere(&self.directory())),
        };
        let same = |known: &String| known.trim_end_matches('/') == url.trim_end_matches('/');
        let ours = local.url.as_ref().is_some_and(same);
        let ca_pem = match &self.ca {
            Some(path) => Some(read(path)?),
            None if ours => local.ca_pem.clone(),
            None => None,
        };
        let token = match (&self.token, &self.token_file) {
            (Some(token), _) => Some(Secret::new(token.trim())),
            (None, Some(path)) => Some(Secret::new(read(path)?.trim())),
            (None, None) if ours => local.token()?,
            (None, None) => None,
        };
        Ok(ClientSettings { url, ca_pem, token })
    }
}

/// The data directory for somebody.
pub fn directory(given: Option<&Path>, root: bool, home: Option<&Path>) -> PathBuf {
    match (given, root, home) {
        (Some(given), _, _) => given.to_owned(),
        (None, false, Some(home)) => home.join(".local/share/bedplate"),
        (None, _, _) => PathBuf::from("/var/lib/bedplate"),
    }
}

/// What a data directory says.
struct Local {
    directory: PathBuf,
    url: Option<String>,
    ca_pem: Option<String>,
}

impl Local {
    fn read(directory: &Path) -> Result<Self, Failure> {
        let line = optional(&directory.join("url"))?.map(|text| text.trim().to_owned());
        let url = line.filter(|line| !line.is_empty());
        let ca_pem = optional(&directory.join("ca/ca.pem"))?;
        Ok(Self { directory: directory.to_owned(), url, ca_pem })
    }

    /// Read only where it is needed: it may be another user's.
    fn token(&self) -> Result<Option<Secret>, Failure> {
        let path = self.directory.join("admin.token");
        Ok(optional(&path)?.map(|text| Secret::new(text.trim())))
    }
}

fn read(path: &Path) -> Result<String, Failure> {
    std::fs::read_to_string(path).map_err(|error| Failure::file(path, &error))
}

/// A file that may not be there.
fn optional(path: &Path) -> Result<Option<String>, Failure> {
    match std::fs::read_to_string(path) {
        Ok(text) => Ok(Some(text)),
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(None),
        Err(error) if error.kind() == std::io::ErrorKind::PermissionDenied => Err(Failure::file(
            path, &error,
        )
        .next("Run it as the user who runs Bedplate, or give --url with BEDPLATE_TOKEN and --ca.")),
        Err(error) => Err(Failure::file(path, &error)),
    }
}

fn nowhere(directory: &Path) -> Failure {
    Failure::new("unreachable", "Nobody said where Bedplate is")
        .why(format!("there is no Bedplate in {}", directory.display()))
        .next("Start one with: bedplate up\nElsewhere? Say where with --url or BEDPLATE_URL.")
}
