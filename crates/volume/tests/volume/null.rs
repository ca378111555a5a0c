//! Null and raw volumes, limits, and what is refused.

use bedplate_volume::lane::{Lane, MediumIndex};
use bedplate_volume::{Fault, Kind, Nanos, Region, Request, Tag};
use model::volume::Limits;

use super::disk::Disk;
use super::memory::segments;
use super::world::{Asked, settings};

fn request(kind: Kind, offset: u64, length: u64) -> Request<'static> {
    Request { kind, offset, length, fua: false, segments: &[] }
}

#[test]
fn a_null_volume_answers_at_once_and_counts() {
    let mut disk = Disk::new(4096, 1);
    let mut lane = Lane::new(settings(), Region::leaked(2 << 20));
    let node = lane.gate().add(None, Limits::NONE, Nanos(0));
    let volume = lane.open_null(1 << 20, node).expect("a null volume");
    for number in 0..100 {
        lane.submit(volume, Tag(number), &request(Kind::Read, 4096, 4096), Nanos(1000), &mut disk);
    }
    // A turn with the time of the batch knows no better when it was over.
    lane.turn(Nanos(1000), &mut disk);
    assert!(lane.owes_times());
    lane.settle(Nanos(3000));
    assert!(!lane.owes_times());
    assert_eq!(disk.replies.len(), 100);
    assert!(disk.replies.iter().all(|(_, outcome)| outcome.is_ok()));
    let statistics = lane.statistics(volume).expect("open");
    assert_eq!(statistics.bytes_read(), 100 * 4096);
    assert_eq!(
        statistics.latency(Kind::Read).map(bedplate_volume::histogram::Histogram::count),
        Some(100)
    );
    let least = statistics.latency(Kind::Read).and_then(|reads| reads.quantile(0.0));
    assert!(least.is_some_and(|least| least.abs_diff(2000) < 2000 / 32), "{least:?}");
    assert!(statistics.latency(Kind::Write).is_none());
}

#[test]
fn what_is_out_of_range_is_refused() {
    let mut disk = Disk::new(4096, 1);
    let mut lane = Lane::new(settings(), Region::leaked(2 << 20));
    let node = lane.gate().add(None, Limits::NONE, Nanos(0));
    let volume = lane.open_null(1 << 20, node).expect("a null volume");
    for (offset, length) in
        [(1 << 20, 512), (0, (1 << 20) + 512), (u64::MAX - 511, 512), (100, 512), (512, 100)]
    {
        lane.submit(
            volume,
            Tag(1),
            &request(Kind::WriteZeroes, offset, length),
            Nanos(1),
            &mut disk,
        );
        assert_eq!(
            disk.replies.pop_front(),
            Some((Tag(1), Err(Fault::Range))),
            "{offset} {length}"
        );
    }
    lane.close(volume).expect("nothing is in flight");
    lane.submit(volume, Tag(2), &request(Kind::Flush, 0, 0), Nanos(1), &mut disk);
    assert_eq!(disk.replies.pop_front(), Some((Tag(2), Err(Fault::Closed))));
}

#[test]
fn limits_hold_the_next_request_back() {
    let mut disk = Disk::new(4096, 1);
    let mut lane = Lane::new(settings(), Region::leaked(2 << 20));
    let limits = Limits { iops: Some(1000), ..Limits::NONE };
    let node = lane.gate().add(None, limits, Nanos(0));
    let volume = lane.open_null(1 << 20, node).expect("a null volume");
    let (mut now, mut done) = (Nanos(0), 0);
    while now < Nanos(1_000_000_000) {
        match lane.ready(volume, now) {
            Ok(()) => {
                lane.submit(volume, Tag(done), &request(Kind::Write, 0, 512), now, &mut disk);
                done += 1;
            }
            Err(when) => now = when.max(now.plus(1)),
        }
    }
    assert!((990..=1020).contains(&done), "{done} in a second");
}

#[test]
fn a_raw_volume_is_the_medium() {
    let mut disk = Disk::new(8 << 20, 3);
    let mut lane = Lane::new(settings(), Region::leaked(2 << 20));
    let node = lane.gate().add(None, Limits::NONE, Nanos(0));
    let volume =
        lane.open_raw(MediumIndex(1), 8 << 20, false, node, &mut disk).expect("a raw volume");
    let mut asked = Asked {
        volume: 0,
        kind: Kind::Write,
        sectors: 0..0,
        memory: (0..8192).map(|at| at as u8).collect(),
        cuts: vec![100, 8092],
        expect: Vec::new(),
        begun: 0,
    };
    let pieces = segments(&mut asked);
    let write =
        Request { kind: Kind::Write, offset: 512, length: 8192, fua: true, segments: &pieces };
    lane.submit(volume, Tag(1), &write, Nanos(1), &mut disk);
    while disk.complete_one(&mut lane, Nanos(2)) {}
    assert_eq!(disk.replies.pop_front(), Some((Tag(1), Ok(()))));
    assert_eq!(disk.content[512..8704], asked.memory[..]);
    assert_eq!(disk.syncs, 1, "forced unit access is a sync");
    disk.content.fill(7);
    lane.submit(
        volume,
        Tag(2),
        &request(Kind::WriteZeroes, 512, (3 << 20) + 512),
        Nanos(3),
        &mut disk,
    );
    while disk.complete_one(&mut lane, Nanos(4)) {}
    assert_eq!(disk.replies.pop_front(), Some((Tag(2), Ok(()))));
    assert!(disk.content[512..(3 << 20) + 1024].iter().all(|byte| *byte == 0));
    assert_eq!((disk.content[511], disk.content[(3 << 20) + 1024]), (7, 7));
}
