//! What is held stays.

use model::Timestamp;
use object::bucket::{Config, DefaultRetention, Lock, Period, Versioning};
use object::entry::{Retention, RetentionMode};
use object::mutation::{Amendment, ConfigChange, Which};
use object::{Mutation, Refusal, Sequence};

use super::rig::{Rig, key, name};

fn locked(default: Option<DefaultRetention>) -> Rig {
    let mut rig = Rig::new();
    rig.bucket_with("one", Config { lock: Some(Lock { default }), ..Config::default() });
    rig
}

fn amend(rig: &mut Rig, sequence: Sequence, change: Amendment) -> Result<(), Refusal> {
    let (bucket, key, which) = (name("one"), key("a"), Which::At(sequence));
    rig.one(Mutation::Amend { bucket, key, which, change: Box::new(change) }).map(drop)
}

fn delete(rig: &mut Rig, sequence: Sequence, bypass: bool) -> Result<(), Refusal> {
    let delete = Rig::deleting("one", "a", Some(Which::At(sequence)));
    rig.one(Mutation::Delete(object::mutation::Delete { bypass, ..delete })).map(drop)
}

#[test]
fn a_legal_hold_holds_until_it_is_lifted() {
    let mut rig = locked(None);
    let sequence = rig.put("one", "a", b"1");
    amend(&mut rig, sequence, Amendment::LegalHold(true)).expect("it is held");
    let mut rig = rig.again();
    assert_eq!(delete(&mut rig, sequence, true), Err(Refusal::Held));
    amend(&mut rig, sequence, Amendment::LegalHold(false)).expect("it is lifted");
    assert_eq!(delete(&mut rig, sequence, false), Ok(()));
}

#[test]
fn retention_holds_by_its_mode_and_a_marker_may_always_come() {
    let day = Some(DefaultRetention { mode: RetentionMode::Governance, period: Period::Days(1) });
    let mut rig = locked(day);
    let sequence = rig.put("one", "a", b"1");
    assert_eq!(delete(&mut rig, sequence, false), Err(Refusal::Held));
    assert!(rig.delete("one", "a", None).is_ok(), "nothing is lost by a marker");
    let until = Timestamp::from_micros(rig.now.micros() + 3 * 86_400_000_000);
    let retention = Some(Retention { mode: RetentionMode::Compliance, until });
    let change = |bypass| Amendment::Retention { retention, bypass };
    assert_eq!(amend(&mut rig, sequence, change(false)), Err(Refusal::Held));
    assert_eq!(amend(&mut rig, sequence, change(true)), Ok(()));
    assert_eq!(delete(&mut rig, sequence, true), Err(Refusal::Held));
    rig.now = until;
    assert_eq!(delete(&mut rig, sequence, false), Ok(()));
}

#[test]
fn what_can_be_held_keeps_versions() {
    let mut rig = locked(None);
    let suspended = ConfigChange::Versioning(Versioning::Suspended);
    assert!(matches!(rig.configure("one", suspended), Err(Refusal::BucketState(_))));
    rig.bucket("two", Versioning::Off);
    let lock = || ConfigChange::Lock(Lock::default());
    assert!(matches!(rig.configure("two", lock()), Err(Refusal::BucketState(_))));
    let mut put = rig.putting("two", "a", b"1");
    put.attributes.legal_hold = Some(true);
    assert_eq!(rig.one(Mutation::Put(Box::new(put))), Err(Refusal::NoLock));
    rig.version_of("two", Versioning::On);
    assert!(rig.configure("two", lock()).is_ok());
}
