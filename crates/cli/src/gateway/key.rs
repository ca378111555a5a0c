//! `bedplate gateway key`: who may sign requests.

use clap::{Args, Subcommand};
use model::gateway::{GatewayKey, GatewayOrder, GatewaySecret};

use super::reach;
use super::service::Which;
use crate::Failure;
use crate::session::Session;
use crate::table::{Table, cell, keep, spare};
use crate::terminal::Tone;

/// What is done with access keys.
#[derive(Debug, Subcommand)]
pub enum Verb {
    /// List access keys; never their secrets
    List(List),
    /// Make an access key, shown once
    Create(Create),
    /// Remove an access key, with the sessions that were made of it
    Remove(Remove),
}

/// Which gateway.
#[derive(Args, Debug)]
#[command(
    after_help = "Examples:\n  bedplate gateway key list\n  bedplate gateway key list --data objects"
)]
pub struct List {
    #[command(flatten)]
    which: Which,
}

/// For whom.
#[derive(Args, Debug)]
#[command(
    after_help = "An account that is not there is made. Buckets belong to accounts: keys of one account are alike.\n\nExamples:\n  bedplate gateway key create training\n  bedplate gateway key create training --project research"
)]
pub struct Create {
    /// The account
    account: String,
    /// The project whose quota a new account uses
    #[arg(long)]
    project: Option<String>,
    #[command(flatten)]
    which: Which,
}

/// Which key.
#[derive(Args, Debug)]
#[command(after_help = "Examples:\n  bedplate gateway key remove BPAAAABBBBCCCCDDDDEE")]
pub struct Remove {
    /// Its id
    id: String,
    #[command(flatten)]
    which: Which,
}

/// Carries it out.
pub async fn run(session: &Session, verb: Verb) -> Result<(), Failure> {
    match verb {
        Verb::List(arguments) => list(session, arguments).await,
        Verb::Create(Create { account, project, which }) => {
            let order = GatewayOrder::KeyCreate { account, project };
            let made: GatewaySecret = which.order(session, order).await?;
            tell(session, &made)
        }
        Verb::Remove(Remove { id, which }) => {
            session.confirm(&format!("Whoever signs with {id} is shut out at once"))?;
            let order = GatewayOrder::KeyRemove { id: id.clone() };
            let gone: GatewayKey = which.order(session, order).await?;
            session.show(&gone, |gone| format!("access key {} removed\n", gone.id))
        }
    }
}

async fn list(session: &Session, arguments: List) -> Result<(), Failure> {
    let keys: Vec<GatewayKey> = arguments.which.order(session, GatewayOrder::Keys).await?;
    if session.json {
        return session.print_json(&keys);
    }
    let mut table = Table::new(&[
        keep("KEY", 20),
        keep("ACCOUNT", 8),
        spare("PROJECT", 1, 8),
        spare("STATE", 2, 6),
        spare("OWNER", 3, 12),
    ]);
    for key in &keys {
        let state = if key.suspended { "suspended" } else { "" };
        table.row(vec![
            cell(Tone::Bold, &key.id),
            (&key.account).into(),
            key.project.as_deref().unwrap_or("").into(),
            cell(Tone::Warn, state),
            cell(Tone::Dim, &key.owner),
        ]);
    }
    session.print(&table.render(session.terminal.width, session.terminal.paint))
}

/// The first key of a gateway of this host.
pub fn first(session: &Session, which: &Which) -> Result<String, Failure> {
    let directory = which.data.clone().unwrap_or_else(|| session.directory().join("gateway"));
    let access = reach::access(&directory)?.ok_or_else(|| {
        Failure::usage("Which access key?").next("See which there are: bedplate gateway key list")
    })?;
    Ok(access.access_key)
}

/// Shows credentials: as variables that a shell and every client understand.
pub fn tell(session: &Session, made: &GatewaySecret) -> Result<(), Failure> {
    if session.json {
        return session.print_json(made);
    }
    session.say("This is the only time that the secret is shown.")?;
    let mut text = format!(
        "export AWS_ACCESS_KEY_ID={}\nexport AWS_SECRET_ACCESS_KEY={}\n",
        made.access_key,
        made.secret_key.expose()
    );
    if let Some(token) = &made.session_token {
        text.push_str(&format!("export AWS_SESSION_TOKEN={token}\n"));
    }
    if let Some(expires) = made.expires {
        session.say(&format!("They expire {}.", crate::human::away(session.now(), expires)))?;
    }
    session.print(&text)
}
