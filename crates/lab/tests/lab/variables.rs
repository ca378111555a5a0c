//! The variable store: of the stores that OVMF comes with, of what `virt-fw-vars`
//! (virt-firmware) reads in ours, and of bytes that are no store at all.

use bedplate_lab::needs::Firmware;
use bedplate_lab::uefi_vars::{
    BootOption, DevicePath, GLOBAL, RUNTIME, SECURITY_DATABASE, Store, StoreError, signatures,
};
use proptest::prelude::*;

use crate::client::Scratch;

/// The stores that are installed.
fn samples() -> Vec<Vec<u8>> {
    let Some(firmware) = Firmware::find() else {
        println!("skipped: OVMF is not installed (apt-get install ovmf)");
        return Vec::new();
    };
    let paths = [Some(firmware.blank), firmware.microsoft];
    paths.into_iter().flatten().map(|path| std::fs::read(path).unwrap()).collect()
}

fn certificate() -> Vec<u8> {
    let key = rcgen::KeyPair::generate().unwrap();
    let parameters = rcgen::CertificateParams::new(vec!["lab".to_owned()]).unwrap();
    parameters.self_signed(&key).unwrap().der().to_vec()
}

#[test]
fn a_store_is_read_written_and_read_again() {
    for sample in samples() {
        let store = Store::parse(&sample).unwrap();
        let image = store.to_image().unwrap();
        assert_eq!(image.len(), sample.len());
        let again = Store::parse(&image).unwrap();
        assert_eq!(again.variables(), store.variables());
        assert_eq!(again.to_image().unwrap(), image);
    }
}

#[test]
fn our_certificate_joins_those_that_are_there() {
    for sample in samples() {
        let mut store = Store::parse(&sample).unwrap();
        let keys = |store: &Store| {
            let db = store.get("db", &SECURITY_DATABASE);
            db.map(|db| signatures(&db.data)).unwrap_or_default()
        };
        let before = keys(&store);
        let ours = certificate();
        store.trust(&ours);
        store.trust(&ours);
        store.enrol(&ours);
        store.set_secure_boot(true);
        let store = Store::parse(&store.to_image().unwrap()).unwrap();
        let after = keys(&store);
        assert_eq!(after.len(), before.len() + 1);
        assert!(after.starts_with(&before));
        assert_eq!(after.last().unwrap().data, ours);
        assert!(store.secure_boot());
    }
}

#[test]
fn the_next_boot_is_set_and_taken_back() {
    for sample in samples() {
        let fresh = Store::parse(&sample).unwrap();
        let mut store = fresh.clone();
        let path = DevicePath::new().uri("http://10.77.0.1/x.efi");
        store.set_boot_option(0x0bed, &BootOption { title: "x".into(), path });
        store.set_boot_next(0x0bed);
        let mut store = Store::parse(&store.to_image().unwrap()).unwrap();
        assert_eq!(store.get("BootNext", &GLOBAL).unwrap().data, [0xed, 0x0b]);
        store.clear_boot_option(0x0bed);
        assert_eq!(store.variables(), fresh.variables());
    }
}

#[test]
fn a_store_that_is_too_full_says_so() {
    for sample in samples() {
        let mut store = Store::parse(&sample).unwrap();
        store.set("Large", GLOBAL, RUNTIME, vec![1; 1 << 20]);
        assert!(matches!(store.to_image(), Err(StoreError::Full { .. })));
        assert!(store.delete("Large", &GLOBAL));
        assert!(!store.delete("Large", &GLOBAL));
        store.to_image().unwrap();
    }
}

#[test]
fn another_reader_sees_what_we_wrote() {
    let program = std::env::var_os("BEDPLATE_VIRT_FW_VARS").unwrap_or("virt-fw-vars".into());
    let present = std::process::Command::new(&program).arg("--help").output().is_ok();
    if !present {
        println!("skipped: virt-fw-vars is not installed (pip install virt-firmware)");
        return;
    }
    let dir = Scratch::new("lab-vars");
    for sample in samples() {
        let mut store = Store::parse(&sample).unwrap();
        let path = DevicePath::new().uri("http://10.77.0.1/x.efi");
        store.set_boot_option(0x0bed, &BootOption { title: "Bedplate".into(), path });
        store.set_boot_next(0x0bed);
        store.trust(&certificate());
        let image = dir.0.join("vars.fd");
        std::fs::write(&image, store.to_image().unwrap()).unwrap();
        let said = std::process::Command::new(&program)
            .args(["--print", "--input"])
            .arg(&image)
            .output()
            .unwrap();
        assert!(said.status.success(), "{}", String::from_utf8_lossy(&said.stderr));
        let text = String::from_utf8(said.stdout).unwrap();
        let option = "boot entry: title=\"Bedplate\" devpath=URI(http://10.77.0.1/x.efi)";
        assert!(text.contains(option), "{text}");
        assert!(
            text.lines()
                .any(|line| line.starts_with("BootNext") && line.to_lowercase().ends_with("0bed")),
            "{text}"
        );
        for variable in store.variables() {
            let listed = text.lines().any(|line| line.starts_with(&variable.name));
            assert!(listed, "{} is not in:\n{text}", variable.name);
        }
    }
}

proptest! {
    #[test]
    fn no_bytes_make_the_reader_panic(
        flips in prop::collection::vec((0usize..0x2000, any::<u8>()), 0..40),
        cut in any::<Option<u16>>(),
    ) {
        for mut sample in [plain()] {
            for (at, byte) in &flips {
                sample[*at] = *byte;
            }
            sample.truncate(cut.map_or(sample.len(), usize::from));
            if let Ok(store) = Store::parse(&sample) {
                // What was read can be written, and reads the same.
                let image = store.to_image().unwrap();
                let again = Store::parse(&image).unwrap();
                prop_assert_eq!(again.variables().len(), store.variables().len());
            }
        }
    }

    #[test]
    fn no_signature_list_makes_the_reader_panic(bytes in prop::collection::vec(any::<u8>(), 0..200)) {
        let _ = signatures(&bytes);
    }

    #[test]
    fn what_is_set_is_there(
        data in prop::collection::vec(any::<u8>(), 0..300),
        name in "[A-Za-z]{1,20}",
    ) {
        let mut store = Store::parse(&plain()).unwrap();
        store.set(&name, GLOBAL, RUNTIME, data.clone());
        let store = Store::parse(&store.to_image().unwrap()).unwrap();
        prop_assert_eq!(&store.get(&name, &GLOBAL).unwrap().data, &data);
    }
}

/// A small store with a few variables, made here so that the tests need no firmware.
fn plain() -> Vec<u8> {
    let mut image = vec![0xff; 0x4000];
    image[..0x48].fill(0);
    let volume = [
        0x8d, 0x2b, 0xf1, 0xff, 0x96, 0x76, 0x8b, 0x4c, 0xa9, 0x85, 0x27, 0x47, 0x07, 0x5b, 0x4f,
        0x50,
    ];
    let kind = [
        0x78, 0x2c, 0xf3, 0xaa, 0x7b, 0x94, 0x9a, 0x43, 0xa1, 0x80, 0x2e, 0x14, 0x4e, 0xc3, 0x77,
        0x92,
    ];
    image[16..32].copy_from_slice(&volume);
    image[32..40].copy_from_slice(&0x4000u64.to_le_bytes());
    image[40..44].copy_from_slice(b"_FVH");
    image[48..50].copy_from_slice(&0x48u16.to_le_bytes());
    let sum = image[..0x48]
        .chunks_exact(2)
        .fold(0u16, |sum, pair| sum.wrapping_add(u16::from_le_bytes([pair[0], pair[1]])));
    image[50..52].copy_from_slice(&0u16.wrapping_sub(sum).to_le_bytes());
    image[0x48..0x58].copy_from_slice(&kind);
    image[0x58..0x5c].copy_from_slice(&(0x2000u32 - 0x48).to_le_bytes());
    image[0x5c..0x64].copy_from_slice(&[0x5a, 0xfe, 0, 0, 0, 0, 0, 0]);
    let mut store = Store::parse(&image).unwrap();
    for name in ["BootOrder", "Timeout", "db"] {
        store.set(name, GLOBAL, RUNTIME, name.as_bytes().to_vec());
    }
    store.to_image().unwrap()
}
