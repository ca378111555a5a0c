//! The command tree: every endpoint has its verb, every example parses, and every
//! verb has an example.

use clap::{Command, CommandFactory as _, Parser as _};
use cli::{Program, reference};
use model::verbs::{MACHINE_ONLY, VERBS};

fn root() -> Command {
    let mut root = Program::command();
    root.build();
    root
}

/// Whether the tree has a verb by its path.
fn has(root: &Command, path: &str) -> bool {
    path.split(' ').try_fold(root, |command, word| command.find_subcommand(word)).is_some()
}

#[test]
fn every_endpoint_has_its_verb_in_the_tree() {
    let root = root();
    for (endpoint, verb) in VERBS.iter().filter(|(_, verb)| *verb != MACHINE_ONLY) {
        let (before, last) = verb.rsplit_once(' ').unwrap_or(("", verb));
        for last in last.split(['|', '/']) {
            let path = format!("{before} {last}");
            assert!(has(&root, path.trim()), "{endpoint} has no verb `{}`", path.trim());
        }
    }
    assert!(!has(&root, "machine no-such-verb"));
}

#[test]
fn the_tree_is_sound() {
    Program::command().debug_assert();
}

#[test]
fn every_verb_has_an_example_of_itself_that_parses() {
    let examples = reference::examples(&root());
    for (path, line) in &examples {
        let (noun, _) = path.rsplit_once(' ').unwrap();
        assert!(line.starts_with(noun), "`{line}` is no example of `{path}`");
        let parsed = Program::try_parse_from(words(line));
        assert!(parsed.is_ok(), "{line}: {}", parsed.unwrap_err());
    }
    leaves(&root(), "bedplate", &mut |path| {
        let of_itself = |(of, line): &(String, String)| of == path && line.starts_with(path);
        assert!(examples.iter().any(of_itself), "`{path}` has no example of itself");
    });
}

/// The words of a line of a shell, with simple quotes.
fn words(line: &str) -> Vec<String> {
    let mut words = vec![String::new()];
    let mut quoted = false;
    for c in line.chars() {
        match c {
            '"' => quoted = !quoted,
            ' ' if !quoted => words.push(String::new()),
            c => words.last_mut().unwrap().push(c),
        }
    }
    words
}

fn leaves(command: &Command, path: &str, see: &mut impl FnMut(&str)) {
    for verb in command.get_subcommands() {
        let path = format!("{path} {}", verb.get_name());
        match verb.has_subcommands() {
            true => leaves(verb, &path, see),
            false => see(&path),
        }
    }
}

#[test]
fn the_reference_has_every_verb_and_says_what_all_take_once() {
    let text = reference::markdown(&Program::command());
    leaves(&root(), "bedplate", &mut |path| {
        assert!(text.contains(&format!("\n## {path}\n")), "{path}");
    });
    assert_eq!(text.matches("--token-file").count(), 2, "in the introduction and in the options");
}

/// Otherwise `token remove ci` would take `ci` for the token of who asks.
#[test]
fn no_verb_has_an_argument_of_the_name_of_one_that_all_have() {
    fn check(command: &Command, all: &[String]) {
        for argument in command.get_arguments().filter(|argument| !argument.is_global_set()) {
            let id = argument.get_id().to_string();
            assert!(!all.contains(&id), "{} has its own `{id}`", command.get_name());
        }
        command.get_subcommands().for_each(|verb| check(verb, all));
    }
    let root = root();
    let global = root.get_arguments().filter(|argument| argument.is_global_set());
    let all: Vec<String> = global.map(|argument| argument.get_id().to_string()).collect();
    assert!(all.len() > 7, "{all:?}");
    check(&root, &all);
}

#[test]
fn no_password_can_be_said_on_the_command_line() {
    let line = words("bedplate machine enroll m1 --bmc 10.0.0.1 --password secret");
    assert!(Program::try_parse_from(line).is_err());
}
