//! What an image was built from, in a file beside it, so that the same recipe is not
//! built twice.

use std::fs;
use std::path::{Path, PathBuf};

use model::Bytes;
use model::image::Checksum;
use serde::{Deserialize, Serialize};

use super::SystemError;
use super::error::file;

/// What is known of a finished image.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Seal {
    /// Digest of the recipe.
    pub recipe: String,
    /// Of the file.
    pub checksum: Checksum,
    /// Size of the file.
    pub stored: Bytes,
    /// Size on disk, unpacked.
    pub size: Bytes,
}

fn beside(image: &Path) -> PathBuf {
    let mut name = image.as_os_str().to_owned();
    name.push(".json");
    name.into()
}

impl Seal {
    /// The seal of a whole image of this recipe; otherwise nothing.
    pub fn read(image: &Path, recipe: &str) -> Option<Self> {
        let seal: Self = serde_json::from_slice(&fs::read(beside(image)).ok()?).ok()?;
        let whole = fs::metadata(image).is_ok_and(|it| it.is_file() && it.len() == seal.stored.0);
        (whole && seal.recipe == recipe).then_some(seal)
    }

    /// Writes the seal; the image is in its place already.
    pub fn write(&self, image: &Path) -> Result<(), SystemError> {
        let path = beside(image);
        let text = serde_json::to_vec_pretty(self).expect("a seal is plain data");
        fs::write(&path, text).map_err(file(&path))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_image_is_taken_only_whole_and_of_the_same_recipe() {
        let dir = std::env::temp_dir().join(format!("bedplate-seal-{}", std::process::id()));
        fs::create_dir_all(&dir).unwrap();
        let image = dir.join("system.raw.zst");
        let checksum = Checksum::from_digest([7; 32]);
        let seal = Seal { recipe: "a".into(), checksum, stored: Bytes(3), size: Bytes(9) };
        assert_eq!(Seal::read(&image, "a"), None);
        fs::write(&image, b"abc").unwrap();
        seal.write(&image).unwrap();
        assert_eq!(Seal::read(&image, "a"), Some(seal));
        assert_eq!(Seal::read(&image, "b"), None);
        fs::write(&image, b"ab").unwrap();
        assert_eq!(Seal::read(&image, "a"), None);
        fs::write(beside(&image), b"{").unwrap();
        assert_eq!(Seal::read(&image, "a"), None);
        fs::remove_dir_all(&dir).unwrap();
    }
}
