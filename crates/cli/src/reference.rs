//! The reference of the command line, made from the command tree itself, so that it
//! cannot say anything else than `--help` does.

use clap::Command;

/// Columns of the help texts in the reference.
const WIDTH: usize = 96;

/// The reference of a command tree as Markdown.
pub fn markdown(root: &Command) -> String {
    let mut text = HEAD.to_owned();
    let whole = without_values(root.clone().term_width(WIDTH));
    text.push_str(&help(&mut whole.clone(), None));
    // What every verb takes is said once.
    let mut tree = whole.mut_args(|arg| match arg.is_global_set() {
        true => arg.hide(true),
        false => arg,
    });
    tree.build();
    branches(&mut text, &tree, "bedplate");
    text
}

/// The same without what the environment of this process holds.
fn without_values(command: Command) -> Command {
    command.mut_args(|arg| arg.hide_env_values(true)).mut_subcommands(without_values)
}

const HEAD: &str = "\
# The command line

Made from the program itself; do not edit. To make it anew after a change:
`BEDPLATE_WRITE=1 cargo test -p bedplate reference`.

Settings come from flags, else from the environment (`BEDPLATE_URL`, `BEDPLATE_TOKEN`,
`BEDPLATE_CA`, `BEDPLATE_DIR`), else from the data directory of a `bedplate up` on the same
machine. A token on the command line can be read by others in the process list: prefer
`BEDPLATE_TOKEN` or `--token-file`.

Verbs of volumes and pools ask the disk service of this host, at the socket in its directory
(`--dir`, `BEDPLATE_DIR`). They need no control plane and no token.

Verbs of buckets and objects speak S3 to a gateway, with an access key: from their flags, else
from the variables that all clients of S3 know (`AWS_ENDPOINT_URL`, `AWS_ACCESS_KEY_ID`,
`AWS_SECRET_ACCESS_KEY`, `AWS_SESSION_TOKEN`, `AWS_REGION`), else from what a gateway left in its
directory on this host. `bedplate gateway …` asks the gateway of this host at the socket there.

With `--output json` every verb prints the JSON of the API: for lists the whole list over all
pages, for watches one event a line. A verb that waits for an operation prints it with its
steps at the end. Progress, questions and errors go to standard error.

| exit status | meaning |
|---|---|
| 0 | done |
| 1 | it could not be done; the error says why and what to do next |
| 2 | the command line makes no sense |
| 3 | an operation needs attention: retry, skip or abandon it |
| 130 | Ctrl-C; what was asked for goes on |

Errors have one shape, on standard error:

```text
error[conflict]: It is in a state that forbids this
  machine m1 is active; enroll needs one that is discovered
  next: Look at its state, wait for what is going on, and try again.
```

";

/// The sections of a command's verbs, leaves only.
fn branches(text: &mut String, command: &Command, path: &str) {
    for verb in command.get_subcommands().filter(|verb| !verb.is_hide_set()) {
        if verb.get_name() == "help" {
            continue;
        }
        let path = format!("{path} {}", verb.get_name());
        match verb.has_subcommands() {
            true => {
                // A role that is run by its word alone, and has verbs as well.
                if !verb.is_subcommand_required_set() {
                    text.push_str(&help(&mut verb.clone(), Some(&path)));
                }
                branches(text, verb, &path);
            }
            false => text.push_str(&help(&mut verb.clone(), Some(&path))),
        }
    }
}

/// A heading and the help text.
fn help(command: &mut Command, path: Option<&str>) -> String {
    let heading = path.map_or_else(|| "## bedplate".to_owned(), |path| format!("## {path}"));
    let help = command.clone().term_width(WIDTH).render_help().to_string();
    let lines: Vec<&str> = help.lines().map(str::trim_end).collect();
    format!("{heading}\n\n```text\n{}\n```\n\n", lines.join("\n").trim())
}

/// Every example of the help texts, with the path of the verb that has it.
pub fn examples(root: &Command) -> Vec<(String, String)> {
    let mut found = Vec::new();
    gather(root, "bedplate", &mut found);
    found
}

fn gather(command: &Command, path: &str, found: &mut Vec<(String, String)>) {
    let help = command.get_after_help().map(ToString::to_string).unwrap_or_default();
    let examples = help.split("Examples:\n").nth(1).unwrap_or_default();
    for line in examples.lines().map_while(|line| line.strip_prefix("  ")) {
        found.push((path.to_owned(), line.to_owned()));
    }
    for verb in command.get_subcommands() {
        gather(verb, &format!("{path} {}", verb.get_name()), found);
    }
}
