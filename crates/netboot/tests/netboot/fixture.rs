//! What several tests share: a directory in memory, and a search for programs.

use std::collections::BTreeMap;
use std::net::{Ipv4Addr, SocketAddr};
use std::path::PathBuf;
use std::sync::{Arc, Mutex};

use bytes::Bytes;
use model::Timestamp;
use model::id::MachineId;
use model::machine::BootRoad;
use model::sighting::Sighting;
use netboot::{BootFiles, Directory, Permit, Running, Settings, Sockets};

/// A token that is good.
pub const TOKEN: &str = "5f1e7a90c3d24b1188aa00ffee112233";

/// A directory that is told who is known, and remembers what it saw.
#[derive(Default)]
pub struct Book {
    pub permits: Mutex<BTreeMap<String, Permit>>,
    pub known: Mutex<Vec<String>>,
    pub seen: Mutex<Vec<Sighting>>,
    pub when: Mutex<Vec<std::time::Instant>>,
}

impl Book {
    /// With one machine that may boot.
    pub fn with(mac: &str, road: BootRoad) -> Arc<Self> {
        let book = Self::default();
        book.permits.lock().unwrap().insert(mac.to_owned(), permit(road));
        Arc::new(book)
    }
    pub fn seen(&self) -> Vec<Sighting> {
        self.seen.lock().unwrap().clone()
    }
}

impl Directory for Book {
    fn by_mac(&self, mac: &str) -> Option<Permit> {
        self.permits.lock().unwrap().get(mac).cloned()
    }
    fn by_token(&self, token: &str) -> Option<Permit> {
        self.permits.lock().unwrap().values().find(|permit| permit.token == token).cloned()
    }
    fn known(&self, mac: &str) -> bool {
        self.by_mac(mac).is_some() || self.known.lock().unwrap().iter().any(|one| one == mac)
    }
    fn sighting(&self, sighting: Sighting) {
        self.seen.lock().unwrap().push(sighting);
        self.when.lock().unwrap().push(std::time::Instant::now());
    }
}

pub fn permit(road: BootRoad) -> Permit {
    let machine = MachineId::new(Timestamp::from_micros(1), [7; 10]);
    Permit { machine, token: TOKEN.to_owned(), road }
}

/// Servers on loopback with one file and one permit.
pub struct Served {
    pub running: Running,
    pub book: Arc<Book>,
    pub http: SocketAddr,
    pub tftp: SocketAddr,
}

pub fn serve(file: Bytes) -> Served {
    let http = std::net::TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
    let tftp = std::net::UdpSocket::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
    let (http_at, tftp_at) = (http.local_addr().unwrap(), tftp.local_addr().unwrap());
    let book = Book::with("52:54:00:00:00:01", BootRoad::Http);
    let sockets = Sockets { http: Some(http), tftp: Some(tftp), ..Sockets::default() };
    let clock = Arc::new(world::SystemClock::default());
    let files = BootFiles::new(file, None);
    let running = netboot::serve(sockets, Settings::default(), book.clone(), files, clock).unwrap();
    Served { running, book, http: http_at, tftp: tftp_at }
}

/// Bytes in which every place is different enough to notice a shift.
pub fn pattern(length: usize) -> Bytes {
    (0..length).map(|at| u8::try_from((at * 31 + at / 251) % 256).unwrap()).collect()
}

/// Whether these programs are here; says what was skipped if not.
pub fn have(programs: &[(&str, &str)]) -> bool {
    for (program, package) in programs {
        if world::process::find(program).is_none() {
            println!("skipped: {program} is not installed (apt-get install {package})");
            return false;
        }
    }
    true
}

/// A folder that is gone afterwards.
pub struct Folder(pub PathBuf);

impl Folder {
    pub fn new(name: &str) -> Self {
        let path = std::env::temp_dir().join(format!("bedplate-{name}-{}", std::process::id()));
        std::fs::create_dir_all(&path).unwrap();
        Self(path)
    }
    pub fn join(&self, name: &str) -> PathBuf {
        self.0.join(name)
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.0);
    }
}
