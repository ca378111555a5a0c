//! Tests of accounts: what is written comes back and is sealed, sessions expire.

use super::*;

const TWO: &str = r#"[
  {"access_key":"AKIDEXAMPLE","secret_key":"s1","id":"main","display_name":"M. Tester","email":"Main@example.com"},
  {"access_key":"OTHER","secret_key":"s2","id":"t$alt","tenant":"t"}
]"#;

fn directory(name: &str) -> PathBuf {
    let path = std::env::temp_dir().join(format!("bedplate-{name}-{}", std::process::id()));
    let _ = std::fs::remove_dir_all(&path);
    path
}

#[test]
fn the_first_start_makes_a_key_that_is_there_at_the_second_and_sealed_on_disk() {
    let place = directory("accounts");
    let keys = Arc::new(KeyProvider::open(&place).expect("keys"));
    let (accounts, first) = Accounts::open(&place, Arc::clone(&keys)).expect("made");
    let first = first.expect("the first start shows a key");
    assert_eq!((first.id.len(), first.secret.expose().len()), (20, 40));
    accounts.import(Accounts::parse(TWO).expect("a list")).expect("written");
    drop(accounts);
    let (again, none) = Accounts::open(&place, keys).expect("read");
    assert!(none.is_none());
    let snapshot = again.snapshot();
    assert_eq!(snapshot.key(&first.id).expect("there").secret, first.secret);
    assert_eq!(&*snapshot.email("main@EXAMPLE.com").expect("there").display, "M. Tester");
    let sealed = std::fs::read(place.join("accounts.sealed")).expect("there");
    let secret = first.secret.expose().as_bytes();
    assert!(!sealed.windows(secret.len()).any(|bytes| bytes == secret));
    let other = Arc::new(KeyProvider::from_key(&[1; 32]));
    assert!(Accounts::open(&place, other).is_err());
    let _ = std::fs::remove_dir_all(&place);
}

#[test]
fn what_is_known_already_is_not_written_again() {
    let place = directory("accounts-again");
    let keys = Arc::new(KeyProvider::open(&place).expect("keys"));
    let (accounts, _) = Accounts::open(&place, keys).expect("made");
    let written = || std::fs::read(place.join("accounts.sealed")).expect("there");
    let import = |json: &str| accounts.import(Accounts::parse(json).expect("a list"));
    import(TWO).expect("written");
    // Each writing is sealed anew, so that no two are the same bytes.
    let first = written();
    import(TWO).expect("known");
    assert_eq!(written(), first);
    import(&TWO.replace("s2", "s3")).expect("written");
    assert_ne!(written(), first);
    let _ = std::fs::remove_dir_all(&place);
}

#[test]
fn a_change_is_seen_at_once_by_a_thread_that_has_looked_before() {
    let accounts = Accounts::fixed(Accounts::parse(TWO).expect("a list"));
    assert!(accounts.snapshot().key("OTHER").is_some());
    accounts.remove_key("OTHER").expect("there");
    assert!(accounts.snapshot().key("OTHER").is_none());
    assert!(matches!(accounts.remove_key("OTHER"), Err(AccountsError::Unknown(_))));
    let account = accounts.snapshot().owner(&Owner("main".into())).expect("there").clone();
    let made = accounts.add_key(account).expect("made");
    assert!(accounts.snapshot().key(&made.id).is_some());
}

#[test]
fn a_session_signs_until_it_expires_and_for_its_own_id_only() {
    let accounts = Accounts::fixed(Accounts::parse(TWO).expect("a list"));
    let at = Timestamp::from_micros;
    let session = accounts.new_session("OTHER", at(1_000)).expect("made");
    let (key, until) = accounts.session_key(&session.id, &session.token, at(999)).expect("good");
    assert_eq!(until, session.expires);
    assert_eq!(key.secret, session.secret);
    assert_eq!(&*key.account.owner.0, "t$alt");
    let refused =
        |id: &str, token: &str, now| accounts.session_key(id, token, at(now)).expect_err("refused");
    assert_eq!(refused(&session.id, &session.token, 1_000), SessionError::Expired);
    assert_eq!(refused("OTHER", &session.token, 0), SessionError::Invalid);
    assert_eq!(refused(&session.id, &session.token[1..], 0), SessionError::Invalid);
    assert_eq!(refused(&session.id, "", 0), SessionError::Invalid);
    accounts.remove_key("OTHER").expect("there");
    assert_eq!(refused(&session.id, &session.token, 0), SessionError::Gone);
}

#[test]
fn what_is_no_list_of_keys_is_refused() {
    for bad in [
        "",
        "{}",
        r#"[{"access_key":"a"}]"#,
        r#"[{"access_key":"a/b","secret_key":"s","id":"i"}]"#,
        r#"[{"access_key":"ab","secret_key":"","id":"i"}]"#,
    ] {
        Accounts::parse(bad).expect_err(bad);
    }
}
