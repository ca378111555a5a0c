//! Tables at every width.

use cli::machine::list;
use cli::table::{Table, cell, keep, spare};
use cli::terminal::{Paint, Tone};
use model::api::Page;
use model::machine::{Deployment, Lifecycle, Progress, StepKind, SystemPresence};
use proptest::prelude::*;

use crate::samples::{at, machine, quarantined, step_state};

fn machines(width: Option<usize>) -> String {
    let mut active = machine("m2", Lifecycle::Active);
    active.spec.deployment = Some(Deployment {
        project: "web".to_owned(),
        image: "debian-12".to_owned(),
        hostname: "web-1".to_owned(),
        ssh_keys: Vec::new(),
        user_data: None,
        disk: None,
        kexec: false,
    });
    active.status.system =
        Some(SystemPresence { address: Some("10.0.0.5".to_owned()), ..SystemPresence::default() });
    let mut deploying = machine("m10", Lifecycle::Deploying);
    let mut step = step_state(4, StepKind::WriteImage, 0, 600);
    step.progress = Some(Progress { doing: "writing".to_owned(), done: 43, total: 100 });
    step.attempt = 2;
    deploying.status.step = Some(step);
    let items = vec![deploying, active, machine("m1", Lifecycle::Available), quarantined("z9")];
    let page = Page { items, next_page: None, revision: 7 };
    list::table(&page, at(200)).render(width, Paint::plain())
}

#[test]
fn what_waits_for_a_person_is_first_then_what_moves() {
    let text = machines(Some(80));
    let names: Vec<&str> =
        text.lines().skip(1).map(|line| line.trim_start_matches(['!', ' '])).collect();
    let starts: Vec<&str> = names.iter().map(|line| line.split(' ').next().unwrap()).collect();
    assert_eq!(starts, ["z9", "m10", "m1", "m2"], "{text}");
    assert!(text.lines().nth(1).unwrap().starts_with("!  z9"), "{text}");
}

#[test]
fn a_narrow_terminal_keeps_what_matters() {
    let text = machines(Some(40));
    let expected = "   NAME  STATE        DOING
!  z9    quarantined  bmc-unreachable
   m10   deploying    write-image 43 %,…
   m1    available
   m2    active
";
    // The cut text shows that all of the room is used.
    assert_eq!(text, expected, "\n{text}");
}

#[test]
fn more_room_shows_more_and_what_is_empty_takes_none() {
    let (usual, wide) = (machines(Some(80)), machines(Some(200)));
    assert!(usual.contains("SINCE") && usual.contains("ADDRESS"), "{usual}");
    assert!(wide.contains("web/web-1 (debian-12)") && wide.contains("zone=a"), "{wide}");
    assert!(!wide.contains("RACK") && !wide.contains("PRODUCT"), "{wide}");
    assert_eq!(wide, machines(None));
}

#[test]
fn colours_take_no_room() {
    let mut table = Table::new(&[keep("A", 1), keep("B", 1)]);
    table.row(vec![cell(Tone::Good, "x"), "y".into()]);
    let plain = table.render(Some(20), Paint::plain());
    let colourful = table.render(Some(20), Paint::new(true));
    assert_eq!(plain, "A  B\nx  y\n");
    assert!(colourful.contains("\x1b[32mx\x1b[0m  y"), "{colourful:?}");
}

proptest! {
    #[test]
    fn no_line_is_wider_than_the_terminal(
        cells in prop::collection::vec(prop::collection::vec("\\PC{0,40}", 4), 1..6),
        width in 4_usize..120,
    ) {
        let columns =
            [keep("", 1), keep("NAME", 6), spare("LONGER", 2, 10), spare("LAST", 1, 3)];
        let mut table = Table::new(&columns);
        for row in cells {
            table.row(row.into_iter().map(Into::into).collect());
        }
        for line in table.render(Some(width), Paint::plain()).lines() {
            prop_assert!(line.chars().count() <= width, "{width}: {line:?}");
        }
    }
}
