//! Where settings come from.

use std::path::{Path, PathBuf};

use cli::settings::directory;
use cli::{Exit, Global};

use crate::samples::Scratch;

fn local(scratch: &Scratch) -> Global {
    std::fs::create_dir_all(scratch.0.join("ca")).unwrap();
    std::fs::write(scratch.0.join("url"), "https://127.0.0.1:7443\n").unwrap();
    std::fs::write(scratch.0.join("admin.token"), "bp_local\n").unwrap();
    std::fs::write(scratch.0.join("ca/ca.pem"), "PEM").unwrap();
    Global { dir: Some(scratch.0.clone()), ..Global::default() }
}

#[test]
fn the_data_directory_is_that_of_whoever_asks() {
    let home = Path::new("/home/ada");
    let usual = |given, root| directory(given, root, Some(home));
    assert_eq!(usual(None, true), PathBuf::from("/var/lib/bedplate"));
    assert_eq!(usual(None, false), PathBuf::from("/home/ada/.local/share/bedplate"));
    assert_eq!(usual(Some(Path::new("/x")), true), PathBuf::from("/x"));
    assert_eq!(directory(None, false, None), PathBuf::from("/var/lib/bedplate"));
}

#[test]
fn a_local_bedplate_needs_no_settings() {
    let scratch = Scratch::new("local");
    let settings = local(&scratch).settings().unwrap();
    assert_eq!(settings.url, "https://127.0.0.1:7443");
    assert_eq!(settings.ca_pem.as_deref(), Some("PEM"));
    assert_eq!(settings.token.unwrap().expose(), "bp_local");
}

#[test]
fn the_local_token_does_not_go_elsewhere() {
    let scratch = Scratch::new("elsewhere");
    let elsewhere = Global { url: Some("https://other:7443".to_owned()), ..local(&scratch) };
    let settings = elsewhere.settings().unwrap();
    assert!(settings.token.is_none() && settings.ca_pem.is_none());
    let same = Global { url: Some("https://127.0.0.1:7443/".to_owned()), ..local(&scratch) };
    assert!(same.settings().unwrap().token.is_some());
}

#[test]
fn what_is_given_comes_first() {
    let scratch = Scratch::new("given");
    let file = scratch.0.join("token");
    std::fs::write(&file, " bp_file \n").unwrap();
    let given = Global { token_file: Some(file), ..local(&scratch) };
    assert_eq!(given.settings().unwrap().token.unwrap().expose(), "bp_file");
    let given = Global { token: Some("bp_flag".to_owned()), ..local(&scratch) };
    assert_eq!(given.settings().unwrap().token.unwrap().expose(), "bp_flag");
}

#[test]
fn nowhere_is_said_with_the_way_out() {
    let scratch = Scratch::new("nowhere");
    let nothing = Global { dir: Some(scratch.0.clone()), ..Global::default() };
    let failure = nothing.settings().unwrap_err();
    assert_eq!(failure.exit, Exit::Problem);
    assert!(failure.next.contains("bedplate up"), "{failure}");
}
