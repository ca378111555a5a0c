//! Growing and seeding, judged by sgdisk and mtools.

use std::fs;

use model::agent::{AgentFailureKind, SeedFile, WriteImage};
use model::image::{Compression, ImageFormat};

use crate::authority::Authority;
use crate::files::serve;
use crate::image::{order, shelf, write};
use crate::made_up::{Machine, has, junk, path, run};

const SECTOR: u64 = 512;

/// An image with an EFI system partition and a root behind it, as distributions make them.
fn image(machine: &Machine) -> Vec<u8> {
    let file = machine.file("disk.raw");
    fs::write(&file, vec![0; 16 << 20]).unwrap();
    let layout =
        ["-a", "2048", "-n", "15:2048:+4M", "-t", "15:ef00", "-n", "1:0:0", "-t", "1:8300"];
    run("sgdisk", &[&layout[..], &[path(&file)]].concat());
    let mut bytes = fs::read(&file).unwrap();
    bytes[8 << 20..9 << 20].copy_from_slice(&junk(1 << 20, 5));
    bytes
}

fn seed() -> Vec<SeedFile> {
    let file = |name: &str, content: &str| SeedFile { name: name.into(), content: content.into() };
    vec![
        file("meta-data", "instance-id: m1\nlocal-hostname: m1\n"),
        file("user-data", &format!("#cloud-config\n{}", "# padding\n".repeat(3000))),
        file("network-config", ""),
    ]
}

/// First and last sector of a partition, as sgdisk tells them.
fn partition(disk: &str, number: u32) -> (u64, u64) {
    let text = run("sgdisk", &["-i", &number.to_string(), disk]);
    let value = |name: &str| {
        let line = text.lines().find(|line| line.starts_with(name)).unwrap();
        line.split_whitespace().nth(2).unwrap().parse().unwrap()
    };
    (value("First sector:"), value("Last sector:"))
}

#[tokio::test]
async fn the_last_partition_grows_and_the_seed_is_read_by_others() {
    if !has("sgdisk", "gdisk") || !has("mtype", "mtools") || !has("fsck.fat", "dosfstools") {
        return;
    }
    let (authority, machine) = (Authority::new(), Machine::new());
    let node = machine.disk("vda", 64);
    let bytes = image(&machine);
    let files = serve(&authority, shelf(bytes.clone())).await;
    let order = order(&files, ImageFormat::Raw, Compression::None, bytes.len());
    let order = WriteImage { grow: true, seed: seed(), ..order };
    write(&machine, &authority, order).await.unwrap();

    let disk = path(&node);
    let verdict = run("sgdisk", &["-v", disk]);
    assert!(verdict.contains("No problems found"), "{verdict}");
    let (esp, root, seed_at) = (partition(disk, 15), partition(disk, 1), partition(disk, 2));
    assert_eq!(esp.0, 2048);
    assert_eq!(root.1 + 1, seed_at.0, "the root takes all up to the seed");
    assert!(seed_at.1 * SECTOR > 62 << 20, "the seed is at the end: {seed_at:?}");
    let now = fs::read(&node).unwrap();
    assert!(now[2 << 20..15 << 20] == bytes[2 << 20..15 << 20]);

    let volume = machine.file("seed.img");
    fs::write(&volume, &now[(seed_at.0 * SECTOR) as usize..((seed_at.1 + 1) * SECTOR) as usize])
        .unwrap();
    run("fsck.fat", &["-n", path(&volume)]);
    for file in seed() {
        let name = format!("::{}", file.name);
        assert_eq!(run("mtype", &["-i", path(&volume), &name]), file.content, "{name}");
    }
    assert!(run("mlabel", &["-s", "-i", path(&volume), "::"]).contains("CIDATA"));
    assert!(run("blkid", &["-p", "-o", "export", path(&volume)]).contains("LABEL=CIDATA"));
}

#[tokio::test]
async fn without_growing_the_rest_stays_free() {
    if !has("sgdisk", "gdisk") {
        return;
    }
    let (authority, machine) = (Authority::new(), Machine::new());
    let node = machine.disk("vda", 64);
    let bytes = image(&machine);
    fs::write(machine.file("before.raw"), &bytes).unwrap();
    let before = partition(path(&machine.file("before.raw")), 1);
    let files = serve(&authority, shelf(bytes.clone())).await;
    let order = order(&files, ImageFormat::Raw, Compression::None, bytes.len());
    let order = WriteImage { seed: seed(), ..order };
    write(&machine, &authority, order).await.unwrap();
    let verdict = run("sgdisk", &["-v", path(&node)]);
    assert!(verdict.contains("No problems found"), "{verdict}");
    assert_eq!(partition(path(&node), 1), before);
}

#[tokio::test]
async fn an_old_partition_table_grows_too() {
    if !has("sfdisk", "fdisk") {
        return;
    }
    let (authority, machine) = (Authority::new(), Machine::new());
    let node = machine.disk("vda", 64);
    let file = machine.file("disk.raw");
    fs::write(&file, vec![0; 16 << 20]).unwrap();
    let script = format!("echo '2048,16384,83' | sfdisk -q {}", path(&file));
    run("sh", &["-c", &script]);
    let files = serve(&authority, shelf(fs::read(&file).unwrap())).await;
    let order = order(&files, ImageFormat::Raw, Compression::None, 16 << 20);
    write(&machine, &authority, WriteImage { grow: true, seed: seed(), ..order }).await.unwrap();
    let text = run("sfdisk", &["-d", path(&node)]);
    assert!(text.contains("start=        2048, size=      12"), "{text}");
    assert!(text.contains("type=c"), "{text}");
    run("sfdisk", &["-V", path(&node)]);
}

#[tokio::test]
async fn a_seed_without_a_place_is_refused() {
    let (authority, machine) = (Authority::new(), Machine::new());
    machine.disk("vda", 16);
    let files = serve(&authority, shelf(junk(8 << 20, 3))).await;
    let order = order(&files, ImageFormat::Raw, Compression::None, 8 << 20);
    let order = WriteImage { seed: seed(), ..order };
    let failure = write(&machine, &authority, order).await.unwrap_err();
    assert_eq!(failure.kind, AgentFailureKind::Refused, "{}", failure.message);
}
