//! Sanitising with files as disks, and looking for what remained.

use std::fs::{self, File, OpenOptions};
use std::os::unix::fs::FileExt as _;

use deploy::sanitise::{self, verify};
use deploy::work::Work;
use model::agent::AgentFact;
use model::machine::SanitiseMethod;

use crate::made_up::Machine;

#[test]
fn every_disk_is_overwritten_and_said_so() {
    let machine = Machine::new();
    let nodes = [machine.disk("vda", 9), machine.disk("nvme0n1", 5)];
    // A disk whose size is not a multiple of anything.
    OpenOptions::new().write(true).open(&nodes[1]).unwrap().set_len((5 << 20) - 512).unwrap();
    let fact =
        sanitise::sanitise(&machine.roots(), SanitiseMethod::CryptoErase, 50_000, &Work::default());
    let AgentFact::Sanitised { disks } = fact.unwrap() else { panic!("not sanitised") };
    assert_eq!(disks.len(), 2);
    for disk in &disks {
        assert_eq!(disk.method, SanitiseMethod::Overwrite, "a file can do nothing better");
        assert!(disk.residue.0 == 0 && disk.sampled.0 >= 2 << 20, "{disk:?}");
        assert_eq!(disk.serial, format!("SER-{}", disk.disk));
    }
    for node in nodes {
        assert!(fs::read(&node).unwrap().iter().all(|byte| *byte == 0));
    }
}

#[test]
fn residue_is_found() {
    let machine = Machine::new();
    let node = machine.disk("vda", 8);
    let size = 8 << 20;
    let before = verify::fingerprint(&File::open(&node).unwrap(), size, 1_000_000).unwrap();
    let disk = OpenOptions::new().read(true).write(true).open(&node).unwrap();
    let old = fs::read(&node).unwrap();
    disk.write_all_at(&vec![0; 8 << 20], 0).unwrap();
    let count = |method| verify::after(&disk, method, &before).unwrap();
    assert_eq!(count(SanitiseMethod::Overwrite).residue, 0);
    assert_eq!(count(SanitiseMethod::Overwrite).sampled, size);
    disk.write_all_at(b"left", 5_000_000).unwrap();
    assert_eq!(count(SanitiseMethod::Overwrite).residue, 4);
    // After a purge anything may be read, but not what was there.
    assert_eq!(count(SanitiseMethod::CryptoErase).residue, 0);
    disk.write_all_at(&old[4096..12288], 4096).unwrap();
    assert_eq!(count(SanitiseMethod::CryptoErase).residue, 8192);
    assert_eq!(count(SanitiseMethod::BlockErase).residue, 8192);
}

#[test]
fn a_disk_that_cannot_be_opened_is_a_failure() {
    let machine = Machine::new();
    machine.disk("vda", 8);
    fs::remove_file(machine.roots().dev("vda")).unwrap();
    let method = SanitiseMethod::Overwrite;
    let failure = sanitise::sanitise(&machine.roots(), method, 0, &Work::default()).unwrap_err();
    assert_eq!(failure.kind, model::agent::AgentFailureKind::Disk);
}
