//! Tests of the simulated files: what lasts, what comes back, and what runs out.

use super::*;

fn files(troubles: Troubles) -> ModelFiles {
    ModelFiles::new(troubles, Seeded::new(1))
}

fn read(files: &ModelFiles, name: &str, offset: u64) -> Option<u8> {
    let mut byte = [0];
    let there = files.names().expect("it can be read").iter().any(|known| known == name);
    let read = there.then(|| files.open(name).expect("it opens").read_at(offset, &mut byte))?;
    read.ok().map(|()| byte[0])
}

#[test]
fn what_is_not_synced_lasts_as_its_fate_says() {
    let files = files(Troubles::default());
    let file = files.open("a").expect("it opens");
    file.write_at(4000, &[7; 600]).expect("it writes");
    let moment = files.moment();
    let pieces = moment.pieces();
    assert_eq!(pieces.tears().collect::<Vec<_>>(), [false, true, true]);
    let after = |fates: [Fate; 3]| moment.after_power_cut(&pieces, &fates, Seeded::new(2));
    use Fate::{Kept, Lost, Torn};
    assert_eq!(read(&after([Lost, Kept, Kept]), "a", 4100), None);
    assert_eq!(read(&after([Kept, Kept, Lost]), "a", 4100), None, "it ends before");
    assert_eq!(read(&after([Kept, Lost, Kept]), "a", 4000), Some(0));
    assert_eq!(read(&after([Kept, Torn(0b1000_0000), Torn(1)]), "a", 4599), Some(7));
}

#[test]
fn what_is_synced_lasts_and_a_removed_name_may_come_back() {
    let files = files(Troubles::default());
    let file = files.open("a").expect("it opens");
    file.write_at(0, &[7]).expect("it writes");
    file.sync().expect("it syncs");
    files.sync_names().expect("it syncs");
    files.remove("a").expect("it is there");
    let moment = files.moment();
    assert_eq!(
        read(&moment.after_power_cut(&moment.pieces(), &[Fate::Lost], Seeded::new(2)), "a", 0),
        Some(7)
    );
    assert_eq!(
        read(&moment.after_power_cut(&moment.pieces(), &[Fate::Kept], Seeded::new(2)), "a", 0),
        None
    );
    let mut byte = [0];
    file.read_at(0, &mut byte).expect("what is open stays readable");
}

#[test]
fn a_failed_sync_drops_what_reads_may_show_on() {
    let (mut shown, mut lost) = (0, 0);
    for seed in 0..40 {
        let troubles = Troubles { sync_error: 1_000_000, ..Troubles::default() };
        let files = ModelFiles::new(troubles, Seeded::new(seed));
        let file = files.open("a").expect("it opens");
        files.inside().moment.sync(|_| false).expect_err("all fail");
        files.inside().moment.pending.clear();
        let name = Change::Name { name: "a".to_owned(), inode: Some(0) };
        files.inside().moment.durable.apply(&name);
        file.write_at(0, &[7]).expect("it writes");
        file.sync().expect_err("all fail");
        let after = {
            let moment = files.moment();
            moment.after_power_cut(&moment.pieces(), &[], Seeded::new(1))
        };
        let dropped = read(&after, "a", 0) != Some(7);
        lost += u32::from(dropped);
        shown += u32::from(dropped && read(&files, "a", 0) == Some(7));
    }
    assert!(lost > 5 && shown > 1 && shown < lost, "{lost} lost, {shown} of them shown");
}

#[test]
fn room_runs_out_and_comes_back() {
    let files = files(Troubles { room: Some(4 * BLOCK), ..Troubles::default() });
    let file = files.open("a").expect("it opens");
    file.write_at(0, &[1; 2 * BLOCK as usize]).expect("there is room");
    file.allocate(2 * BLOCK, 2 * BLOCK).expect("there is room");
    let other = files.open("b").expect("it opens");
    assert_eq!(
        other.write_at(0, &[1]).map_err(|error| error.kind()),
        Err(io::ErrorKind::StorageFull)
    );
    file.write_at(3 * BLOCK, &[1]).expect("it was reserved");
    file.punch(0, BLOCK).expect("it punches");
    other.write_at(0, &[1]).expect("there is room again");
    assert_eq!((files.free().expect("it says"), read(&files, "a", 0)), (0, Some(0)));
}
