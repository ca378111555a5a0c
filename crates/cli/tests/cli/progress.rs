//! Progress from recorded steps.

use cli::machine::timeline;
use cli::progress::{Journal, Screen, Usual, journal, live};
use cli::terminal::{Paint, Sink};
use model::Duration;
use model::api::{OperationDetail, Timeline, TimelineSpan};
use model::machine::{Lifecycle, Progress, Rung, StepKind};
use model::operation::{OperationKind, OperationState, StepResult};

use crate::samples::{Paper, at, machine, operation, step, step_state};

fn lines(news: Vec<journal::Line>) -> Vec<String> {
    news.iter().map(journal::Line::whole).collect()
}

#[test]
fn each_end_and_each_new_try_is_told_once() {
    let mut journal = Journal::default();
    let done = step(0, StepKind::PointAtImage, 0, Some(3));
    let mut restart = step(1, StepKind::Restart, 3, None);
    let told = lines(journal.news(&[done.clone(), restart.clone()]));
    assert_eq!(told, ["  ✓ deploying   point-at-image       3.0 s  its evidence"]);
    assert!(journal.news(&[done.clone(), restart.clone()]).is_empty());
    restart.rung = Rung::Again;
    restart.detail = "nothing was seen".to_owned();
    let told = lines(journal.news(&[done.clone(), restart.clone()]));
    assert_eq!(
        told,
        ["  ↻ deploying   restart                     nothing was seen; next: once more"]
    );
    // The try itself begins; its record has no fault any more.
    restart.attempt = 2;
    restart.detail = String::new();
    assert!(journal.news(&[done.clone(), restart.clone()]).is_empty());
    restart.rung = Rung::PowerCycle;
    restart.detail = "nothing was seen\x1b[2J".to_owned();
    let told = lines(journal.news(&[done.clone(), restart.clone()]));
    assert!(told[0].ends_with("next: after power off and on"), "{told:?}");
    assert!(!told[0].contains('\x1b'));
    // A look too late for the fault: the end is all there is.
    restart.ended = Some(at(63));
    restart.result = Some(StepResult::Failed);
    let told = lines(journal.news(&[done, restart]));
    assert!(told[0].starts_with("  ✗ deploying   restart          1 min 0 s  nothing"), "{told:?}");
}

#[test]
fn the_line_of_the_step_says_what_how_long_and_how_far() {
    let detail = OperationDetail {
        operation: operation(OperationKind::Deploy, OperationState::Running),
        steps: vec![step(0, StepKind::Attest, 0, Some(1)), step(1, StepKind::WriteImage, 1, None)],
    };
    let mut machine = machine("m1", Lifecycle::Deploying);
    let usual = Usual::default();
    let line = |machine: &model::machine::Machine, now| {
        live::going_on(&detail, Some(machine), &usual, at(now)).unwrap()
    };
    let expected =
        "deploying   write-image           12 s  writing the image to disk (usually 60 s)";
    assert_eq!(line(&machine, 13), expected);
    let mut state = step_state(1, StepKind::WriteImage, 1, 400);
    let (done, total) = (512 << 20, 1 << 30);
    state.progress = Some(Progress { doing: "writing image".to_owned(), done, total });
    machine.status.step = Some(state.clone());
    let text = line(&machine, 13);
    let bar = "██████████░░░░░░░░░░ 50 % 512.0 MiB of 1.0 GiB  writing image (usually 60 s)";
    assert!(text.ends_with(bar), "{text}");
    assert!(
        line(&machine, 200)
            .ends_with("(usually 60 s; given up in 3 min without a sign of progress)")
    );
    state.pause_until = Some(at(30));
    machine.status.step = Some(state);
    assert!(line(&machine, 13).ends_with("(tried again in 17 s)"));
    let ended = OperationDetail { steps: detail.steps[..1].to_vec(), ..detail.clone() };
    assert_eq!(live::going_on(&ended, Some(&machine), &usual, at(2)), None);
}

#[test]
fn what_is_usual_is_the_middle_of_what_was() {
    let mut records: Vec<_> =
        [10, 90, 20].iter().map(|took| step(0, StepKind::Restart, 0, Some(*took))).collect();
    let mut failed = step(0, StepKind::Restart, 0, Some(900));
    failed.result = Some(StepResult::Failed);
    records.push(failed);
    let usual = Usual::from_records(&records);
    assert_eq!(usual.of(StepKind::Restart), Duration::from_secs(20));
    assert_eq!(usual.of(StepKind::BurnIn), Usual::default().of(StepKind::BurnIn));
}

#[test]
fn where_nothing_can_be_drawn_over_each_step_is_said_once() {
    let paper = Paper::default();
    let mut screen = Screen::lines(Sink::new(paper.clone()), Paint::plain());
    for secs in 0..3 {
        screen.live(Some(&format!("deploying   restart   {secs} s  waiting")));
    }
    screen.line("  ✓ deploying restart");
    screen.live(Some("deploying   attest   0 s  proving"));
    drop(screen);
    let expected = "  … deploying   restart   0 s  waiting\n  ✓ deploying restart\n  … deploying   attest   0 s  proving\n";
    assert_eq!(paper.text(), expected);
}

#[test]
fn a_journal_line_fits() {
    let mut record = step(0, StepKind::Restart, 0, None);
    record.attempt = 3;
    record.rung = Rung::PowerCycle;
    let line = journal::line(&record, at(61), 60, Paint::plain());
    assert_eq!(line, "… deploying   restart          1 min 1 s  3 tries (power-cy…");
}

#[test]
fn a_timeline_is_in_proportion_and_rests_are_not_to_scale() {
    let span = |step, from: i64, secs: u64| TimelineSpan {
        lifecycle: Lifecycle::Inspecting,
        step,
        from: at(from),
        span: Duration::from_secs(secs),
        attempts: 1,
        detail: "evidence".to_owned(),
    };
    let timeline = Timeline {
        from: at(0),
        to: at(100_030),
        spans: vec![
            span(Some(StepKind::ReadParts), 0, 10),
            span(Some(StepKind::Restart), 10, 20),
            span(None, 30, 100_000),
        ],
    };
    let text = timeline::chart(&timeline, 40, at(100_030), Some(84), Paint::plain());
    let bars: Vec<usize> =
        text.lines().skip(2).take(3).map(|line| line.matches('█').count()).collect();
    assert_eq!(bars, [12, 24, 0], "{text}");
    assert_eq!(text.matches("evidence").count(), 3, "there is room beside the longest: {text}");
    assert!(text.contains("····"), "{text}");
    assert!(text.lines().all(|line| line.chars().count() <= 84), "{text}");
    assert!(text.contains("restart               20.0 s  66 %     1 ×"), "{text}");
    let last = timeline::chart(&timeline, 1, at(100_030), Some(84), Paint::plain());
    assert!(last.contains("2 earlier spans are not shown"), "{last}");
}
