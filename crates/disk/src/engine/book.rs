//! What the service was told to have: pools, volumes outside pools, and where volumes
//! are served. Kept in `disk.json` for the next start, and with the keeper for the next
//! engine, memory pools included.

use std::fs::File;
use std::io::{self, Write as _};
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};

use model::volume::{Backing, DiskProtocol, PoolMedium, PoolSpec, VolumeSpec};
use serde::{Deserialize, Serialize};

/// The version that is written.
const VERSION: u32 = 1;

/// The book.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Book {
    /// The version that wrote it.
    pub version: u32,
    /// Pools.
    #[serde(default)]
    pub pools: Vec<PoolSpec>,
    /// Raw and null volumes.
    #[serde(default)]
    pub volumes: Vec<VolumeSpec>,
    /// Where volumes are served.
    #[serde(default)]
    pub served: Vec<Served>,
}

/// Where a volume is served.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Served {
    /// Which volume.
    pub volume: String,
    /// How.
    pub protocol: DiskProtocol,
    /// The path of the socket.
    pub socket: PathBuf,
    /// How many queues are offered, by vhost-user.
    #[serde(default)]
    pub queues: u16,
    /// No writes.
    #[serde(default)]
    pub read_only: bool,
}

impl Default for Book {
    fn default() -> Self {
        Self { version: VERSION, pools: Vec::new(), volumes: Vec::new(), served: Vec::new() }
    }
}

impl Book {
    /// What the file of a directory says; nothing when there is none.
    pub fn read(directory: &Path) -> io::Result<Self> {
        let bytes = match std::fs::read(path(directory)) {
            Ok(bytes) => bytes,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Self::default()),
            Err(error) => return Err(error),
        };
        let book: Self = serde_json::from_slice(&bytes)?;
        if book.version > VERSION + 1 {
            let why = format!(
                "{} is of version {}, which is not understood",
                path(directory).display(),
                book.version
            );
            return Err(io::Error::new(io::ErrorKind::InvalidData, why));
        }
        Ok(book)
    }

    /// Writes the file, whole or not at all. What lies in memory is not in it, and so
    /// neither is what serves it.
    pub fn write(&self, directory: &Path) -> io::Result<()> {
        let mut kept = self.clone();
        kept.pools.retain(|pool| pool.medium != PoolMedium::Memory);
        kept.served.retain(|served| self.is_kept(&served.volume));
        let (path, next) = (path(directory), directory.join("disk.json.next"));
        let mut file =
            File::options().write(true).create(true).truncate(true).mode(0o600).open(&next)?;
        file.write_all(&serde_json::to_vec_pretty(&kept)?)?;
        file.sync_all()?;
        std::fs::rename(&next, &path)?;
        File::open(directory)?.sync_all()
    }

    /// Whether a volume is there after a start without us: all but those of pools in
    /// memory. Which pool a volume is in is not in the book, so with any pool in memory
    /// only those outside pools are certain.
    fn is_kept(&self, volume: &str) -> bool {
        let memory = self.pools.iter().any(|pool| pool.medium == PoolMedium::Memory);
        !memory || self.volumes.iter().any(|spec| spec.name == volume)
    }

    /// A volume outside pools.
    pub fn volume(&self, name: &str) -> Option<&VolumeSpec> {
        self.volumes.iter().find(|spec| spec.name == name)
    }

    /// Where a volume is served by a protocol.
    pub fn served(&self, volume: &str, protocol: DiskProtocol) -> Option<&Served> {
        self.served.iter().find(|served| served.volume == volume && served.protocol == protocol)
    }
}

/// Whether the data of a volume is outside all pools.
pub fn is_outside(backing: &Backing) -> bool {
    !matches!(backing, Backing::Pool { .. })
}

fn path(directory: &Path) -> PathBuf {
    directory.join("disk.json")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn served(volume: &str) -> Served {
        let socket = PathBuf::from("/run/a.sock");
        let protocol = DiskProtocol::Nbd;
        Served { volume: volume.into(), protocol, socket, queues: 0, read_only: false }
    }

    #[test]
    fn what_is_in_memory_is_not_written() {
        let directory = std::env::temp_dir().join(format!("bedplate-book-{}", std::process::id()));
        std::fs::create_dir_all(&directory).expect("directory");
        let null = VolumeSpec {
            name: "null".into(),
            backing: Backing::Null,
            size: None,
            image: None,
            limits: Default::default(),
            encrypt: false,
        };
        let memory = PoolSpec { name: "ram".into(), medium: PoolMedium::Memory, size: None };
        let book = Book {
            pools: vec![memory],
            volumes: vec![null.clone()],
            served: vec![served("null"), served("other")],
            ..Book::default()
        };
        book.write(&directory).expect("write");
        let back = Book::read(&directory).expect("read");
        assert_eq!(
            (back.pools, back.volumes, back.served),
            (vec![], vec![null], vec![served("null")])
        );
        std::fs::remove_dir_all(&directory).expect("clean up");
        assert_eq!(Book::read(&directory).expect("no file"), Book::default());
    }
}
