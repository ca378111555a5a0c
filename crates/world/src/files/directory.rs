//! The real side: a directory of a file system.

use std::fs;
use std::io;
use std::os::fd::{AsFd, BorrowedFd};
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};

use rustix::fs::FallocateFlags;

use super::{File, Files};

/// A directory.
#[derive(Clone, Debug)]
pub struct Directory {
    path: PathBuf,
}

/// A file in it.
#[derive(Debug)]
pub struct DirectoryFile {
    file: fs::File,
}

impl Directory {
    /// Takes a directory; makes it when it is not there.
    ///
    /// # Errors
    /// When it cannot be made.
    pub fn new(path: &Path) -> io::Result<Self> {
        fs::create_dir_all(path)?;
        Ok(Self { path: path.to_path_buf() })
    }
}

impl Files for Directory {
    type File = DirectoryFile;

    fn names(&self) -> io::Result<Vec<String>> {
        let mut names = Vec::new();
        for entry in fs::read_dir(&self.path)? {
            // A name that is no text is none of ours.
            if let Ok(name) = entry?.file_name().into_string() {
                names.push(name);
            }
        }
        Ok(names)
    }

    fn open(&self, name: &str) -> io::Result<DirectoryFile> {
        let path = self.path.join(name);
        let file = fs::OpenOptions::new()
            .read(true)
            .write(true)
            .create(true)
            .truncate(false)
            .open(path)?;
        Ok(DirectoryFile { file })
    }

    fn remove(&self, name: &str) -> io::Result<()> {
        fs::remove_file(self.path.join(name))
    }

    fn sync_names(&self) -> io::Result<()> {
        fs::File::open(&self.path)?.sync_all()
    }

    fn free(&self) -> io::Result<u64> {
        let found = rustix::fs::statvfs(&self.path)?;
        Ok(found.f_bavail.saturating_mul(found.f_frsize))
    }
}

impl File for DirectoryFile {
    fn read_at(&self, offset: u64, into: &mut [u8]) -> io::Result<()> {
        self.file.read_exact_at(into, offset)
    }

    fn write_at(&self, offset: u64, from: &[u8]) -> io::Result<()> {
        self.file.write_all_at(from, offset)
    }

    fn sync(&self) -> io::Result<()> {
        self.file.sync_data()
    }

    fn length(&self) -> io::Result<u64> {
        Ok(self.file.metadata()?.len())
    }

    fn set_length(&self, length: u64) -> io::Result<()> {
        self.file.set_len(length)
    }

    fn allocate(&self, offset: u64, length: u64) -> io::Result<()> {
        match rustix::fs::fallocate(&self.file, FallocateFlags::KEEP_SIZE, offset, length) {
            Err(rustix::io::Errno::OPNOTSUPP | rustix::io::Errno::NOSYS) => Ok(()),
            done => Ok(done?),
        }
    }

    fn punch(&self, offset: u64, length: u64) -> io::Result<()> {
        let flags = FallocateFlags::PUNCH_HOLE | FallocateFlags::KEEP_SIZE;
        match rustix::fs::fallocate(&self.file, flags, offset, length) {
            Err(rustix::io::Errno::OPNOTSUPP | rustix::io::Errno::NOSYS) => Ok(()),
            done => Ok(done?),
        }
    }
}

impl AsFd for DirectoryFile {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.file.as_fd()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn files_last_and_are_punched() {
        let path = std::env::temp_dir().join(format!("bedplate-files-{}", std::process::id()));
        let directory = Directory::new(&path).expect("it is made");
        let file = directory.open("a").expect("it opens");
        file.allocate(0, 1 << 16).expect("there is room");
        file.write_at(4096, &[7; 8192]).expect("it writes");
        file.sync().expect("it syncs");
        directory.sync_names().expect("it syncs");
        file.punch(4096, 4096).expect("it punches");
        let mut bytes = [1; 8192];
        file.read_at(4096, &mut bytes).expect("it reads");
        assert_eq!((bytes[0], bytes[4096], file.length().expect("it says")), (0, 7, 12288));
        assert!(file.read_at(8192, &mut bytes).is_err(), "it ends before");
        assert!(directory.free().expect("it says") > 0);
        directory.remove("a").expect("it goes");
        file.read_at(4096, &mut bytes).expect("what is open stays readable");
        assert!(directory.names().expect("it reads").is_empty());
        fs::remove_dir_all(path).expect("it goes");
    }
}
