//! Clients that others wrote.

use bedplate_disk::nbd::Rules;

use crate::server::{Disk, Server};
use crate::tool;

const MIB: usize = 1 << 20;

/// Bytes without a pattern that a misplaced block would repeat, with a hole.
fn content(size: usize) -> Vec<u8> {
    let mut state = 0x9e37_79b9_7f4a_7c15_u64;
    let mut bytes: Vec<u8> = (0..size)
        .map(|_| {
            state ^= state << 13;
            state ^= state >> 7;
            state ^= state << 17;
            state as u8
        })
        .collect();
    bytes[size / 4..size / 2].fill(0);
    bytes
}

fn server(size: usize) -> Server {
    Server::start(Disk::new(size), Rules::default())
}

#[test]
fn nbdinfo_sees_what_is_served() {
    let Some(mut nbdinfo) = tool::find("nbdinfo", "libnbd-bin") else { return };
    let server = server(8 * MIB);
    server.disk.bytes.lock().expect("lock")[MIB] = 1;
    let said = tool::run(nbdinfo.arg(server.uri("disk")));
    for line in [
        "export-size: 8388608",
        "is_read_only: false",
        "can_multi_conn: true",
        "can_fua: true",
        "can_df: true",
        "can_trim: true",
        "can_zero: true",
        "base:allocation",
        "block_size_minimum: 512",
        "block_size_preferred: 4096",
        "block_size_maximum: 33554432",
        "structured",
    ] {
        assert!(said.contains(line), "{line} is not in {said}");
    }
    let mut nbdinfo = tool::find("nbdinfo", "libnbd-bin").expect("it was there");
    let said = tool::run(nbdinfo.arg("--list").arg(server.uri("")));
    assert!(said.contains("disk") && said.contains("frozen"), "{said}");
    assert!(said.contains("description: a disk in memory"), "{said}");
    let mut nbdinfo = tool::find("nbdinfo", "libnbd-bin").expect("it was there");
    let said = tool::run(nbdinfo.arg("--map").arg(server.uri("frozen")));
    let words: Vec<Vec<&str>> =
        said.lines().map(|line| line.split_whitespace().collect()).collect();
    assert_eq!(words[0][..3], ["0", "1048576", "3"], "{said}");
    assert_eq!(words[1][..3], ["1048576", "65536", "0"], "{said}");
    assert_eq!(words[2][..3], ["1114112", "7274496", "3"], "{said}");
}

#[test]
fn an_export_that_is_not_there_is_refused() {
    let Some(mut nbdinfo) = tool::find("nbdinfo", "libnbd-bin") else { return };
    let server = server(MIB);
    let output = nbdinfo.arg(server.uri("other")).output().expect("run");
    let said = tool::said(&output);
    assert!(!output.status.success() && said.contains("No such file"), "{said}");
}

#[test]
fn nbdcopy_copies_there_and_back_over_four_connections() {
    let Some(mut nbdcopy) = tool::find("nbdcopy", "libnbd-bin") else { return };
    let server = server(32 * MIB);
    let bytes = content(32 * MIB);
    std::fs::write(server.folder.path("in"), &bytes).expect("written");
    tool::run(
        nbdcopy
            .args(["--connections=4", "--threads=4", "--requests=64", "--flush"])
            .args([&server.folder.text("in"), &server.uri("disk")]),
    );
    assert!(*server.disk.bytes.lock().expect("lock") == bytes, "what was copied is there");
    assert!(*server.disk.connections.lock().expect("lock") >= 4);
    for size in ["4096", "262144", "16777216", "33554432"] {
        let mut nbdcopy = tool::find("nbdcopy", "libnbd-bin").expect("it was there");
        nbdcopy.arg(format!("--request-size={size}"));
        tool::run(nbdcopy.args([&server.uri("frozen"), &server.folder.text("out")]));
        let back = std::fs::read(server.folder.path("out")).expect("read");
        assert!(back == bytes, "what came back in requests of {size} is what was there");
    }
}

#[test]
fn large_writes_are_taken_in_pieces() {
    let Some(mut nbdcopy) = tool::find("nbdcopy", "libnbd-bin") else { return };
    let server = server(64 * MIB);
    let bytes = content(64 * MIB);
    std::fs::write(server.folder.path("in"), &bytes).expect("written");
    let (from, to) = (server.folder.text("in"), server.uri("disk"));
    tool::run(nbdcopy.args(["--request-size=33554432", "--sparse=0", &from, &to]));
    assert!(*server.disk.bytes.lock().expect("lock") == bytes, "what was copied is there");
}

#[test]
fn qemu_img_compares_and_converts() {
    let Some(mut convert) = tool::find("qemu-img", "qemu-utils") else { return };
    let server = server(16 * MIB);
    let bytes = content(16 * MIB);
    std::fs::write(server.folder.path("in"), &bytes).expect("written");
    let (file, back) = (server.folder.text("in"), server.folder.text("back"));
    let uri = server.uri("disk");
    tool::run(convert.args(["convert", "-n", "-W", "-f", "raw", "-O", "raw", &file, &uri]));
    assert!(*server.disk.bytes.lock().expect("lock") == bytes, "what was converted is there");
    let qemu_img = |arguments: &[&str]| {
        let mut command = tool::find("qemu-img", "qemu-utils").expect("it was there");
        tool::run(command.args(arguments))
    };
    let said = qemu_img(&["compare", "-f", "raw", "-F", "raw", &file, &server.uri("frozen")]);
    assert!(said.contains("Images are identical"), "{said}");
    qemu_img(&["convert", "-f", "raw", "-O", "qcow2", &uri, &back]);
    let said = qemu_img(&["compare", "-f", "raw", "-F", "qcow2", &file, &back]);
    assert!(said.contains("Images are identical"), "{said}");
    let said = qemu_img(&["info", &uri]);
    assert!(said.contains("16 MiB (16777216 bytes)"), "{said}");
    let said = qemu_img(&["map", "--output=json", "-f", "raw", &uri]);
    assert!(said.contains("\"start\": 4194304, \"length\": 4194304"), "{said}");
}

#[test]
fn qemu_io_writes_zeroes_discards_and_flushes() {
    let Some(mut qemu_io) = tool::find("qemu-io", "qemu-utils") else { return };
    let server = server(4 * MIB);
    let said = tool::run(
        qemu_io
            .args(["-f", "raw", "-d", "unmap"])
            .args([
                "-c",
                "write -P 0xa5 0 1M",
                "-c",
                "write -f -P 0x5a 64k 512",
                "-c",
                "read -P 0x5a 64k 512",
                "-c",
                "write -z 128k 64k",
                "-c",
                "write -z -u 256k 64k",
                "-c",
                "discard 512k 128k",
                "-c",
                "flush",
                "-c",
                "read -P 0 128k 64k",
                "-c",
                "read -P 0xa5 192k 64k",
                "-c",
                "aio_write -P 1 2M 700k",
                "-c",
                "aio_write -P 2 3M 4k",
                "-c",
                "aio_flush",
                "-c",
                "read -P 1 2M 700k",
            ])
            .arg(server.uri("disk")),
    );
    assert!(!said.contains("failed") && !said.contains("verification"), "{said}");
    let bytes = server.disk.bytes.lock().expect("lock");
    assert!(bytes[512 << 10..640 << 10].iter().all(|byte| *byte == 0), "discarded");
    assert!(bytes[3 * MIB..3 * MIB + 4096].iter().all(|byte| *byte == 2));
}

#[test]
fn a_read_only_export_refuses_writes() {
    let Some(mut qemu_io) = tool::find("qemu-io", "qemu-utils") else { return };
    let server = server(MIB);
    let frozen = server.uri("frozen");
    let output = qemu_io.args(["-f", "raw", "-c", "write 0 512", &frozen]).output();
    let output = output.expect("run");
    assert!(!output.status.success(), "{}", tool::said(&output));
    assert!(server.disk.bytes.lock().expect("lock").iter().all(|byte| *byte == 0));
}

#[test]
fn a_bad_block_is_an_error_and_the_rest_is_served() {
    let Some(mut qemu_io) = tool::find("qemu-io", "qemu-utils") else { return };
    let disk = Disk::with_bad(4 * MIB, Some(3 << 19));
    let server = Server::start(disk, Rules::default());
    let uri = server.uri("disk");
    let output = qemu_io
        .args(["-f", "raw", "-c", "read 1M 1M", "-c", "write 1M 1M", "-c", "read -P 0 2M 1M"])
        .arg(uri)
        .output()
        .expect("run");
    let said = tool::said(&output);
    assert!(said.contains("read failed: Input/output error"), "{said}");
    assert!(said.contains("write failed: Input/output error"), "{said}");
    assert!(said.contains("read 1048576/1048576 bytes at offset 2097152"), "{said}");
}

#[test]
fn fio_reads_back_what_it_wrote() {
    let Some(mut fio) = tool::find("fio", "fio") else { return };
    let server = server(64 * MIB);
    let uri = format!("--uri={}", server.uri("disk"));
    fio.current_dir(server.folder.path(""));
    let output = fio
        .args(["--name=verify", "--ioengine=nbd", "--rw=randwrite", "--bsrange=512-128k"])
        .args(["--bs_unaligned=0", "--iodepth=32", "--size=64m", "--verify=crc32c"])
        .args(["--verify_fatal=1", "--randseed=7", &uri])
        .output()
        .expect("run");
    let said = tool::said(&output);
    if said.contains("engine nbd not loadable") || said.contains("failed to load engine") {
        println!("skipped: fio has no nbd engine (apt-get install fio)");
        return;
    }
    assert!(output.status.success() && said.contains("err= 0"), "{said}");
}
