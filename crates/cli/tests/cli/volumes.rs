//! The verbs of volumes against a disk service that says what it is told to.

use std::path::Path;

use cli::doctor::{Level, disk};
use cli::terminal::Paint;
use model::Bytes;
use model::volume::{
    Attachment, CutOvers, DiskProtocol, DiskStatus, Latency, Limits, Pool, PoolMedium, ScrubFound,
    Volume,
};
use serde_json::{Value, json};
use world::process;

use crate::disks::{Answers, Service, answer, volume};
use crate::samples::{Scratch, at, run};

/// A volume with everything.
fn busy() -> Volume {
    let socket = "/run/a b.nbd".to_owned();
    let protocol = DiskProtocol::Nbd;
    let name = "data".to_owned();
    let nbd = Attachment { volume: name, protocol, socket, read_only: true, clients: 2 };
    let latency = |kind: &str, count| Latency {
        kind: kind.to_owned(),
        count,
        p50: 640,
        p99: 12_345,
        p999: 1_234_567,
        p99999: 99_960_000,
        most: 2_500_000_000,
    };
    Volume {
        used: Bytes::gib(3),
        limits: Limits {
            iops: Some(5000),
            bandwidth: Some(200 << 20),
            burst_iops: Some(20_000),
            ..Limits::NONE
        },
        encrypted: true,
        created: Some(at(0)),
        attachments: vec![nbd],
        latency: vec![latency("read", 1_234_567), latency("write_zeroes", 1), latency("flush", 0)],
        ..volume("data", Bytes::gib(20))
    }
}

fn shelf() -> Vec<Volume> {
    let snapshot = Volume { created: Some(at(10)), ..volume("data@monday", Bytes::gib(20)) };
    let clone_of = Some("data@monday".to_owned());
    let trial = Volume { clone_of, created: Some(at(20)), ..volume("trial", Bytes::gib(20)) };
    vec![trial, snapshot, busy()]
}

fn script(answers: impl IntoIterator<Item = (&'static str, Value)>) -> Answers {
    answers.into_iter().collect()
}

#[tokio::test]
async fn volumes_are_listed_and_shown() {
    let scratch = Scratch::new("volumes");
    let answers = [("volume_list", answer(shelf())), ("volume_show", answer(busy()))];
    let service = Service::start(&scratch.0, script(answers));
    let listed = run(&scratch.0, "volume list").await.done().out;
    let first = "data         fast  20.0 GiB  3.0 GiB  5000 IOPS (bursts 20000 IOPS), 200.0 MiB/s, bursts up to 60 s  yes        NBD";
    assert!(listed.lines().nth(1).unwrap().starts_with(first), "{listed}");
    assert!(listed.lines().nth(2).unwrap().starts_with("data@monday"), "{listed}");
    let json = run(&scratch.0, "volume list --output json").await.done().json();
    assert_eq!(json[0]["name"], "data");
    let shown = run(&scratch.0, "volume show data").await.done().out;
    for line in [
        "  lies in       fast",
        "  encrypted     yes",
        "  NBD           /run/a b.nbd, read only, 2 clients",
        "  clones        trial, of data@monday",
        "  REQUESTS      COUNT    P50     P99      P99.9   P99.999  LONGEST",
        "  read          1234567  640 ns  12.3 µs  1.2 ms  100 ms   2.5 s",
        "  write-zeroes  1        640 ns  12.3 µs  1.2 ms  100 ms   2.5 s",
    ] {
        assert!(shown.contains(&format!("{line}\n")), "{line}\n{shown}");
    }
    assert!(!shown.contains("flush"), "what was never asked has no row:\n{shown}");
    let json = run(&scratch.0, "volume show data --output json").await.done().json();
    assert_eq!(serde_json::from_value::<Volume>(json).unwrap(), busy());
    assert_eq!(service.verbs().len(), 5, "JSON is asked for once: {:?}", service.verbs());
}

#[test]
fn a_page_fits() {
    for width in [40, 60, 80, 120] {
        let page = cli::volume::show::page(&busy(), &shelf(), at(90), Some(width), Paint::plain());
        let widest = page.lines().map(|line| line.chars().count()).max().unwrap();
        assert!(widest <= width, "{widest} of {width}:\n{page}");
    }
}

#[tokio::test]
async fn a_service_that_is_not_there_is_told_with_the_way_to_start_it() {
    let scratch = Scratch::new("absent");
    let ran = run(&scratch.0, "volume list").await;
    assert_eq!(ran.exit.code(), 1);
    assert!(ran.err.starts_with("error[disk-service-absent]: No disk service answers in "));
    assert!(ran.err.contains("next: Start it with: bedplate disk up"), "{}", ran.err);
}

#[tokio::test]
async fn what_the_service_refuses_is_told_in_its_words() {
    let scratch = Scratch::new("refused");
    let problem =
        json!({"code": "volume_unknown", "what": "there is no volume `x`", "next": "list them"});
    let _service = Service::start(&scratch.0, script([("volume_show", problem)]));
    let ran = run(&scratch.0, "volume show x").await;
    assert_eq!(ran.exit.code(), 1);
    assert_eq!(ran.err, "error[volume_unknown]: There is no volume `x`\n  next: List them\n");
}

#[tokio::test]
async fn an_empty_volume_is_asked_for_as_it_is_wanted() {
    let scratch = Scratch::new("create");
    let service = Service::start(&scratch.0, Answers::new());
    let line = "volume create data --size 1M --iops 5000 --bandwidth 200M --encrypt";
    let ran = run(&scratch.0, line).await.done();
    assert_eq!(ran.out, "volume data made: 1.0 MiB, encrypted, 5000 IOPS, 200.0 MiB/s\n");
    let asked = &service.asked()[0];
    assert_eq!(asked["size"], 1 << 20);
    assert_eq!(asked["limits"], json!({"iops": 5000, "bandwidth": 200 << 20}));
    assert_eq!(asked["backing"], json!({"pool": {"name": null}}));
    for wrong in [
        "volume create --size 1M",
        "volume create data --size 1M --burst-iops 5",
        "volume create data --size 1M --iops 0",
    ] {
        let ran = run(&scratch.0, wrong).await;
        assert_eq!(ran.exit.code(), 2, "{wrong}: {}", ran.err);
    }
    assert_eq!(service.verbs().len(), 1, "nothing more was asked");
    let ran = run(&scratch.0, "volume create other --size 1M --serve").await.done();
    let socket = scratch.0.join("test.nbd");
    assert_eq!(ran.out, format!("nbd+unix:///other?socket={}\n", socket.display()));
    assert_eq!(ran.err, "volume other made: 1.0 MiB\n");
}

#[tokio::test]
async fn limits_that_are_not_named_stay() {
    let scratch = Scratch::new("limit");
    let service = Service::start(&scratch.0, Answers::new());
    service.put(Volume { size: Bytes(512), ..busy() }, vec![0; 512]);
    let limits = async |line: &str| {
        run(&scratch.0, &format!("volume limit data {line}")).await.done();
        service.asked().pop().unwrap()["limits"].clone()
    };
    let bandwidth = 200 << 20;
    assert_eq!(
        limits("--iops 6000 --burst-seconds 5").await,
        json!({"iops": 6000, "bandwidth": bandwidth, "burst_iops": 20000, "burst_seconds": 5})
    );
    assert_eq!(limits("--no-iops").await, json!({"bandwidth": bandwidth}));
    assert_eq!(limits("--none").await, json!({}));
}

#[tokio::test]
async fn nothing_is_deleted_unasked() {
    let scratch = Scratch::new("delete");
    let service = Service::start(&scratch.0, Answers::new());
    service.put(volume("data", Bytes(512)), vec![0; 512]);
    let ran = run(&scratch.0, "volume delete data").await;
    assert_eq!(ran.exit.code(), 2);
    assert!(ran.err.contains("Say --yes"), "{}", ran.err);
    assert!(service.bytes("data").is_some());
    let ran = run(&scratch.0, "volume delete data --yes").await.done();
    assert_eq!(ran.out, "data is deleted\n");
    assert!(service.bytes("data").is_none());
}

#[tokio::test]
async fn whoever_is_to_use_a_volume_is_told_how() {
    let scratch = Scratch::new("attach");
    let attachment = |protocol, socket: &str| {
        let (volume, socket) = ("9 lives".to_owned(), socket.to_owned());
        answer(Attachment { volume, protocol, socket, read_only: false, clients: 0 })
    };
    let answers = [
        ("attach", attachment(DiskProtocol::VhostUser, "/run/a,b.sock")),
        ("serve", attachment(DiskProtocol::Nbd, "/run/a b&c.sock")),
    ];
    let service = Service::start(&scratch.0, script(answers));
    let ran = run(&scratch.0, "volume attach nine --queues 2 --memory 1G").await.done();
    let expected = "\
-m 1024M
-object memory-backend-memfd,id=guest-memory,size=1024M,share=on
-machine memory-backend=guest-memory
-chardev socket,id=disk-9 lives,path=/run/a,,b.sock
-device vhost-user-blk-pci,chardev=disk-9 lives,num-queues=2
";
    assert_eq!(ran.out, expected);
    let ran = run(&scratch.0, "volume serve nine --nbd relative.sock").await.done();
    assert_eq!(ran.out, "nbd+unix:///9%20lives?socket=/run/a%20b%26c.sock\n");
    let asked = service.asked();
    assert_eq!(asked[0]["queues"], 2);
    assert!(Path::new(asked[1]["socket"].as_str().unwrap()).is_absolute());
}

#[tokio::test]
async fn damage_is_a_failure() {
    let scratch = Scratch::new("scrub");
    let found = ScrubFound { blocks: 256, damaged: 2, unread: 0 };
    let _service = Service::start(&scratch.0, script([("scrub", answer(found))]));
    let ran = run(&scratch.0, "volume scrub data").await;
    assert_eq!(ran.exit.code(), 1);
    assert_eq!(ran.out, "256 blocks checked (1.0 MiB), 2 damaged\n");
    assert!(ran.err.starts_with("error[damaged]: data is damaged\n  2 blocks"), "{}", ran.err);
}

/// An image with data at its beginning, a hole, and an end within a sector.
fn raw_image() -> Vec<u8> {
    let mut bytes = vec![0; (3 << 20) + 100];
    bytes[..7].copy_from_slice(b"at last");
    let end = bytes.len();
    bytes[end - 3..].copy_from_slice(b"end");
    bytes
}

#[tokio::test]
async fn a_raw_image_is_copied_in_and_the_volume_limited_afterwards() {
    let scratch = Scratch::new("raw");
    let service = Service::start(&scratch.0, Answers::new());
    let path = scratch.0.join("Debian.raw");
    std::fs::write(&path, raw_image()).unwrap();
    let line = format!("volume create --size 4M --iops 100 --image {}", path.display());
    let ran = run(&scratch.0, &line).await.done();
    assert_eq!(ran.out, "volume debian made: 4.0 MiB, 100 IOPS\n");
    let expected = ["volume_create", "serve", "unserve", "volume_limit"];
    assert_eq!(service.verbs(), expected);
    assert_eq!(service.asked()[0]["limits"], json!({}));
    let mut whole = raw_image();
    whole.resize(4 << 20, 0);
    assert!(service.bytes("debian") == Some(whole), "the bytes are those of the image");
}

#[tokio::test]
async fn holes_of_an_image_are_left_out() {
    let scratch = Scratch::new("holes");
    let service = Service::start(&scratch.0, Answers::new());
    let path = scratch.0.join("holes.raw");
    let file = std::fs::File::create(&path).unwrap();
    std::os::unix::fs::FileExt::write_all_at(&file, b"amid", (2 << 20) + 5000).unwrap();
    file.set_len(8 << 20).unwrap();
    run(&scratch.0, &format!("volume create --image {}", path.display())).await.done();
    let bytes = service.bytes("holes").unwrap();
    assert!(bytes == std::fs::read(&path).unwrap(), "the bytes are those of the image");
}

#[tokio::test]
async fn a_copy_that_fails_leaves_nothing_behind() {
    let scratch = Scratch::new("fails");
    let service = Service::start(&scratch.0, Answers::new());
    service.fail();
    let path = scratch.0.join("image.raw");
    std::fs::write(&path, raw_image()).unwrap();
    let line = |size| format!("volume create a --size {size} --image {}", path.display());
    let ran = run(&scratch.0, &line("4M")).await;
    assert_eq!(ran.exit.code(), 1);
    assert!(ran.err.contains("error[copy-failed]"), "{}", ran.err);
    assert!(ran.err.contains("No space left"), "{}", ran.err);
    assert_eq!(service.verbs(), ["volume_create", "serve", "unserve", "volume_delete"]);
    assert!(service.bytes("a").is_none());
    let ran = run(&scratch.0, &line("1M")).await;
    assert!(ran.err.contains("--size 1.0 MiB is less"));
    assert_eq!(service.verbs().len(), 4, "it is told before anything is made");
}

#[tokio::test]
async fn a_qcow2_image_goes_in_and_comes_out() {
    if process::find("qemu-img").is_none() {
        println!("skipped: qemu-img is not installed (apt-get install qemu-utils)");
        return;
    }
    let scratch = Scratch::new("qcow2");
    let service = Service::start(&scratch.0, Answers::new());
    let (raw, image) = (scratch.0.join("a.raw"), scratch.0.join("a.qcow2"));
    let mut bytes = raw_image();
    bytes.resize(3 << 20, 0);
    std::fs::write(&raw, &bytes).unwrap();
    let convert = async |arguments: &[&str]| {
        let limit = model::Duration::from_secs(60);
        process::run("qemu-img", arguments, limit).await.unwrap()
    };
    let (raw, image) = (raw.to_str().unwrap(), image.to_str().unwrap());
    convert(&["convert", "-f", "raw", "-O", "qcow2", raw, image]).await;
    run(&scratch.0, &format!("volume create a --image {image}")).await.done();
    assert!(service.bytes("a") == Some(bytes.clone()), "the bytes are those of the image");
    let out = scratch.0.join("out.qcow2");
    let out = out.to_str().unwrap();
    let ran = run(&scratch.0, &format!("volume export a {out} --compress")).await.done();
    assert_eq!(ran.out, format!("a is in {out} (qcow2, a disk of 3.0 MiB)\n"));
    assert_eq!(service.asked().iter().filter(|it| it["verb"] == "unserve").count(), 2);
    convert(&["compare", "-f", "raw", "-F", "qcow2", raw, out]).await;
    assert!(!Path::new(&format!("{out}.part")).exists());
    let ran = run(&scratch.0, &format!("volume export a {out}")).await;
    assert_eq!(ran.exit.code(), 2, "nothing is overwritten unasked");
}

#[tokio::test]
async fn pools_are_listed_and_shown() {
    let scratch = Scratch::new("pools");
    let medium = PoolMedium::File { path: "/srv/fast.img".to_owned() };
    let well = Pool {
        name: "fast".to_owned(),
        medium,
        size: Bytes::gib(100),
        free: Bytes::gib(60),
        volumes: 3,
        frozen: None,
        damaged: 0,
    };
    let frozen = Pool {
        name: "old".to_owned(),
        frozen: Some("the medium failed".to_owned()),
        ..well.clone()
    };
    let answers = [
        ("pool_list", answer([frozen.clone(), well.clone()])),
        ("pool_show", answer(frozen)),
        ("volume_list", answer(shelf())),
        ("pool_create", answer(well)),
    ];
    let service = Service::start(&scratch.0, script(answers));
    let listed = run(&scratch.0, "pool list").await.done().out;
    let second = "fast  100.0 GiB  60.0 GiB  3        well    /srv/fast.img\n";
    assert!(listed.contains(second) && listed.contains("frozen"), "{listed}");
    let shown = run(&scratch.0, "pool show old").await.done().out;
    assert!(shown.contains("  why           the medium failed\n"), "{shown}");
    assert!(!shown.contains("trial"), "volumes of other pools are not in it: {shown}");
    let made = run(&scratch.0, "pool create fast --memory --size 1G").await.done().out;
    assert_eq!(made, "pool fast is open: /srv/fast.img, 60.0 GiB of 100.0 GiB free\n");
    assert_eq!(service.asked().pop().unwrap()["medium"], "memory");
}

fn status(came: &str) -> DiskStatus {
    DiskStatus {
        version: "1".to_owned(),
        generation: 2,
        pid: 7,
        came: came.to_owned(),
        pools: 1,
        volumes: 3,
        attachments: 1,
        lanes: Vec::new(),
        cut_overs: CutOvers::default(),
        confinement: "runs as user 7; holds: a list of system calls".to_owned(),
    }
}

#[test]
fn the_doctor_knows_what_findings_about_disks_mean() {
    let absent = || Err(cli::Failure::new("disk-service-absent", "None").next("Start it"));
    let pool = |free, frozen: Option<&str>, damaged| Pool {
        name: "fast".to_owned(),
        medium: PoolMedium::Memory,
        size: Bytes::gib(100),
        free: Bytes::gib(free),
        volumes: 0,
        frozen: frozen.map(str::to_owned),
        damaged,
    };
    let refused = Err(world::disk::RingError::Old);
    let first = |pool: Pool| disk::pools(&[pool]).remove(0);
    let levels = [
        (disk::service(&Ok(status("started")), true), Level::Ok),
        (disk::service(&Ok(status("restarted after a crash")), true), Level::Warn),
        (disk::service(&absent(), true), Level::Fail),
        (disk::service(&absent(), false), Level::Ok),
        (disk::version("1", "1"), Level::Ok),
        (disk::version("1", "2"), Level::Warn),
        (disk::confinement(&status("started").confinement), Level::Ok),
        (disk::confinement("runs as root; refused by the system: seccomp"), Level::Warn),
        (first(pool(60, None, 0)), Level::Ok),
        (first(pool(9, None, 0)), Level::Warn),
        (first(pool(1, None, 0)), Level::Fail),
        (first(pool(60, Some("sync failed"), 0)), Level::Fail),
        (first(pool(60, None, 2)), Level::Fail),
        (disk::ring(&refused), Level::Warn),
        (disk::converter(true), Level::Ok),
        (disk::converter(false), Level::Warn),
    ];
    for (check, level) in levels {
        assert_eq!(check.level, level, "{check:?}");
        assert_eq!(check.fix.is_empty(), level == Level::Ok, "{check:?}");
    }
}
