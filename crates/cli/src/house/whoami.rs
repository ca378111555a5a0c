//! `bedplate whoami`: who the token speaks for.

use clap::Args;
use model::api::Caller;
use model::project::Permission;

use crate::Failure;
use crate::page::Page;
use crate::session::Session;

/// Nothing to say.
#[derive(Args, Debug)]
#[command(after_help = "Examples:\n  bedplate whoami")]
pub struct Arguments {}

/// Asks and shows.
pub async fn run(session: &Session, _: Arguments) -> Result<(), Failure> {
    let caller = session.client()?.whoami().await?;
    session.show(&caller, |caller| page(session, caller))
}

fn page(session: &Session, caller: &Caller) -> String {
    let rights = [
        (Permission::Read, "look"),
        (Permission::Use, "use what the project has"),
        (Permission::Operate, "run the hardware"),
        (Permission::Administer, "decide who may do what"),
    ];
    let may: Vec<&str> =
        rights.iter().filter(|(right, _)| caller.role.may(*right)).map(|(_, word)| *word).collect();
    let mut page = Page::new(session.terminal.width, session.terminal.paint);
    page.line("name", &caller.name);
    page.line("role", crate::token::role(caller.role));
    page.line("project", caller.project.as_deref().unwrap_or("every project"));
    page.line("may", may.join(", "));
    page.finish()
}
