//! What a verb works with: the client, the terminal, and how its answer is shown.

use std::io::Write as _;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, OnceLock, PoisonError};

use client::{Client, Options};
use model::Timestamp;
use model::api::{Endpoint, Page};
use serde::Serialize;
use world::Clock;

use crate::table::Table;
use crate::terminal::Terminal;
use crate::{Exit, Failure, Global, Output};

/// What a verb works with.
#[derive(Clone)]
pub struct Session {
    /// What every verb was told.
    global: Global,
    /// To Bedplate, from the first use on: verbs of this host need none.
    client: OnceLock<Client>,
    /// To the person.
    pub terminal: Terminal,
    /// Print the JSON of the API.
    pub json: bool,
    /// Every question is answered already.
    pub yes: bool,
    /// The time here.
    pub clock: Arc<dyn Clock>,
    /// What is said when somebody presses Ctrl-C.
    pub parting: Arc<Mutex<String>>,
}

impl Session {
    /// For one verb.
    pub fn new(
        global: &Global,
        terminal: Terminal,
        clock: Arc<dyn Clock>,
        parting: Arc<Mutex<String>>,
    ) -> Self {
        let (json, yes) = (global.output == Output::Json, global.yes);
        let (global, client) = (global.clone(), OnceLock::new());
        Self { global, client, terminal, json, yes, clock, parting }
    }

    /// The client, made at its first use from the settings.
    pub fn client(&self) -> Result<&Client, Failure> {
        if let Some(client) = self.client.get() {
            return Ok(client);
        }
        let client = Client::new(self.global.settings()?)?;
        Ok(self.client.get_or_init(|| client))
    }

    /// The data directory of this host.
    pub fn directory(&self) -> PathBuf {
        self.global.directory()
    }

    /// The certificate of the CA that `--ca` names (PEM).
    pub fn authority_file(&self) -> Result<Option<String>, Failure> {
        self.global.authority_file()
    }

    /// The time here.
    pub fn now(&self) -> Timestamp {
        self.clock.now()
    }

    /// Calls an endpoint.
    pub async fn call<E: Endpoint>(
        &self,
        path: &[&str],
        request: &E::Request,
        options: Options,
    ) -> Result<E::Reply, Failure> {
        Ok(self.client()?.call::<E>(path, &[], request, options).await?)
    }

    /// The whole list over all pages, as one page.
    pub async fn list<E, T>(&self, labels: &[String]) -> Result<Page<T>, Failure>
    where
        E: Endpoint<Request = (), Reply = Page<T>>,
    {
        let (items, revision) = self.client()?.all::<E, T>(labels).await?;
        Ok(Page { items, next_page: None, revision })
    }

    /// Prints text to standard output.
    pub fn print(&self, text: &str) -> Result<(), Failure> {
        let mut out = self.terminal.out.clone();
        out.write_all(text.as_bytes())?;
        Ok(out.flush()?)
    }

    /// Prints a document as JSON.
    pub fn print_json(&self, document: &impl Serialize) -> Result<(), Failure> {
        let text = serde_json::to_string_pretty(document).expect("the API's documents are JSON");
        self.print(&format!("{text}\n"))
    }

    /// Prints a document: its JSON, or what `text` makes of it.
    pub fn show<T: Serialize>(
        &self,
        document: &T,
        text: impl FnOnce(&T) -> String,
    ) -> Result<(), Failure> {
        match self.json {
            true => self.print_json(document),
            false => self.print(&text(document)),
        }
    }

    /// Prints a list: its JSON, or a table, or what to do when there is nothing.
    pub fn show_list<T: Serialize>(
        &self,
        page: &Page<T>,
        table: impl FnOnce(&Page<T>) -> Table,
        empty: &str,
    ) -> Result<(), Failure> {
        if self.json {
            return self.print_json(page);
        }
        let table = table(page);
        match table.is_empty() {
            true => self.say(empty),
            false => self.print(&table.render(self.terminal.width, self.terminal.paint)),
        }
    }

    /// Says something on standard error; nothing hangs on whether it is heard.
    pub fn say(&self, text: &str) -> Result<(), Failure> {
        let mut err = self.terminal.err.clone();
        writeln!(err, "{text}").ok();
        Ok(())
    }

    /// Asks before something that cannot be taken back.
    pub fn confirm(&self, what: &str) -> Result<(), Failure> {
        if self.yes {
            return Ok(());
        }
        if !self.terminal.asks {
            return Err(Failure::usage(format!("{what}: there is nobody to ask"))
                .next("Say --yes when that is what you want."));
        }
        let mut err = self.terminal.err.clone();
        write!(err, "{what}. Go on? [y/N] ")?;
        err.flush()?;
        let mut answer = String::new();
        std::io::stdin().read_line(&mut answer)?;
        match matches!(answer.trim(), "y" | "Y" | "yes") {
            true => Ok(()),
            false => {
                Err(Failure { exit: Exit::Problem, ..Failure::new("declined", "Nothing was done") })
            }
        }
    }

    /// What is said when somebody presses Ctrl-C from now on.
    pub fn on_interrupt(&self, text: impl Into<String>) {
        *self.parting.lock().unwrap_or_else(PoisonError::into_inner) = text.into();
    }
}

/// Options of a request that may be a rehearsal.
pub fn rehearsal(dry_run: bool) -> Options {
    Options { dry_run, ..Options::default() }
}
