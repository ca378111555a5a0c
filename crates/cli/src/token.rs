//! `bedplate token`: who may do what.

use clap::{Args, Subcommand, ValueEnum};
use model::api::{CreateToken, CreateTokenRequest, ListTokens, NewToken, Page, RemoveToken};
use model::project::{Role, Token};
use model::{Duration, Timestamp};

use crate::Failure;
use crate::human::{ago, away};
use crate::session::{Session, rehearsal};
use crate::table::{Table, cell, keep, spare};
use crate::terminal::Tone;

/// What is done with tokens.
#[derive(Debug, Subcommand)]
pub enum Verb {
    /// List tokens; never their secrets
    List(List),
    /// Make a token; its secret is shown once
    Create(Create),
    /// Take a token back
    Remove(Remove),
}

/// Nothing to say.
#[derive(Args, Debug)]
#[command(after_help = "Examples:\n  bedplate token list")]
pub struct List {}

/// What to make.
#[derive(Args, Debug)]
#[command(
    after_help = "The secret goes to standard output and is kept nowhere.\n\nExamples:\n  bedplate token create ci --role member --project web --ttl 30d\n  bedplate token create grafana --role viewer"
)]
pub struct Create {
    /// For whom or what
    name: String,
    /// What it may do: read; use what a project has; run the hardware; everything
    #[arg(long, value_enum)]
    role: RoleName,
    /// Where; everywhere when absent
    #[arg(long)]
    project: Option<String>,
    /// For how long: 90s, 30m, 12h, 30d; for ever when absent
    #[arg(long, value_parser = ttl)]
    ttl: Option<Duration>,
    /// Say what would happen, and do nothing
    #[arg(long)]
    dry_run: bool,
}

/// What to take back.
#[derive(Args, Debug)]
#[command(after_help = "Examples:\n  bedplate token remove ci")]
pub struct Remove {
    /// Which token, by name or id
    #[arg(id = "which", value_name = "TOKEN")]
    token: String,
    /// Say what would happen, and do nothing
    #[arg(long)]
    dry_run: bool,
}

/// A role by its word.
#[derive(Clone, Copy, Debug, ValueEnum)]
pub enum RoleName {
    /// Reads
    Viewer,
    /// Reads, and uses what the project has
    Member,
    /// Runs the hardware
    Operator,
    /// Everything, tokens and projects too
    Admin,
}

impl RoleName {
    const fn meant(self) -> Role {
        match self {
            RoleName::Viewer => Role::Viewer,
            RoleName::Member => Role::Member,
            RoleName::Operator => Role::Operator,
            RoleName::Admin => Role::Admin,
        }
    }
}

/// The word for a role.
pub const fn role(role: Role) -> &'static str {
    match role {
        Role::Viewer => "viewer",
        Role::Member => "member",
        Role::Operator => "operator",
        Role::Admin => "admin",
    }
}

/// A span of a command line.
pub fn ttl(text: &str) -> Result<Duration, String> {
    let wrong = || format!("`{text}` is not a span: write 90s, 30m, 12h or 30d");
    let unit = match text.chars().last() {
        Some('s') => 1,
        Some('m') => 60,
        Some('h') => 3_600,
        Some('d') => 86_400,
        _ => return Err(wrong()),
    };
    let number: u64 = text[..text.len() - 1].parse().map_err(|_| wrong())?;
    match number.checked_mul(unit).and_then(|secs| secs.checked_mul(1_000_000)) {
        None | Some(0) => Err(wrong()),
        Some(micros) => Ok(Duration::from_micros(micros)),
    }
}

/// Carries it out.
pub async fn run(session: &Session, verb: Verb) -> Result<(), Failure> {
    match verb {
        Verb::List(_) => {
            let page = session.list::<ListTokens, Token>(&[]).await?;
            let now = session.now();
            session.show_list(&page, |page| table(page, now), "no tokens")
        }
        Verb::Create(arguments) => create(session, arguments).await,
        Verb::Remove(arguments) => remove(session, arguments).await,
    }
}

fn table(page: &Page<Token>, now: Timestamp) -> Table {
    let columns = [
        keep("NAME", 8),
        keep("ROLE", 8),
        spare("PROJECT", 1, 8),
        spare("EXPIRES", 2, 8),
        spare("MADE", 3, 8),
    ];
    let mut table = Table::new(&columns);
    for token in &page.items {
        let expires = token.spec.expires;
        let over = expires.is_some_and(|end| end <= now);
        let tone = if over { Tone::Bad } else { Tone::Plain };
        let expires = expires.map_or_else(|| "never".to_owned(), |end| away(now, end));
        table.row(vec![
            cell(Tone::Bold, &token.name),
            role(token.spec.role).into(),
            token.spec.project.as_deref().unwrap_or("every project").into(),
            cell(tone, expires),
            cell(Tone::Dim, ago(now, token.created)),
        ]);
    }
    table
}

async fn create(session: &Session, arguments: Create) -> Result<(), Failure> {
    let request = CreateTokenRequest {
        name: arguments.name,
        role: arguments.role.meant(),
        project: arguments.project,
        ttl: arguments.ttl,
    };
    let options = rehearsal(arguments.dry_run);
    let made: NewToken = session.call::<CreateToken>(&[], &request, options).await?;
    if session.json {
        return session.print_json(&made);
    }
    if arguments.dry_run {
        return session.print(&format!("token {} would be made\n", made.token.name));
    }
    session.say(&format!(
        "token {} made; this is the only time that it is shown. Use it as BEDPLATE_TOKEN.",
        made.token.name
    ))?;
    session.print(&format!("{}\n", made.secret))
}

async fn remove(session: &Session, arguments: Remove) -> Result<(), Failure> {
    if !arguments.dry_run {
        let what = format!("Whoever uses the token {} is shut out at once", arguments.token);
        session.confirm(&what)?;
    }
    let (path, options) = ([arguments.token.as_str()], rehearsal(arguments.dry_run));
    let token = session.call::<RemoveToken>(&path, &(), options).await?;
    let would = if arguments.dry_run { "would be " } else { "" };
    session.show(&token, |token| format!("token {} {would}taken back\n", token.name))
}
