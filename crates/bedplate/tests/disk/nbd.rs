//! NBD clients that others wrote: what they write they read again, and images come out
//! as they went in.

use std::thread;

use crate::service::{Service, have, run};

/// MiB of the volumes.
const SIZE: u64 = 64;

fn noise(path: &std::path::Path) {
    let mut state = 7_u64;
    let words = (0..SIZE << 17).flat_map(|place| {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
        // A quarter of it is holes.
        let word = if place >> 15 & 3 == 3 { 0 } else { state >> 8 };
        word.to_le_bytes()
    });
    std::fs::write(path, words.collect::<Vec<u8>>()).expect("a file of noise");
}

#[test]
fn images_come_out_of_a_volume_as_they_went_in() {
    if !have(&[("nbdcopy", "libnbd-bin"), ("nbdinfo", "libnbd-bin"), ("qemu-img", "qemu-utils")]) {
        return;
    }
    let service = Service::start("images", 256);
    let folder = &service.directory;
    noise(&folder.join("image"));
    for (volume, encrypt) in [("plain", false), ("sealed", true)] {
        service.volume(volume, SIZE, encrypt);
        let address = service.serve(volume);
        let info = run("nbdinfo", &["--json", &address], folder);
        let info: serde_json::Value = serde_json::from_str(&info).expect("JSON");
        assert_eq!(info["exports"][0]["export-size"], SIZE << 20, "{info}");
        run("nbdcopy", &["--flush", "image", &address], folder);
        let compare = ["compare", "-f", "raw", "-F", "raw", "image", &address];
        assert!(run("qemu-img", &compare, folder).contains("identical"), "{volume}");
        // What is served by the next engine is the same, by way of another format.
        service.replace();
        run("qemu-img", &["convert", "-f", "raw", "-O", "qcow2", &address, "out"], folder);
        let compare = ["compare", "-f", "raw", "-F", "qcow2", "image", "out"];
        assert!(run("qemu-img", &compare, folder).contains("identical"), "{volume}");
        // What is zeros is not kept.
        let map = run("nbdinfo", &["--map", &address], folder);
        assert!(map.contains("hole"), "{map}");
    }
}

#[test]
fn fio_finds_what_it_wrote_while_engines_come_and_go() {
    if !have(&[("fio", "fio")]) {
        return;
    }
    let service = Service::start("fio", 256);
    service.volume("fio", SIZE, true);
    let uri = format!("--uri={}", service.serve("fio"));
    let arguments = [
        "--name=verify",
        "--ioengine=nbd",
        &uri,
        "--rw=randwrite",
        "--bsrange=4k-64k",
        "--size=48m",
        "--iodepth=16",
        "--verify=crc32c",
        "--verify_fatal=1",
        "--do_verify=1",
        "--verify_backlog=256",
        "--loops=3",
        "--thread",
        "--rate_iops=2000",
    ];
    thread::scope(|scope| {
        let fio = scope.spawn(|| run("fio", &arguments, &service.directory));
        while !fio.is_finished() {
            thread::sleep(std::time::Duration::from_millis(300));
            if !fio.is_finished() {
                service.replace();
            }
        }
        let said = fio.join().expect("fio ends well");
        assert!(said.contains("err= 0"), "{said}");
    });
}
