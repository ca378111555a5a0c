//! Where progress is drawn: on a terminal one line is drawn over and over below
//! those that stay; elsewhere each thing is said once.

use std::io::Write as _;
use std::time::Duration;

use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};

use super::journal::Line;
use crate::human::wrap;
use crate::terminal::{Paint, Sink, Terminal};

/// How often the sign of life moves.
const TICK: Duration = Duration::from_millis(120);

/// A place for progress.
pub struct Screen {
    paint: Paint,
    width: Option<usize>,
    way: Way,
}

enum Way {
    /// A terminal.
    Live(ProgressBar),
    /// A file or a pipe, and what the last line was about.
    Lines { sink: Sink, last: String },
}

impl Screen {
    /// The screen of a terminal's standard error.
    pub fn of(terminal: &Terminal) -> Self {
        match terminal.live {
            true => {
                Self { paint: terminal.err_paint, width: terminal.err_width, way: Way::Live(bar()) }
            }
            false => Self::lines(terminal.err.clone(), terminal.err_paint),
        }
    }

    /// The screen of this process's standard error.
    pub fn of_process() -> Self {
        Self::of(&Terminal::of_process(false))
    }

    /// Plain lines to anything that can be written to.
    pub fn lines(sink: Sink, paint: Paint) -> Self {
        Self { paint, width: None, way: Way::Lines { sink, last: String::new() } }
    }

    /// Its colours.
    pub fn paint(&self) -> Paint {
        self.paint
    }

    /// A line that stays.
    pub fn line(&mut self, text: &str) {
        match &mut self.way {
            Way::Live(bar) => bar.println(text),
            // Nobody is told when nobody can be: the work itself goes on.
            Way::Lines { sink, .. } => drop(writeln!(sink, "{text}")),
        }
    }

    /// A line of the journal that stays; what does not fit goes on below itself.
    pub fn columns(&mut self, line: &Line) {
        let before = line.head.chars().count();
        let room = self.width.map_or(usize::MAX, |width| width.saturating_sub(before + 1).max(20));
        for (place, part) in wrap(&line.text, room).iter().enumerate() {
            let head = if place == 0 { line.head.clone() } else { " ".repeat(before) };
            let text = format!("{head}{part}");
            self.line(&self.paint.put(line.tone, text.trim_end()));
        }
    }

    /// What goes on now; `None`: nothing. Plain lines say it once for each step.
    pub fn live(&mut self, text: Option<&str>) {
        match (&mut self.way, text) {
            (Way::Live(bar), Some(text)) => bar.set_message(text.to_owned()),
            (Way::Live(bar), None) => bar.set_message(""),
            (Way::Lines { sink, last }, Some(text)) => {
                let about: Vec<&str> = text.split_whitespace().take(2).collect();
                let about = about.join(" ");
                if *last != about {
                    writeln!(sink, "  … {text}").ok();
                    *last = about;
                }
            }
            (Way::Lines { last, .. }, None) => last.clear(),
        }
    }
}

impl Drop for Screen {
    fn drop(&mut self) {
        if let Way::Live(bar) = &self.way {
            bar.finish_and_clear();
        }
    }
}

fn bar() -> ProgressBar {
    let bar = ProgressBar::with_draw_target(None, ProgressDrawTarget::stderr());
    let style = ProgressStyle::with_template("  {spinner} {wide_msg}").expect("a template of ours");
    bar.set_style(style.tick_chars("⠋⠙⠹⠸⠼⠴⠦⠧⠇⠏ "));
    bar.enable_steady_tick(TICK);
    bar
}
