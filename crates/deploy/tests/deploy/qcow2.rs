//! qcow2 images that qemu-img made, compared with the bytes they were made of.

use std::fs;

use model::agent::AgentFailureKind;
use model::image::{Compression, ImageFormat};

use crate::authority::Authority;
use crate::files::{Shelf, serve};
use crate::image::{order, shelf, write};
use crate::made_up::{Machine, has, path, run, system};

/// Converts `plain` with these options; returns the file's bytes.
fn convert(machine: &Machine, plain: &[u8], options: &[&str]) -> Vec<u8> {
    let (raw, image) = (machine.file("plain.raw"), machine.file("image.qcow2"));
    fs::write(&raw, plain).unwrap();
    let mut arguments = vec!["convert", "-f", "raw", "-O", "qcow2"];
    arguments.extend(options);
    arguments.extend([path(&raw), path(&image)]);
    run("qemu-img", &arguments);
    fs::read(&image).unwrap()
}

#[tokio::test]
async fn every_kind_of_qcow2_arrives_whole() {
    if !has("qemu-img", "qemu-utils") {
        return;
    }
    let authority = Authority::new();
    let plain = system(20);
    let kinds: [&[&str]; 8] = [
        &[],
        &["-c"],
        &["-c", "-o", "compression_type=zstd"],
        &["-o", "compat=0.10"],
        &["-o", "cluster_size=512"],
        &["-c", "-o", "cluster_size=4096"],
        &["-o", "cluster_size=2M"],
        &["-o", "preallocation=metadata"],
    ];
    for options in kinds {
        for ranges in [true, false] {
            let machine = Machine::new();
            let node = machine.disk("vda", 24);
            let image = convert(&machine, &plain, options);
            let shelf = Shelf { ranges, cuts: [200_000, 900_000].into(), ..shelf(image) };
            let files = serve(&authority, shelf).await;
            let order = order(&files, ImageFormat::Qcow2, Compression::None, plain.len());
            write(&machine, &authority, order).await.unwrap();
            assert!(fs::read(&node).unwrap()[..plain.len()] == plain, "{options:?} {ranges}");
        }
    }
}

#[tokio::test]
async fn packed_twice() {
    if !has("qemu-img", "qemu-utils") {
        return;
    }
    let (authority, machine) = (Authority::new(), Machine::new());
    let node = machine.disk("vda", 24);
    let plain = system(20);
    let image = convert(&machine, &plain, &[]);
    let files = serve(&authority, shelf(zstd::encode_all(&image[..], 1).unwrap())).await;
    let order = order(&files, ImageFormat::Qcow2, Compression::Zstd, plain.len());
    write(&machine, &authority, order).await.unwrap();
    assert!(fs::read(&node).unwrap()[..plain.len()] == plain);
}

/// A snapshot makes QEMU copy tables behind the data that they speak of.
#[tokio::test]
async fn tables_behind_their_data_need_ranges() {
    if !has("qemu-io", "qemu-utils") {
        return;
    }
    let (authority, machine) = (Authority::new(), Machine::new());
    let node = machine.disk("vda", 24);
    let image = machine.file("used.qcow2");
    run("qemu-img", &["create", "-f", "qcow2", path(&image), "20M"]);
    run("qemu-io", &["-c", "write -P 1 0 5M", "-c", "write -P 2 9M 64k", path(&image)]);
    run("qemu-img", &["snapshot", "-c", "before", path(&image)]);
    run("qemu-io", &["-c", "write -P 3 1M 64k", "-c", "write -z 2M 128k", path(&image)]);
    let raw = machine.file("expected.raw");
    run("qemu-img", &["convert", "-O", "raw", path(&image), path(&raw)]);
    let (bytes, expected) = (fs::read(&image).unwrap(), fs::read(&raw).unwrap());

    let files = serve(&authority, shelf(bytes.clone())).await;
    let written = order(&files, ImageFormat::Qcow2, Compression::None, expected.len());
    write(&machine, &authority, written).await.unwrap();
    assert!(fs::read(&node).unwrap()[..expected.len()] == expected);

    let files = serve(&authority, shelf(zstd::encode_all(&bytes[..], 1).unwrap())).await;
    let packed = order(&files, ImageFormat::Qcow2, Compression::Zstd, expected.len());
    let failure = write(&machine, &authority, packed).await.unwrap_err();
    assert_eq!(failure.kind, AgentFailureKind::Refused);
    assert!(failure.message.contains("tables lie behind"), "{}", failure.message);
}

#[tokio::test]
async fn what_needs_more_than_the_file_is_refused() {
    if !has("qemu-img", "qemu-utils") {
        return;
    }
    let (authority, machine) = (Authority::new(), Machine::new());
    machine.disk("vda", 24);
    let (base, top) = (machine.file("base.raw"), machine.file("top.qcow2"));
    fs::write(&base, system(8)).unwrap();
    run("qemu-img", &["create", "-f", "qcow2", "-F", "raw", "-b", path(&base), path(&top)]);
    let secret =
        ["--object", "secret,id=s,data=secret12", "-o", "encrypt.format=luks,encrypt.key-secret=s"];
    let locked = machine.file("locked.qcow2");
    run("qemu-img", &[&["create", "-f", "qcow2"], &secret[..], &[path(&locked), "8M"]].concat());
    for (file, words) in [(top, "backing file"), (locked, "encrypted"), (base, "not a qcow2")] {
        let files = serve(&authority, shelf(fs::read(&file).unwrap())).await;
        let order = order(&files, ImageFormat::Qcow2, Compression::None, 8 << 20);
        let failure = write(&machine, &authority, order).await.unwrap_err();
        assert_eq!(failure.kind, AgentFailureKind::Refused);
        assert!(failure.message.contains(words), "{}", failure.message);
    }
}
