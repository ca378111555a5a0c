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

impl DirectoryFile {
    /// Reads what is in memory, without waiting for the medium. Whether all of it was; a
    /// file system that does not know is asked and waited for.
    ///
    /// # Errors
    /// When the medium fails or the file ends.
    pub fn read_now(&self, offset: u64, into: &mut [u8]) -> io::Result<bool> {
        let nowait = rustix::io::ReadWriteFlags::NOWAIT;
        let mut done = 0;
        while done < into.len() {
            let at = offset + done as u64;
            let mut slices = [io::IoSliceMut::new(&mut into[done..])];
            match rustix::io::preadv2(&self.file, &mut slices, at, nowait) {
                Ok(0) => return Err(io::ErrorKind::UnexpectedEof.into()),
                Ok(count) => done += count,
                Err(rustix::io::Errno::AGAIN) => return Ok(false),
                Err(rustix::io::Errno::INTR) => {}
                Err(rustix::io::Errno::OPNOTSUPP | rustix::io::Errno::NOSYS) => {
                    return self.read_at(at, &mut into[done..]).map(|()| true);
                }
                Err(error) => return Err(error.into()),
            }
        }
        Ok(true)
    }

    /// Whether both ends of a range are in memory, and so most likely all of it.
    pub fn in_memory(&self, offset: u64, length: u64) -> bool {
        // What cannot be read is found out by who reads it.
        let here = |at| self.read_now(at, &mut [0]).unwrap_or(true);
        length == 0 || (here(offset + length - 1) && here(offset))
    }

    /// Has a range read into memory, and begins with what is behind it. Waits.
    pub fn fetch(&self, offset: u64, length: u64, behind: u64) {
        let advice = rustix::fs::Advice::WillNeed;
        // All of this is for speed: who reads it finds out what is wrong.
        let _ = rustix::fs::fadvise(
            &self.file,
            offset,
            std::num::NonZero::new(length + behind),
            advice,
        );
        let mut block = vec![0; 64 << 10];
        let end = offset + length;
        for at in (offset..end).step_by(block.len()) {
            let count = (end - at).min(block.len() as u64) as usize;
            if self.read_at(at, &mut block[..count]).is_err() {
                return;
            }
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
    fn what_is_in_memory_is_read_at_once_and_what_is_not_is_fetched() {
        let path = std::env::temp_dir().join(format!("bedplate-near-{}", std::process::id()));
        let directory = Directory::new(&path).expect("it is made");
        let file = directory.open("a").expect("it opens");
        file.write_at(0, &[7; 300_000]).expect("it writes");
        file.sync().expect("it lasts");
        let mut bytes = vec![0; 300_000];
        assert!(file.read_now(0, &mut bytes).expect("it reads"));
        assert!(bytes.iter().all(|byte| *byte == 7));
        assert!(file.in_memory(0, 300_000) && file.in_memory(5, 0));
        // A kernel need not do this, and a file system may have nothing but memory.
        let all = rustix::fs::Advice::DontNeed;
        rustix::fs::fadvise(&file.file, 0, None, all).expect("it may be asked");
        let there = file.in_memory(0, 300_000);
        file.fetch(0, 300_000, 4096);
        assert!(file.in_memory(0, 300_000), "before: {there}");
        assert!(file.read_now(299_999, &mut [0; 2]).is_err(), "it ends before");
        file.fetch(1 << 40, 5, 5);
        fs::remove_dir_all(&path).expect("it goes");
    }

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
