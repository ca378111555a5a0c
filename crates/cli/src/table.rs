//! Tables that fit: no borders, two spaces between columns. Columns in which
//! nothing stands are left out. Where there is not enough room, the least
//! important columns go first; then the widest texts are cut.

use crate::human::{clean, cut};
use crate::terminal::{Paint, Tone};

/// Between two columns.
const GAP: usize = 2;

/// A column.
#[derive(Clone, Copy, Debug)]
pub struct Column {
    /// What stands above it.
    pub heading: &'static str,
    /// 0 stays whatever happens; the highest number goes first.
    pub expendable: u8,
    /// Characters that it needs at least to be worth showing.
    pub least: usize,
}

/// A column that stays.
pub const fn keep(heading: &'static str, least: usize) -> Column {
    Column { heading, expendable: 0, least }
}

/// A column that may go; the highest number first.
pub const fn spare(heading: &'static str, expendable: u8, least: usize) -> Column {
    Column { heading, expendable, least }
}

/// What stands in one place.
#[derive(Clone, Debug, Default)]
pub struct Cell {
    text: String,
    tone: Tone,
}

/// A cell in a tone.
pub fn cell(tone: Tone, text: impl AsRef<str>) -> Cell {
    Cell { text: clean(text.as_ref()), tone }
}

impl<T: AsRef<str>> From<T> for Cell {
    fn from(text: T) -> Self {
        cell(Tone::Plain, text)
    }
}

/// A table.
#[derive(Debug)]
pub struct Table {
    columns: Vec<Column>,
    rows: Vec<Vec<Cell>>,
}

impl Table {
    /// An empty table.
    pub fn new(columns: &[Column]) -> Self {
        Self { columns: columns.to_vec(), rows: Vec::new() }
    }

    /// Adds a row, with a cell for each column.
    pub fn row(&mut self, cells: Vec<Cell>) {
        assert_eq!(cells.len(), self.columns.len(), "a row has a cell for each column");
        self.rows.push(cells);
    }

    /// Whether there is nothing in it.
    pub fn is_empty(&self) -> bool {
        self.rows.is_empty()
    }

    /// As text of at most `width` columns; as wide as it is when `None`.
    pub fn render(&self, width: Option<usize>, paint: Paint) -> String {
        let shown = self.fit(width.unwrap_or(usize::MAX));
        let heading = |column: &Column| cell(Tone::Bold, column.heading);
        let heads: Vec<Cell> = self.columns.iter().map(heading).collect();
        let mut text = String::new();
        for row in std::iter::once(&heads).chain(&self.rows) {
            line(&mut text, row, &shown, width, paint);
        }
        text
    }

    /// Which columns are shown, and how wide.
    fn fit(&self, width: usize) -> Vec<(usize, usize)> {
        let mut shown: Vec<(usize, usize)> = (0..self.columns.len())
            .filter(|place| self.rows.iter().any(|row| !row[*place].text.is_empty()))
            .map(|place| (place, self.natural(place)))
            .collect();
        let least = |(place, natural): &(usize, usize)| self.least(*place).min(*natural);
        while total(shown.iter().map(least)) > width {
            let spares = shown.iter().filter(|(place, _)| self.columns[*place].expendable > 0);
            let last = spares.max_by_key(|(place, _)| (self.columns[*place].expendable, *place));
            let Some(gone) = last.map(|(place, _)| *place) else { break };
            shown.retain(|(place, _)| *place != gone);
        }
        self.shrink(&mut shown, width);
        shown
    }

    /// Takes room from the column that has most above its least, until all fit.
    fn shrink(&self, shown: &mut [(usize, usize)], width: usize) {
        loop {
            let over = total(shown.iter().map(|(_, wide)| *wide)).saturating_sub(width);
            let spare = |(place, wide): &(usize, usize)| wide.saturating_sub(self.least(*place));
            let widest = shown.iter_mut().max_by_key(|column| spare(column));
            let Some(column) = widest.filter(|column| over > 0 && spare(column) > 0) else {
                return;
            };
            column.1 -= 1;
        }
    }

    fn least(&self, place: usize) -> usize {
        self.columns[place].least.max(self.columns[place].heading.chars().count())
    }

    fn natural(&self, place: usize) -> usize {
        let cells = self.rows.iter().map(|row| row[place].text.chars().count());
        cells.chain([self.columns[place].heading.chars().count()]).max().unwrap_or(0)
    }
}

/// Room for columns of these widths.
fn total(widths: impl Iterator<Item = usize>) -> usize {
    let (mut columns, mut sum) = (0_usize, 0);
    for width in widths {
        columns += 1;
        sum += width;
    }
    sum + GAP * columns.saturating_sub(1)
}

/// One line. What does not fit even so is cut at the end of the line.
fn line(
    text: &mut String,
    row: &[Cell],
    shown: &[(usize, usize)],
    width: Option<usize>,
    paint: Paint,
) {
    let mut room = width.unwrap_or(usize::MAX);
    let mut pending = 0;
    for (place, wide) in shown {
        let Cell { text: content, tone } = &row[*place];
        let wide = (*wide).min(room);
        let content = cut(content, wide);
        let taken = content.chars().count();
        if taken > 0 {
            text.extend(std::iter::repeat_n(' ', pending));
            text.push_str(&paint.put(*tone, &content));
            pending = 0;
        }
        pending += wide - taken + GAP;
        room = room.saturating_sub(wide + GAP);
    }
    text.push('\n');
}
