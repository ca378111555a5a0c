//! Where functions begin and end.

use super::source::{Source, word_at};

/// A function with a body.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Function {
    /// Its name.
    pub name: String,
    /// The line of its `fn`, from 1.
    pub line: usize,
    /// Lines from its `fn` to its closing brace, both counted.
    pub length: usize,
}

/// Every function of a file, the inner ones as well.
pub fn functions(source: &Source) -> Vec<Function> {
    let mut found = Vec::new();
    for (line, text) in source.lines.iter().enumerate() {
        let mut from = 0;
        while let Some(place) = word_at(&text.code[from..], "fn") {
            from += place + 2;
            let name: String =
                text.code[from..].trim_start().chars().take_while(|c| word(*c)).collect();
            if name.is_empty() {
                continue;
            }
            if let Some(end) = end(source, line, from) {
                found.push(Function { name, line: line + 1, length: end - line + 1 });
            }
        }
    }
    found
}

/// Whether a file defines a function of this name, with a body or without.
pub fn defines(source: &Source, name: &str) -> bool {
    source.lines.iter().any(|line| {
        let mut code = line.code.as_str();
        while let Some(place) = word_at(code, "fn") {
            code = &code[place + 2..];
            let rest = code.trim_start();
            if rest.strip_prefix(name).is_some_and(|rest| !rest.starts_with(word)) {
                return true;
            }
        }
        false
    })
}

fn word(character: char) -> bool {
    character.is_alphanumeric() || character == '_'
}

/// The line of the brace that ends the function whose signature goes on at this
/// place; `None` for one without a body.
fn end(source: &Source, line: usize, from: usize) -> Option<usize> {
    // Parentheses and brackets of the signature, then braces of the body.
    let (mut nested, mut braces) = (0_i32, 0_i32);
    for (number, text) in source.lines.iter().enumerate().skip(line) {
        let code = if number == line { &text.code[from..] } else { &text.code };
        for character in code.chars() {
            match character {
                '{' => braces += 1,
                '}' => {
                    braces -= 1;
                    if braces == 0 {
                        return Some(number);
                    }
                }
                _ if braces > 0 => {}
                '(' | '[' => nested += 1,
                ')' | ']' => nested -= 1,
                ';' if nested == 0 => return None,
                _ => {}
            }
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lengths_are_from_fn_to_brace() {
        let text =
            "/// Says }.\nfn one(\n    of: [u8; 2],\n) -> u8 {\n    inner('{');\n}\nfn two() {}\n";
        let found = functions(&Source::of(text));
        assert_eq!(found[0], Function { name: "one".to_owned(), line: 2, length: 5 });
        assert_eq!(found[1], Function { name: "two".to_owned(), line: 7, length: 1 });
        assert_eq!(found.len(), 2);
    }

    #[test]
    fn functions_without_a_body_have_no_length_but_are_defined() {
        let source = Source::of("trait A { fn b(&self) -> [u8; 2]; }\ntype C = fn(u8) -> u8;\n");
        assert!(functions(&source).is_empty());
        assert!(defines(&source, "b") && !defines(&source, "u8") && !defines(&source, "bee"));
    }

    #[test]
    fn inner_functions_count_for_themselves() {
        let found = functions(&Source::of("fn a() {\n    fn b() {\n    }\n}\n"));
        let lengths: Vec<usize> = found.iter().map(|function| function.length).collect();
        assert_eq!(lengths, [4, 2]);
    }
}
