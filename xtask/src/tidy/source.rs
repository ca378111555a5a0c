//! Rust, line by line, with its code and its comments apart and with the insides
//! of strings blanked. A scanner and no parser: enough for code that rustfmt has
//! laid out, and quick enough that nobody leaves it out.

/// A line.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Line {
    /// The code; what was in a string or comment is spaces.
    pub code: String,
    /// What the comments say.
    pub comment: String,
}

/// A file.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Source {
    /// Its lines, in order.
    pub lines: Vec<Line>,
}

/// Where the scanner is.
#[derive(Clone, Copy, PartialEq, Eq)]
enum At {
    Code,
    LineComment,
    /// So many block comments deep.
    BlockComment(usize),
    Text,
    /// Ends with a quote and so many `#`.
    RawText(usize),
}

impl Source {
    /// Scans a file.
    pub fn of(text: &str) -> Self {
        let characters: Vec<char> = text.chars().collect();
        let mut source = Self { lines: vec![Line::default()] };
        let (mut at, mut index) = (At::Code, 0);
        while index < characters.len() {
            let rest = &characters[index..];
            if rest[0] == '\n' {
                if at == At::LineComment {
                    at = At::Code;
                }
                source.lines.push(Line::default());
                index += 1;
                continue;
            }
            let line = source.lines.last_mut().expect("there is always a line");
            let taken = match at {
                At::Code => code(rest, &characters[..index], line, &mut at),
                At::LineComment | At::BlockComment(_) => comment(rest, line, &mut at),
                At::Text | At::RawText(_) => string(rest, line, &mut at),
            };
            index += taken;
        }
        if source.lines.last().is_some_and(|line| *line == Line::default()) {
            source.lines.pop();
        }
        source
    }

    /// Whether a line of code (from 0) has this word, as a whole word.
    pub fn has_word(&self, line: usize, word: &str) -> bool {
        word_at(&self.lines[line].code, word).is_some()
    }

    /// The line (from 0) at which the tests of a file begin: those are
    /// `#[cfg(test)]` and last in it, as everywhere in this repository.
    pub fn tests_from(&self) -> usize {
        let begins = |line: &Line| line.code.trim_start().starts_with("#[cfg(test)]");
        let position = self.lines.iter().position(begins);
        position.unwrap_or(self.lines.len())
    }
}

/// Where a whole word stands in a line.
pub fn word_at(line: &str, word: &str) -> Option<usize> {
    let part =
        |byte: Option<&u8>| byte.is_some_and(|byte| byte.is_ascii_alphanumeric() || *byte == b'_');
    let bytes = line.as_bytes();
    line.match_indices(word).map(|(place, _)| place).find(|place| {
        let before = place.checked_sub(1).and_then(|before| bytes.get(before));
        !part(before) && !part(bytes.get(place + word.len()))
    })
}

/// Takes some characters of code; tells how many.
fn code(rest: &[char], before: &[char], line: &mut Line, at: &mut At) -> usize {
    match rest {
        ['/', '/', ..] => {
            *at = At::LineComment;
            2
        }
        ['/', '*', ..] => {
            *at = At::BlockComment(1);
            2
        }
        ['"', ..] => {
            line.code.push('"');
            *at = At::Text;
            1
        }
        ['r', ..] if !before.last().is_some_and(|last| is_word(*last) && *last != 'b') => {
            raw(rest, line, at)
        }
        ['\'', ..] => quote(rest, line),
        [other, ..] => {
            line.code.push(*other);
            1
        }
        [] => 0,
    }
}

/// `r"…"` or `r#"…"#`, or only a word that begins with r.
fn raw(rest: &[char], line: &mut Line, at: &mut At) -> usize {
    let hashes = rest[1..].iter().take_while(|next| **next == '#').count();
    if rest.get(1 + hashes) == Some(&'"') {
        line.code.push('"');
        *at = At::RawText(hashes);
        return 2 + hashes;
    }
    line.code.push('r');
    1
}

/// A character, or the name of a lifetime.
fn quote(rest: &[char], line: &mut Line) -> usize {
    let length = match rest {
        ['\'', '\\', _, tail @ ..] => tail.iter().position(|next| *next == '\'').map(|end| end + 4),
        ['\'', _, '\'', ..] => Some(3),
        _ => None,
    };
    line.code.push('\'');
    let Some(length) = length else { return 1 };
    (2..length).for_each(|_| line.code.push(' '));
    line.code.push('\'');
    length
}

fn comment(rest: &[char], line: &mut Line, at: &mut At) -> usize {
    match (*at, rest) {
        (At::BlockComment(1), ['*', '/', ..]) => {
            *at = At::Code;
            2
        }
        (At::BlockComment(depth), ['*', '/', ..]) => {
            *at = At::BlockComment(depth - 1);
            2
        }
        (At::BlockComment(depth), ['/', '*', ..]) => {
            *at = At::BlockComment(depth + 1);
            2
        }
        _ => {
            line.comment.push(rest[0]);
            1
        }
    }
}

fn string(rest: &[char], line: &mut Line, at: &mut At) -> usize {
    let ends = match (*at, rest) {
        // The end of the line is seen by the loop, also where it is escaped.
        (At::Text, ['\\', next, ..]) if *next != '\n' => {
            line.code.push_str("  ");
            return 2;
        }
        (At::Text, ['"', ..]) => Some(0),
        (At::RawText(hashes), ['"', tail @ ..])
            if tail.len() >= hashes && tail[..hashes].iter().all(|next| *next == '#') =>
        {
            Some(hashes)
        }
        _ => None,
    };
    let Some(hashes) = ends else {
        line.code.push(' ');
        return 1;
    };
    line.code.push('"');
    *at = At::Code;
    1 + hashes
}

fn is_word(character: char) -> bool {
    character.is_alphanumeric() || character == '_'
}

#[cfg(test)]
mod tests {
    use super::*;

    fn codes(text: &str) -> Vec<String> {
        let lines = Source::of(text).lines;
        lines.into_iter().map(|line| line.code.trim_end().to_owned()).collect()
    }

    #[test]
    fn strings_are_blank_and_comments_apart() {
        let source = Source::of("let a = \"{ // no\"; // yes {\n");
        assert_eq!(source.lines.len(), 1);
        assert_eq!(source.lines[0].code.trim_end(), "let a = \"       \";");
        assert_eq!(source.lines[0].comment, " yes {");
    }

    #[test]
    fn raw_strings_end_where_they_should() {
        assert_eq!(codes("r#\"a\" { \"#; b(br\"\\\")"), ["\"     \"; b(b\" \")"]);
        assert_eq!(codes("for r in 0..1 {}"), ["for r in 0..1 {}"]);
    }

    #[test]
    fn characters_are_blank_and_lifetimes_stay() {
        assert_eq!(codes("'{' '\\'' '\\u{7b}' b'\"' &'a str"), ["' ' '  ' '      ' b' ' &'a str"]);
    }

    #[test]
    fn strings_and_comments_go_over_lines() {
        let text = "a /* { /* } */\n { */ b\n\"x\\\n{\" c";
        assert_eq!(codes(text), ["a", " b", "\"", " \" c"]);
    }

    #[test]
    fn words_are_whole() {
        assert_eq!(word_at("let fnord = fn_of(fn x)", "fn"), Some(18));
        assert_eq!(word_at("unsafe_code", "unsafe"), None);
    }

    #[test]
    fn tests_come_last() {
        assert_eq!(Source::of("a\n#[cfg(test)]\nmod tests {}").tests_from(), 1);
        assert_eq!(Source::of("a\nb").tests_from(), 2);
    }
}
