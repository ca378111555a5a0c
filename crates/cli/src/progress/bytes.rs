//! Signs of life while bytes are moved: a bar where it is known how many, a spinner
//! where it is not. On a terminal only; elsewhere a bar says once what is done.

use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};
use model::Bytes;

use crate::session::Session;

fn target(session: &Session) -> ProgressDrawTarget {
    match session.terminal.live {
        true => ProgressDrawTarget::stderr(),
        false => ProgressDrawTarget::hidden(),
    }
}

/// A bar for so many bytes.
pub fn bar(session: &Session, length: u64, what: &'static str) -> ProgressBar {
    if !session.terminal.live {
        session.say(&format!("{what} {}", Bytes(length))).ok();
    }
    let bar = ProgressBar::with_draw_target(Some(length), target(session));
    let template = "  {msg} {bar:30} {percent} %  {binary_bytes} of {binary_total_bytes}, {binary_bytes_per_sec}, {eta} left";
    let style = ProgressStyle::with_template(template).expect("a template of ours");
    bar.set_style(style.progress_chars("█▌░"));
    bar.set_message(what);
    bar
}

/// A sign of life where nobody says how far it is.
pub fn spinner(session: &Session, what: &str) -> ProgressBar {
    let bar = ProgressBar::with_draw_target(None, target(session));
    let style = ProgressStyle::with_template("  {spinner} {wide_msg} {elapsed}");
    bar.set_style(style.expect("a template of ours"));
    bar.set_message(what.to_owned());
    bar.enable_steady_tick(std::time::Duration::from_millis(120));
    bar
}
