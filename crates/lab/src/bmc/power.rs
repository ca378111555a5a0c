//! Power and the boot override: what is asked for, and carrying it out one at a time.

use std::sync::{Arc, Mutex, MutexGuard};

use hyper::StatusCode;
use model::bmc::{BootTarget, PowerState};
use serde_json::Value;

use super::faults::Fault;
use super::reply::Refusal;
use super::service::Service;

/// What `ComputerSystem.Reset` can do here.
pub(super) const RESETS: [&str; 6] =
    ["On", "ForceOff", "GracefulShutdown", "ForceRestart", "PowerCycle", "PushPowerButton"];
/// From where a boot can be overridden.
pub(super) const TARGETS: [&str; 5] = ["None", "Pxe", "UefiHttp", "Cd", "Hdd"];
/// For how long.
pub(super) const ENABLED: [&str; 3] = ["Disabled", "Once", "Continuous"];

/// The boot override, in Redfish's words.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Wish {
    pub enabled: &'static str,
    pub target: &'static str,
    pub uri: Option<String>,
}

impl Default for Wish {
    fn default() -> Self {
        Self { enabled: "Disabled", target: "None", uri: None }
    }
}

/// The power switch.
#[derive(Default)]
pub(super) struct Switch {
    wish: Mutex<Wish>,
    /// Shown instead of the hardware's state while something is being carried out.
    passing: Mutex<Option<PowerState>>,
    /// Held while something is being carried out.
    turn: tokio::sync::Mutex<()>,
}

impl Switch {
    /// The boot override.
    pub(super) fn wish(&self) -> MutexGuard<'_, Wish> {
        self.wish.lock().unwrap_or_else(|broken| broken.into_inner())
    }

    /// Whether the next boot is overridden.
    pub(super) fn wishes(&self) -> bool {
        let wish = self.wish();
        wish.enabled != "Disabled" && wish.target != "None"
    }

    fn passing(&self) -> MutexGuard<'_, Option<PowerState>> {
        self.passing.lock().unwrap_or_else(|broken| broken.into_inner())
    }
}

impl Wish {
    /// Takes the `Boot` object of a PATCH.
    pub(super) fn change(&mut self, boot: &Value) -> Result<(), Refusal> {
        let fields = boot.as_object().ok_or_else(|| Refusal::bad_value("Boot", boot))?;
        let mut changed = self.clone();
        for (name, value) in fields {
            let bad = || Refusal::bad_value(name, value);
            let word = value.as_str();
            match name.as_str() {
                "BootSourceOverrideEnabled" => {
                    changed.enabled = pick(&ENABLED, word).ok_or_else(bad)?;
                }
                "BootSourceOverrideTarget" => {
                    changed.target = pick(&TARGETS, word).ok_or_else(bad)?;
                }
                "BootSourceOverrideMode" if word == Some("UEFI") => {}
                "HttpBootUri" if value.is_null() => changed.uri = None,
                "HttpBootUri" => {
                    let uri = word.filter(|uri| is_http(uri)).ok_or_else(bad)?;
                    changed.uri = Some(uri.to_owned());
                }
                "BootSourceOverrideMode" => return Err(bad()),
                _ => return Err(unknown_property(name)),
            }
        }
        if changed.target == "UefiHttp" && changed.enabled != "Disabled" && changed.uri.is_none() {
            let message = "UefiHttp needs an HttpBootUri.";
            return Err(Refusal::new(StatusCode::BAD_REQUEST, "PropertyMissing", message));
        }
        *self = changed;
        Ok(())
    }

    fn boot_target(&self) -> Option<BootTarget> {
        match (self.enabled, self.target) {
            ("Disabled", _) => None,
            (_, "Pxe") => Some(BootTarget::Pxe),
            (_, "UefiHttp") => self.uri.clone().map(|uri| BootTarget::Http { uri }),
            (_, "Cd") => Some(BootTarget::Media),
            (_, "Hdd") => Some(BootTarget::Disk),
            _ => None,
        }
    }
}

pub(super) fn unknown_property(name: &str) -> Refusal {
    let message = format!("The property {name} is not one that can be changed here.");
    Refusal::new(StatusCode::BAD_REQUEST, "PropertyNotWritable", message)
}

fn is_http(uri: &str) -> bool {
    let scheme = uri.starts_with("http://") || uri.starts_with("https://");
    scheme && uri.len() <= 4096 && uri.bytes().all(|byte| byte.is_ascii_graphic())
}

fn pick(words: &[&'static str], word: Option<&str>) -> Option<&'static str> {
    words.iter().copied().find(|known| Some(*known) == word)
}

impl Service {
    /// The power state as clients see it.
    pub(super) fn power(&self) -> PowerState {
        let passing = *self.switch.passing();
        passing.unwrap_or_else(|| self.hardware.view().power)
    }

    /// Accepts a reset; it is carried out after the answer has left, as BMCs do.
    pub(super) fn reset(self: &Arc<Self>, kind: &Value) -> Result<(), Refusal> {
        let kind =
            pick(&RESETS, kind.as_str()).ok_or_else(|| Refusal::bad_value("ResetType", kind))?;
        if self.faults.has(Fault::PowerLies) {
            return Ok(());
        }
        let on = self.hardware.view().power == PowerState::On;
        *self.switch.passing() = match (kind, on) {
            ("On" | "ForceRestart" | "PowerCycle", false) => Some(PowerState::PoweringOn),
            ("PushPowerButton", false) => Some(PowerState::PoweringOn),
            ("ForceOff" | "ForceRestart" | "PowerCycle", true) => Some(PowerState::PoweringOff),
            _ => None,
        };
        let service = Arc::clone(self);
        tokio::spawn(async move {
            let _turn = service.switch.turn.lock().await;
            let done = service.carry_out(kind).await;
            *service.switch.passing() = None;
            if let Err(error) = done {
                tracing::warn!(machine = service.spec.name, kind, %error, "a reset failed");
            }
        });
        Ok(())
    }

    /// Restarts a machine that restarts itself, so that it boots as is wished.
    pub(super) fn restart_for_wish(self: &Arc<Self>) {
        let _ = self.reset(&Value::from("ForceRestart"));
    }

    async fn carry_out(&self, kind: &str) -> Result<(), crate::LabError> {
        let on = self.hardware.view().power == PowerState::On;
        match kind {
            "On" => self.switch_on().await,
            "ForceOff" => self.hardware.power_off().await,
            "ForceRestart" | "PowerCycle" => {
                self.hardware.power_off().await?;
                *self.switch.passing() = Some(PowerState::PoweringOn);
                self.switch_on().await
            }
            "PushPowerButton" if !on => self.switch_on().await,
            "GracefulShutdown" | "PushPowerButton" if on => self.hardware.press_button().await,
            _ => Ok(()),
        }
    }

    /// Switches on; a wish for one boot is thereby used up.
    async fn switch_on(&self) -> Result<(), crate::LabError> {
        if self.hardware.view().power == PowerState::On {
            return Ok(());
        }
        let boot = self.switch.wish().boot_target();
        self.hardware.power_on(boot).await?;
        let mut wish = self.switch.wish();
        if wish.enabled == "Once" {
            (wish.enabled, wish.target) = ("Disabled", "None");
        }
        Ok(())
    }
}
