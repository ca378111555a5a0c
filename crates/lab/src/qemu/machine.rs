//! A machine of the rack: its power, its boot and its virtual drive, over the runs of
//! QEMU that come and go.

use std::fs;
use std::path::PathBuf;
use std::sync::{Arc, Mutex as StdMutex};

use futures_util::future::BoxFuture;
use model::Timestamp;
use model::bmc::{BootTarget, PowerState};
use model::inventory::Inventory;
use serde_json::{Value, json};
use tokio::sync::{Mutex, broadcast, mpsc, watch};
use tokio::task::JoinHandle;
use world::{Clock, SystemClock};

use crate::console::Console;
use crate::error::LabError;
use crate::hardware::{BootStage, Hardware, HardwareEvent, View};
use crate::keeper::Keeper;

use super::command::{PORT_MEDIA, Plan};
use super::flash;
use super::progress::Watcher;
use super::run::{Run, Said};

/// Readings of processor time closer together than this say nothing.
const METER_SPAN: model::Duration = model::Duration::from_millis(500);
/// How often an image is asked for that its device still holds: for 5 s.
const UNPLUG_TRIES: u32 = 100;
/// `USER_HZ`: Linux shows processor time in hundredths of a second.
const TICKS_PER_SECOND: f64 = 100.0;

/// A machine.
pub(crate) struct QemuMachine {
    plan: Plan,
    parts: Inventory,
    keeper: Keeper,
    signs: Arc<Signs>,
    state: Mutex<State>,
    meter: StdMutex<Meter>,
}

/// What is seen of a machine from outside.
struct Signs {
    console: Console,
    clock: SystemClock,
    view: watch::Sender<View>,
    events: broadcast::Sender<HardwareEvent>,
}

#[derive(Default)]
struct State {
    /// QEMU, and the task that tells what it says.
    run: Option<(Run, JoinHandle<()>)>,
    media: Option<PathBuf>,
}

/// Processor time of QEMU, to tell how busy the machine is.
#[derive(Default)]
struct Meter {
    /// When it was read, and the ticks then.
    last: Option<(Timestamp, u64)>,
    load: f64,
    pid: Option<u32>,
}

impl QemuMachine {
    pub(crate) fn new(plan: Plan, parts: Inventory, keeper: Keeper) -> Arc<Self> {
        let clock = SystemClock::default();
        let since = clock.now();
        let off = View { power: PowerState::Off, stage: BootStage::None, since };
        let console = Console::new(Some(plan.dir.join("console.log")));
        let (view, events) = (watch::channel(off).0, broadcast::channel(256).0);
        let signs = Arc::new(Signs { console, clock, view, events });
        let (state, meter) = (Mutex::default(), StdMutex::default());
        Arc::new(Self { plan, parts, keeper, signs, state, meter })
    }

    /// Hardware address, lower case with colons.
    pub(crate) fn mac(&self) -> String {
        self.plan.mac_text()
    }

    /// Power and boot, as they change.
    pub(crate) fn watch(&self) -> watch::Receiver<View> {
        self.signs.view.subscribe()
    }

    async fn start(&self, boot: Option<BootTarget>) -> Result<(), LabError> {
        let mut state = self.state.lock().await;
        if state.run.as_ref().is_some_and(|(run, _)| run.alive()) {
            return Ok(());
        }
        state.end().await;
        flash::set_next(&self.plan, boot.as_ref())?;
        let (said, heard) = mpsc::unbounded_channel();
        let (console, media) = (&self.signs.console, state.media.as_deref());
        let run = Run::start(&self.plan, &self.keeper, console, media, said).await?;
        self.meter().pid = Some(run.process.pid);
        self.signs.power(PowerState::On);
        let listener = tokio::spawn(Arc::clone(&self.signs).listen(heard));
        state.run = Some((run, listener));
        Ok(())
    }

    async fn control(&self, command: &str, arguments: Value) -> Result<(), LabError> {
        let state = self.state.lock().await;
        let Some((run, _)) = state.run.as_ref().filter(|(run, _)| run.alive()) else {
            return Err(LabError::State("the machine is off".into()));
        };
        run.qmp.execute(command, arguments).await.map(drop).map_err(|said| self.failed(said))
    }

    /// Changes the image in the virtual drive: pulled out and plugged in as a USB
    /// stick would be. A machine that is off finds it when it is switched on.
    async fn change_media(&self, image: Option<PathBuf>) -> Result<(), LabError> {
        let mut state = self.state.lock().await;
        if let Some((run, _)) = state.run.as_ref().filter(|(run, _)| run.alive()) {
            if state.media.is_some() {
                unplug(run).await.map_err(|said| self.failed(said))?;
            }
            if let Some(image) = &image {
                plug(run, image).await.map_err(|said| self.failed(said))?;
            }
        }
        state.media = image;
        Ok(())
    }

    fn failed(&self, said: String) -> LabError {
        LabError::Qemu { machine: self.plan.name.clone(), said }
    }

    fn meter(&self) -> std::sync::MutexGuard<'_, Meter> {
        self.meter.lock().unwrap_or_else(|broken| broken.into_inner())
    }
}

async fn plug(run: &Run, image: &std::path::Path) -> Result<(), String> {
    let file = json!({"driver": "file", "filename": image});
    let node = json!({"driver": "raw", "node-name": "media", "read-only": true, "file": file});
    run.qmp.execute("blockdev-add", node).await?;
    let device = json!({
        "driver": "usb-storage", "id": "media", "drive": "media", "bus": "usb.0",
        "port": PORT_MEDIA.to_string(),
    });
    run.qmp.execute("device_add", device).await.map(drop)
}

async fn unplug(run: &Run) -> Result<(), String> {
    run.qmp.execute("device_del", json!({"id": "media"})).await?;
    // The device lets go of its image a little after it has gone.
    let mut tries = 0;
    loop {
        match run.qmp.execute("blockdev-del", json!({"node-name": "media"})).await {
            Err(_) if tries < UNPLUG_TRIES => tries += 1,
            other => return other.map(drop),
        }
        tokio::time::sleep(std::time::Duration::from_millis(50)).await;
    }
}

impl State {
    /// Ends the run, if there is one, and waits until all that it said has been told.
    async fn end(&mut self) {
        if let Some((run, listener)) = self.run.take() {
            run.kill().await;
            let _ = listener.await;
        }
    }
}

impl Signs {
    async fn listen(self: Arc<Self>, mut heard: mpsc::UnboundedReceiver<Said>) {
        let mut watcher = Watcher::default();
        while let Some(said) = heard.recv().await {
            match said {
                Said::Console(bytes) => {
                    // The stage first: who has read the line must find it told.
                    if let Some(stage) = watcher.feed(&bytes) {
                        self.stage(stage);
                    }
                    self.console.feed(&bytes);
                }
                Said::Event(event) if event["event"] == "RESET" => self.reset(&event),
                Said::Event(_) => {}
                Said::Ended => break,
            }
        }
        self.power(PowerState::Off);
    }

    fn reset(&self, event: &Value) {
        self.stage(BootStage::PrimaryProcessorInitializationStarted);
        // Firmware resets itself too, when it has changed its own settings: also a restart.
        if event["data"]["guest"] == true {
            let _ = self.events.send(HardwareEvent::Restarted);
        }
    }

    fn power(&self, power: PowerState) {
        let stage = match power {
            PowerState::On => BootStage::PrimaryProcessorInitializationStarted,
            _ => BootStage::None,
        };
        self.view.send_replace(View { power, stage, since: self.clock.now() });
        let _ = self.events.send(HardwareEvent::Power(power));
        let _ = self.events.send(HardwareEvent::Stage(stage));
    }

    fn stage(&self, stage: BootStage) {
        let view = *self.view.borrow();
        if view.stage != stage {
            self.view.send_replace(View { stage, since: self.clock.now(), ..view });
            let _ = self.events.send(HardwareEvent::Stage(stage));
        }
    }
}

impl Hardware for QemuMachine {
    fn parts(&self) -> &Inventory {
        &self.parts
    }

    fn view(&self) -> View {
        *self.signs.view.borrow()
    }

    fn secure_boot(&self) -> bool {
        flash::read(&self.plan.variables()).is_ok_and(|store| store.secure_boot())
    }

    fn load(&self) -> f64 {
        let now = self.signs.clock.now();
        let mut meter = self.meter();
        if self.view().power != PowerState::On {
            return 0.0;
        }
        let Some(ticks) = meter.pid.and_then(processor_ticks) else { return 0.0 };
        match meter.last {
            Some((then, _)) if now.since(then) < METER_SPAN => {}
            Some((then, before)) => {
                let busy = ticks.saturating_sub(before) as f64 / TICKS_PER_SECOND;
                let full = now.since(then).secs_f64() * f64::from(self.plan.cpus);
                meter.load = (busy / full).clamp(0.0, 1.0);
                meter.last = Some((now, ticks));
            }
            None => meter.last = Some((now, ticks)),
        }
        meter.load
    }

    fn console(&self) -> &Console {
        &self.signs.console
    }

    fn events(&self) -> broadcast::Receiver<HardwareEvent> {
        self.signs.events.subscribe()
    }

    fn power_on(&self, boot: Option<BootTarget>) -> BoxFuture<'_, Result<(), LabError>> {
        Box::pin(self.start(boot))
    }

    fn power_off(&self) -> BoxFuture<'_, Result<(), LabError>> {
        Box::pin(async {
            self.state.lock().await.end().await;
            Ok(())
        })
    }

    fn press_button(&self) -> BoxFuture<'_, Result<(), LabError>> {
        Box::pin(self.control("system_powerdown", json!({})))
    }

    fn set_media(&self, image: Option<PathBuf>) -> BoxFuture<'_, Result<(), LabError>> {
        Box::pin(self.change_media(image))
    }
}

/// Fields 14 and 15 of `/proc/PID/stat`: user and system time.
fn processor_ticks(pid: u32) -> Option<u64> {
    let stat = fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
    let mut fields = stat[stat.rfind(')')? + 1..].split_whitespace().skip(11);
    let user: u64 = fields.next()?.parse().ok()?;
    let system: u64 = fields.next()?.parse().ok()?;
    Some(user.saturating_add(system))
}
