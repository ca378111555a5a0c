//! The real thing: UEFI firmware with secure boot on, which nobody here wrote,
//! finds our image by our DHCP and HTTP and starts it. In a network namespace of
//! its own with a bridge and a tap; the machine is emulated (TCG).

use std::net::Ipv4Addr;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::sync::Arc;
use std::time::{Duration, Instant};

use model::machine::BootRoad;
use model::sighting::Sighting;
use netboot::{BootFiles, Running, Settings, Sockets, dhcp, image};
use tokio::io::AsyncReadExt;
use tokio::process::{Child, Command};
use world::network::{self, Namespace};

use crate::fixture::{Book, Folder, TOKEN, have};
use crate::image::{HELLO, can_build, order};

const MAC: &str = "52:54:00:be:d0:01";
const SERVER: Ipv4Addr = Ipv4Addr::new(10, 99, 0, 1);
const CODE: &str = "/usr/share/OVMF/OVMF_CODE_4M.secboot.fd";
/// A variable store with secure boot on and the key that the package publishes for
/// tests; its pass phrase is in the package's README.
const VARS: &str = "/usr/share/OVMF/OVMF_VARS_4M.snakeoil.fd";
const SNAKEOIL_KEY: &str = "/usr/share/ovmf/PkKek-1-snakeoil.key";
const SNAKEOIL_CERT: &str = "/usr/share/ovmf/PkKek-1-snakeoil.pem";
/// Far more than a boot takes, on a machine that does ten other things.
const PATIENCE: Duration = Duration::from_secs(280);

fn can_run() -> bool {
    let programs = [("qemu-system-x86_64", "qemu-system-x86"), ("ip", "iproute2")];
    if !can_build() || !have(&programs) {
        return false;
    }
    if !rustix::process::geteuid().is_root() {
        println!("skipped: a network namespace can be made by root only");
        return false;
    }
    let firmware = [CODE, VARS, SNAKEOIL_KEY].iter().all(|file| Path::new(file).exists());
    if !firmware {
        println!("skipped: {CODE} is missing (apt-get install ovmf)");
    }
    firmware
}

/// A namespace with a bridge and a tap, gone afterwards.
struct Net(Namespace);

impl Net {
    async fn new(name: &str) -> Self {
        let name = format!("bpnb-{name}-{}", std::process::id());
        ip(&["netns", "add", &name]).await;
        let net = Self(Namespace::named(&name));
        let inside: [&[&str]; 7] = [
            &["link", "set", "lo", "up"],
            &["link", "add", "br0", "type", "bridge"],
            &["address", "add", "10.99.0.1/24", "dev", "br0"],
            &["link", "set", "br0", "up"],
            &["tuntap", "add", "tap0", "mode", "tap"],
            &["link", "set", "tap0", "master", "br0"],
            &["link", "set", "tap0", "up"],
        ];
        for arguments in inside {
            let mut all = vec!["-n", &name];
            all.extend(arguments);
            ip(&all).await;
        }
        net
    }

    fn serve(&self, efi: &Path, book: Arc<Book>) -> Running {
        let space = Some(&self.0);
        let sockets = Sockets {
            dhcp: Some(
                network::datagrams(space, "0.0.0.0:67".parse().unwrap(), Some("br0")).unwrap(),
            ),
            tftp: Some(network::datagrams(space, "10.99.0.1:69".parse().unwrap(), None).unwrap()),
            http: Some(network::listen(space, "10.99.0.1:8080".parse().unwrap()).unwrap()),
            https: None,
        };
        let subnet = dhcp::Subnet {
            prefix: 24,
            first: Ipv4Addr::new(10, 99, 0, 100),
            last: Ipv4Addr::new(10, 99, 0, 120),
            router: None,
            dns: vec![],
        };
        let settings = dhcp::Settings::one(SERVER, subnet, "http://10.99.0.1:8080");
        let settings = Settings { dhcp: Some(settings), tls: None };
        let files = BootFiles::load(efi, None).unwrap();
        let clock = Arc::new(world::SystemClock::default());
        netboot::serve(sockets, settings, book, files, clock).unwrap()
    }
}

impl Drop for Net {
    fn drop(&mut self) {
        let _ = std::process::Command::new("ip").args(["netns", "del", self.0.name()]).status();
    }
}

async fn ip(arguments: &[&str]) {
    let limit = model::Duration::from_secs(20);
    world::process::run("ip", arguments, limit).await.expect("a network of our own");
}

/// One emulated machine at a time, also among test processes: they share few cores.
fn turn() -> std::fs::File {
    let lock = Path::new(env!("CARGO_TARGET_TMPDIR")).join("uefi.lock");
    let lock = std::fs::File::create(lock).unwrap();
    lock.lock().unwrap();
    lock
}

/// What is switched off in the firmware by QEMU's configuration device.
const NO_IPV6: [&str; 2] = ["-fw_cfg", "name=opt/org.tianocore/IPv6Support,string=no"];
const NO_PXE: [&str; 2] = ["-fw_cfg", "name=opt/org.tianocore/IPv4PXESupport,string=no"];

/// An emulated machine with secure boot on.
struct Machine {
    child: Child,
    console: Vec<u8>,
    since: Instant,
}

impl Machine {
    fn start(net: &Net, folder: &Folder, extra: &[&str]) -> Self {
        let vars = folder.join("vars.fd");
        std::fs::copy(VARS, &vars).unwrap();
        let mut command = Command::new("ip");
        command.args(["netns", "exec", net.0.name(), "qemu-system-x86_64"]);
        command.args([
            "-machine",
            "q35,smm=on",
            "-accel",
            "tcg,thread=multi",
            "-cpu",
            "max",
            "-m",
            "1024",
        ]);
        command.args(["-global", "driver=cfi.pflash01,property=secure,value=on"]);
        command.args(["-nodefaults", "-no-user-config", "-display", "none", "-no-reboot"]);
        let code = format!("if=pflash,format=raw,unit=0,readonly=on,file={CODE}");
        let store = format!("if=pflash,format=raw,unit=1,file={}", vars.display());
        command.args(["-drive", &code, "-drive", &store, "-serial", "stdio"]);
        command.args(["-netdev", "tap,id=n,ifname=tap0,script=no,downscript=no"]);
        command
            .args(["-device", &format!("virtio-net-pci,netdev=n,mac={MAC},romfile=,bootindex=1")]);
        command.args(["-device", "virtio-rng-pci"]);
        command.args(extra);
        command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::inherit());
        let child = command.kill_on_drop(true).spawn().unwrap();
        Self { child, console: Vec::new(), since: Instant::now() }
    }

    /// Prints when each sign of life was seen, in seconds since power-on.
    fn tell(&self, book: &Book) {
        for (seen, when) in book.seen().iter().zip(&*book.when.lock().unwrap()) {
            println!("  {:6.1} s  {seen:?}", when.duration_since(self.since).as_secs_f64());
        }
    }

    /// Reads the console until one of these is on it; gives the seconds since power-on.
    async fn until(&mut self, words: &[&str]) -> Result<f64, String> {
        let stdout = self.child.stdout.as_mut().unwrap();
        let mut buffer = [0; 4_096];
        loop {
            let text = String::from_utf8_lossy(&self.console);
            if words.iter().any(|word| text.contains(word)) {
                return Ok(self.since.elapsed().as_secs_f64());
            }
            let left = PATIENCE.saturating_sub(self.since.elapsed());
            match tokio::time::timeout(left, stdout.read(&mut buffer)).await {
                Ok(Ok(length)) if length > 0 => self.console.extend(&buffer[..length]),
                Ok(_) => return Err(format!("the machine went off: {text}")),
                Err(_) => return Err(format!("nothing within {PATIENCE:?}: {text}")),
            }
        }
    }
}

/// The key that the firmware trusts, without its pass phrase.
async fn trusted_key(folder: &Folder) -> PathBuf {
    let key = folder.join("trusted.key");
    let arguments = ["rsa", "-in", SNAKEOIL_KEY, "-passin", "pass:snakeoil", "-out"];
    let mut arguments: Vec<std::ffi::OsString> = arguments.iter().map(Into::into).collect();
    arguments.push(key.clone().into());
    let limit = model::Duration::from_secs(20);
    world::process::run("openssl", arguments, limit).await.unwrap();
    key
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn firmware_boots_the_signed_image_by_http() {
    if !can_run() {
        return;
    }
    let _turn = turn();
    let folder = Folder::new("uefi-http");
    let key = trusted_key(&folder).await;
    let built = image::build(&order(&folder, key, SNAKEOIL_CERT.into()).await).await.unwrap();
    let net = Net::new("http").await;
    let book = Book::with(MAC, BootRoad::Http);
    let running = net.serve(&built.path, book.clone());
    let mut machine = Machine::start(&net, &folder, &[NO_IPV6, NO_PXE].concat());
    let fetching = machine.until(&["URI: http://10.99.0.1:8080/boot/"]).await.unwrap();
    let init = machine.until(&[HELLO.trim_end()]).await.unwrap();
    println!("HTTP boot: has an address after {fetching:.1} s, first process after {init:.1} s");
    machine.tell(&book);
    let seen = book.seen();
    let http = |one: &Sighting| {
        matches!(one, Sighting::Dhcp { mac, arch: Some(16), client }
        if mac == MAC && client.starts_with("HTTPClient:Arch:00016"))
    };
    assert!(seen.iter().any(http), "{seen:?}");
    let token = || TOKEN.to_owned();
    let ended = [Sighting::Fetching { token: token() }, Sighting::Fetched { token: token() }];
    assert!(seen.ends_with(&ended), "{seen:?}");
    running.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn firmware_refuses_an_image_without_our_signature() {
    if !can_run() {
        return;
    }
    let _turn = turn();
    let folder = Folder::new("uefi-refused");
    let keys = netboot::keys::generate(&folder.join("keys")).await.unwrap();
    let built = image::build(&order(&folder, keys.key, keys.cert).await).await.unwrap();
    let net = Net::new("no").await;
    let running = net.serve(&built.path, Book::with(MAC, BootRoad::Http));
    let mut machine = Machine::start(&net, &folder, &[NO_IPV6, NO_PXE].concat());
    machine.until(&["Access Denied", HELLO.trim_end()]).await.unwrap();
    let text = String::from_utf8_lossy(&machine.console).into_owned();
    assert!(text.contains("Access Denied") && !text.contains(HELLO.trim_end()), "{text}");
    running.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn firmware_boots_the_signed_image_by_pxe() {
    if !can_run() {
        return;
    }
    let _turn = turn();
    let folder = Folder::new("uefi-pxe");
    let key = trusted_key(&folder).await;
    let built = image::build(&order(&folder, key, SNAKEOIL_CERT.into()).await).await.unwrap();
    let net = Net::new("pxe").await;
    let book = Book::with(MAC, BootRoad::Pxe);
    let running = net.serve(&built.path, book.clone());
    let mut machine = Machine::start(&net, &folder, &NO_IPV6);
    let init = machine.until(&[HELLO.trim_end()]).await.unwrap();
    println!("PXE: first process after {init:.1} s");
    machine.tell(&book);
    let seen = book.seen();
    let pxe = |one: &Sighting| {
        matches!(one, Sighting::Dhcp { arch: Some(7), client, .. }
        if client.starts_with("PXEClient:Arch:00007"))
    };
    assert!(seen.iter().any(pxe), "{seen:?}");
    assert!(seen.contains(&Sighting::Fetched { token: TOKEN.to_owned() }), "{seen:?}");
    running.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn firmware_leaves_pxe_soon_when_it_is_not_meant_to_boot_so() {
    if !can_run() {
        return;
    }
    let _turn = turn();
    let folder = Folder::new("uefi-leave");
    let key = trusted_key(&folder).await;
    let built = image::build(&order(&folder, key, SNAKEOIL_CERT.into()).await).await.unwrap();
    let net = Net::new("leave").await;
    let book = Book::with(MAC, BootRoad::Http);
    let running = net.serve(&built.path, book.clone());
    let mut machine = Machine::start(&net, &folder, &NO_IPV6);
    let pxe = machine.until(&["Start PXE over IPv4"]).await.unwrap();
    let http = machine.until(&["Start HTTP Boot over IPv4"]).await.unwrap();
    println!("PXE was tried after {pxe:.1} s and left after {:.1} s", http - pxe);
    let asked = |one: &&Sighting| matches!(one, Sighting::Dhcp { arch: Some(7), .. });
    // Firmware that is not answered asks four times, for a minute in all. This one
    // took the first offer, and was refused the file.
    assert_eq!(book.seen().iter().filter(asked).count(), 2, "{:?}", book.seen());
    machine.until(&[HELLO.trim_end()]).await.unwrap();
    running.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn firmware_without_a_permit_goes_on_at_once() {
    if !can_run() {
        return;
    }
    let _turn = turn();
    let folder = Folder::new("uefi-none");
    let image = folder.join("bedplate.efi");
    std::fs::write(&image, b"never fetched").unwrap();
    let net = Net::new("none").await;
    let book = Arc::new(Book::default());
    book.known.lock().unwrap().push(MAC.to_owned());
    let running = net.serve(&image, book.clone());
    let mut machine = Machine::start(&net, &folder, &NO_IPV6);
    let pxe = machine.until(&["Start PXE over IPv4"]).await.unwrap();
    let http = machine.until(&["Start HTTP Boot over IPv4"]).await.unwrap();
    let failed = machine.until(&["UEFI HTTPv4 (MAC:525400BED001)\" from"]).await.unwrap();
    println!("no permit: {:.1} s for PXE and {:.1} s for HTTP", http - pxe, failed - http);
    // By each way it asked, took what was offered, and was refused the file.
    assert_eq!(book.seen().len(), 4, "{:?}", book.seen());
    running.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn firmware_boots_the_signed_image_from_a_drive() {
    if !can_run() || !have(&[("xorriso", "xorriso"), ("mformat", "mtools")]) {
        return;
    }
    let _turn = turn();
    let folder = Folder::new("uefi-drive");
    let key = trusted_key(&folder).await;
    let built = image::build(&order(&folder, key, SNAKEOIL_CERT.into()).await).await.unwrap();
    let medium = folder.join("bedplate.iso");
    image::iso(&built.path, &medium).await.unwrap();
    let net = Net::new("drive").await;
    let drive =
        format!("if=none,id=d,format=raw,readonly=on,media=cdrom,file={}", medium.display());
    let device = ["-drive", &drive, "-device", "ide-cd,drive=d,bootindex=0"];
    let mut machine = Machine::start(&net, &folder, &device);
    let init = machine.until(&[HELLO.trim_end()]).await.unwrap();
    println!("drive: first process after {init:.1} s");
}
