//! Where the machine boots from next time, and only then (DSP0268,
//! ComputerSystem.Boot).
//!
//! BMCs take this change in different portions: all at once, without the mode,
//! only through a settings object, only with a matching etag. The portions are
//! tried from the most complete to the smallest, and the result is read back.

use model::bmc::{BmcFact, BootTarget};
use serde_json::{Map, Value, json};

use crate::document::Document;
use crate::failure::{Failure, Outcome};
use crate::redfish::Redfish;

const TARGETS: &str = "/Boot/BootSourceOverrideTarget@Redfish.AllowableValues";

/// One way to put the change: the bodies to send, one after the other.
type Portions = Vec<Value>;

impl Redfish {
    pub(crate) async fn set_boot(&mut self, target: &BootTarget) -> Outcome<BmcFact> {
        let system = self.system().await?;
        if system.body.get("Boot").is_none() {
            return Err(Failure::unsupported(format!("{} has no Boot", system.path)));
        }
        let word = word_for(target, &system)?;
        let mut places = vec![system.path.clone()];
        places.extend(system.link("/@Redfish.Settings/SettingsObject"));
        let uri = match target {
            BootTarget::Http { uri } => Some(uri.as_str()),
            BootTarget::Pxe | BootTarget::Media | BootTarget::Disk => None,
        };
        let mut refusal = None;
        // The settings object comes first where there is one: it is the place for
        // changes that apply at the next start.
        for place in places.iter().rev() {
            match self.put_boot(place, word, uri, &system).await {
                Ok(()) => return Ok(BmcFact::Accepted),
                Err(failure) if failure.is_about_the_request() => {
                    refusal.get_or_insert(failure);
                }
                Err(failure) => return Err(failure),
            }
        }
        Err(refusal.expect("at least one place was tried"))
    }

    async fn put_boot(
        &self,
        place: &str,
        word: &'static str,
        uri: Option<&str>,
        system: &Document,
    ) -> Outcome<()> {
        let mut refusal = None;
        for portions in ways(word, uri, system) {
            match self.put_portions(place, &portions).await {
                Ok(()) => return self.boot_reads_back(place, word, uri).await,
                Err(failure) if failure.is_about_the_request() => {
                    refusal.get_or_insert(failure);
                }
                Err(failure) => return Err(failure),
            }
        }
        Err(refusal.expect("there is at least one way"))
    }

    async fn put_portions(&self, place: &str, portions: &Portions) -> Outcome<()> {
        for boot in portions {
            self.amend(place, &json!({"Boot": boot})).await?;
        }
        Ok(())
    }

    /// Changes a resource under its etag. A stale etag is read anew, once; a BMC
    /// that refuses its own etag is told that any will do.
    pub(crate) async fn amend(&self, place: &str, body: &Value) -> Outcome<()> {
        let mut outcome = Ok(());
        for attempt in 0..3 {
            let etag = match attempt {
                2 => Some("*".to_owned()),
                _ => self.wire.get(place).await?.etag,
            };
            outcome = self.wire.patch_through(place, etag.as_deref(), body).await;
            match &outcome {
                Err(failure) if matches!(failure.status, Some(412 | 428)) => {}
                _ => break,
            }
        }
        outcome
    }

    /// A BMC that accepts and does nothing is found out here.
    async fn boot_reads_back(&self, place: &str, word: &str, uri: Option<&str>) -> Outcome<()> {
        let mut seen = String::new();
        for _ in 0..self.wire.limits.looks.max(1) {
            let read = self.wire.get(place).await?;
            seen = read.text("/Boot/BootSourceOverrideTarget");
            let enabled = read.text("/Boot/BootSourceOverrideEnabled") != "Disabled";
            let address = read.body.pointer("/Boot/HttpBootUri").and_then(Value::as_str);
            let has_address = uri.is_some() && address == uri;
            // An address may be carried out by another device: a virtual drive.
            let same = match address.is_some_and(|address| !address.is_empty()) {
                true if uri.is_some() => has_address && seen != "None",
                _ => seen == word,
            };
            if seen.is_empty() || (same && enabled) {
                return Ok(());
            }
            tokio::time::sleep(self.wire.limits.look).await;
        }
        Err(Failure::refused(format!(
            "the BMC accepted to boot from {word}, but {place} reads back {seen:?}"
        )))
    }
}

/// The BMC's word for a target.
fn word_for(target: &BootTarget, system: &Document) -> Outcome<&'static str> {
    let words: &[&str] = match target {
        BootTarget::Http { .. } => &["UefiHttp"],
        BootTarget::Pxe => &["Pxe"],
        BootTarget::Media => &["Cd", "UsbCd", "Usb"],
        BootTarget::Disk => &["Hdd"],
    };
    let allowed = system.texts(TARGETS);
    // A BMC that does not say what it allows may allow all.
    let possible = |word: &&&'static str| allowed.is_empty() || allowed.iter().any(|a| a == **word);
    words.iter().find(possible).copied().ok_or_else(|| {
        Failure::unsupported(format!("boots from {allowed:?}, not from {}", words[0]))
    })
}

/// Ways to put the change, most complete first.
fn ways(word: &'static str, uri: Option<&str>, system: &Document) -> Vec<Portions> {
    let once = json!({"BootSourceOverrideTarget": word, "BootSourceOverrideEnabled": "Once"});
    let with = |base: &Value, name: &str, value: Value| {
        let mut boot: Map<String, Value> = base.as_object().cloned().unwrap_or_default();
        boot.insert(name.to_owned(), value);
        Value::Object(boot)
    };
    let mode = with(&once, "BootSourceOverrideMode", "UEFI".into());
    let apart = vec![json!({"BootSourceOverrideMode": "UEFI"}), once.clone()];
    let Some(uri) = uri else {
        return vec![vec![mode], vec![once.clone()], apart];
    };
    let address = json!({"HttpBootUri": uri});
    let mut ways = vec![
        vec![with(&mode, "HttpBootUri", uri.into())],
        vec![with(&once, "HttpBootUri", uri.into())],
        vec![address.clone(), mode.clone()],
        vec![address, once.clone()],
    ];
    // Where there is no such property at all, the firmware still boots over HTTP:
    // from the address that DHCP gives it.
    if system.body.pointer("/Boot/HttpBootUri").is_none() {
        ways.extend([vec![mode], vec![once]]);
    }
    ways
}
