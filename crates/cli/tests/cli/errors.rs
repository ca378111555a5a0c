//! The one shape of errors.

use cli::terminal::Paint;
use cli::{Exit, Failure};
use client::ClientError;
use model::operation::{OperationKind, OperationState};
use model::{ErrorCode, Problem};

use crate::samples::operation;

fn shown(failure: &Failure) -> String {
    failure.render(None, Paint::plain())
}

#[test]
fn a_problem_says_what_why_and_what_next() {
    let detail = "machine m1 is active; enroll needs one that is discovered";
    let failure = Failure::from(Problem::new(ErrorCode::Conflict, detail));
    let expected = "\
error[conflict]: It is in a state that forbids this
  machine m1 is active; enroll needs one that is discovered
  next: Look at its state, wait for what is going on, and try again.
";
    assert_eq!(shown(&failure), expected);
    assert_eq!(failure.exit.code(), 1);
}

#[test]
fn a_fault_inside_names_its_request() {
    let mut problem = Problem::new(ErrorCode::Internal, "it broke");
    problem.request = Some("r-17".to_owned());
    assert!(shown(&problem.into()).contains("  request r-17\n"));
}

#[test]
fn a_refused_connection_asks_whether_it_runs() {
    let (url, reason) = ("https://127.0.0.1:7443".to_owned(), "Connection refused".to_owned());
    let failure = Failure::from(ClientError::Unreachable { url, reason });
    let text = shown(&failure);
    assert!(
        text.starts_with(
            "error[unreachable]: Bedplate does not answer at https://127.0.0.1:7443\n"
        )
    );
    assert!(text.contains("next: Is it running? Start it with: bedplate up\n"), "{text}");
}

#[test]
fn certificates_are_refused_in_clear_words() {
    let cases = [
        ("invalid peer certificate: Expired", "has expired"),
        ("invalid peer certificate: certificate expired: verification time 5", "has expired"),
        ("invalid peer certificate: NotValidYet", "is not valid yet"),
        ("invalid peer certificate: NotValidForName", "is for another name"),
        ("invalid peer certificate: UnknownIssuer", "is not of a CA that is trusted here"),
    ];
    for (reason, words) in cases {
        let error =
            ClientError::Untrusted { url: "https://x".to_owned(), reason: reason.to_owned() };
        let text = shown(&error.into());
        assert!(text.contains(words), "{reason}: {text}");
        assert!(text.contains("next: "), "{text}");
    }
}

#[test]
fn attention_names_the_evidence_and_the_real_commands() {
    let operation = operation(OperationKind::Enroll, OperationState::NeedsAttention);
    let failure = cli::operation::attention(&operation, "m1", None);
    let expected = "\
attention[bmc-unreachable]: The enroll of m1 needs attention
  read-parts: the BMC gave no answer within 2 min 0 s
  - try 1 (first): refused
  - try 2 (again): refused
  m1 is quarantined meanwhile.
  next: Check the BMC's cable, address and power, then: bedplate operation retry 3f9c1a2b.
        bedplate machine show m1
        bedplate operation retry|skip|abandon 3f9c1a2b
";
    assert_eq!(shown(&failure), expected);
    assert_eq!(failure.exit, Exit::Attention);
    assert_eq!(failure.exit.code(), 3);
}

#[test]
fn what_was_the_same_each_time_is_said_once() {
    let mut operation = operation(OperationKind::Enroll, OperationState::NeedsAttention);
    let reason = operation.reason.as_mut().unwrap();
    reason.message = "read-parts: refused".to_owned();
    let text = shown(&cli::operation::attention(&operation, "m1", None));
    assert!(text.contains("  - try 2 (again): the same\n"), "{text}");
}

#[test]
fn long_words_go_on_in_their_column() {
    let failure = Failure::new("x", "what").why("why ".repeat(30)).next("next ".repeat(30));
    let text = failure.render(Some(60), Paint::plain());
    assert!(text.lines().all(|line| line.chars().count() <= 60), "{text}");
    assert!(text.lines().skip(1).all(|line| line.starts_with("  ")), "{text}");
}

#[test]
fn a_stranger_cannot_colour_an_error() {
    let failure = Failure::new("x", "a\x1b[2Jb").why("c\x1b]0;d").next("e\rf");
    assert!(!shown(&failure).contains(['\x1b', '\r']));
}

#[test]
fn a_closed_pipe_is_a_quiet_end() {
    let failure = Failure::from(std::io::Error::from(std::io::ErrorKind::BrokenPipe));
    assert_eq!((shown(&failure).as_str(), failure.exit), ("", Exit::Done));
}
