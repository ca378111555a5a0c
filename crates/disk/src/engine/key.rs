//! The key that wraps the keys of volumes: 32 random bytes in `disk.key`, for the
//! service's user only. Whoever loses it loses every encrypted volume of the directory.

use std::fs::File;
use std::io::{self, Read as _, Write as _};
use std::os::unix::fs::{OpenOptionsExt as _, PermissionsExt as _};
use std::path::Path;

use model::secret::Sealed;
use volume::seal::keys::{NONCE, Owner, VolumeKey, WrappingKey};
use zeroize::Zeroizing;

/// The name under which keys say that they are wrapped by the key of a directory.
const NAME: &str = "disk.key";

/// Makes and opens the keys of volumes.
pub(crate) struct Keys {
    wrapping: WrappingKey,
}

impl Keys {
    /// With the key of a directory, which is made when there is none.
    pub fn of(directory: &Path) -> io::Result<Self> {
        let secret = read_or_make(directory)?;
        Ok(Self { wrapping: WrappingKey::new(NAME, *secret) })
    }
    /// A new key, sealed and open.
    pub fn make(&self, owner: Owner) -> io::Result<(Sealed, VolumeKey)> {
        let mut random = Zeroizing::new([0; 64]);
        let mut nonce = [0; NONCE];
        fill(&mut *random)?;
        fill(&mut nonce)?;
        let key = VolumeKey::new(*random).map_err(io::Error::other)?;
        Ok((key.wrap(&self.wrapping, owner, nonce), key))
    }
    /// Opens a key that was sealed.
    pub fn open(
        &self,
        sealed: &Sealed,
        owner: Owner,
    ) -> Result<VolumeKey, volume::seal::keys::KeyError> {
        VolumeKey::unwrap(sealed, &self.wrapping, owner)
    }
}

fn fill(bytes: &mut [u8]) -> io::Result<()> {
    let filled = rustix::rand::getrandom(&mut *bytes, rustix::rand::GetRandomFlags::empty())?;
    assert!(filled == bytes.len(), "the kernel gives up to 256 bytes whole");
    Ok(())
}

/// Reads the key of a directory, or makes one when there is none.
fn read_or_make(directory: &Path) -> io::Result<Zeroizing<[u8; 32]>> {
    let path = directory.join("disk.key");
    match File::open(&path) {
        Ok(file) => read(file, &path),
        Err(error) if error.kind() == io::ErrorKind::NotFound => make(directory, &path),
        Err(error) => Err(error),
    }
}

fn read(mut file: File, path: &Path) -> io::Result<Zeroizing<[u8; 32]>> {
    let refused = |why: &str| {
        let why = format!("{}: {why}", path.display());
        Err(io::Error::new(io::ErrorKind::InvalidData, why))
    };
    if file.metadata()?.permissions().mode() & 0o077 != 0 {
        return refused("others can read the key; chmod 600 it, and think of what they have read");
    }
    let mut key = Zeroizing::new([0; 32]);
    if file.read_exact(&mut *key).is_err() || file.read(&mut [0])? != 0 {
        return refused("the key is not 32 bytes");
    }
    Ok(key)
}

/// Whole or not at all, and never over one that is there.
fn make(directory: &Path, path: &Path) -> io::Result<Zeroizing<[u8; 32]>> {
    let mut key = Zeroizing::new([0; 32]);
    fill(&mut *key)?;
    let next = directory.join("disk.key.next");
    let mut file =
        File::options().write(true).create(true).truncate(true).mode(0o600).open(&next)?;
    file.write_all(&*key)?;
    file.sync_all()?;
    std::fs::hard_link(&next, path)?;
    std::fs::remove_file(&next)?;
    File::open(directory)?.sync_all()?;
    Ok(key)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_key_is_made_once() {
        let directory = std::env::temp_dir().join(format!("bedplate-key-{}", std::process::id()));
        std::fs::create_dir_all(&directory).expect("directory");
        let key = read_or_make(&directory).expect("made");
        assert_eq!(read_or_make(&directory).expect("read"), key);
        assert_ne!(*key, [0; 32]);
        let path = directory.join("disk.key");
        std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o644)).expect("chmod");
        read_or_make(&directory).expect_err("others can read it");
        std::fs::remove_dir_all(&directory).expect("clean up");
    }
}
