//! One thing as a page: labels on the left, what is known on the right, under
//! headings. Long texts go on below their beginning.

use crate::human::{clean, wrap};
use crate::terminal::{Paint, Tone};

/// Columns of the labels.
const LABELS: usize = 14;
/// Columns of the page when there is no terminal.
const WIDTH: usize = 100;

/// A page that is being written.
pub struct Page {
    text: String,
    width: usize,
    paint: Paint,
}

impl Page {
    /// An empty page.
    pub fn new(width: Option<usize>, paint: Paint) -> Self {
        let width = width.unwrap_or(WIDTH).max(LABELS + 20);
        Self { text: String::new(), width, paint }
    }

    /// A heading, after a free line.
    pub fn heading(&mut self, text: &str) {
        if !self.text.is_empty() {
            self.text.push('\n');
        }
        self.text.push_str(&self.paint.put(Tone::Bold, &clean(text)));
        self.text.push('\n');
    }

    /// A label and a text; nothing when the text is empty.
    pub fn line(&mut self, label: &str, text: impl AsRef<str>) {
        self.toned(Tone::Plain, label, text);
    }

    /// The same with the text in a tone.
    pub fn toned(&mut self, tone: Tone, label: &str, text: impl AsRef<str>) {
        let text = text.as_ref();
        if text.is_empty() {
            return;
        }
        let room = self.width - LABELS - 2;
        for (place, line) in wrap(&clean(text), room).iter().enumerate() {
            let label = if place == 0 { label } else { "" };
            let label = self.paint.put(Tone::Dim, &format!("{label:<LABELS$}"));
            self.text.push_str(&format!("  {label}{}\n", self.paint.put(tone, line)));
        }
    }

    /// Whole lines that must not be broken, indented.
    pub fn block(&mut self, text: &str) {
        for line in text.lines() {
            self.text.push_str(&format!("  {line}\n"));
        }
    }

    /// Columns that a block has.
    pub fn room(&self) -> usize {
        self.width - 2
    }

    /// The page.
    pub fn finish(self) -> String {
        self.text
    }
}
