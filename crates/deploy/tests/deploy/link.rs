//! The exchange with the control plane: being let in (with a real software TPM
//! where there is one), orders once and in order, reports until they are heard.

use std::fs;
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use deploy::agent;
use deploy::boot::Departure;
use deploy::network::lldp::Heard;
use deploy::settings::{Control as Where, Settings};
use deploy::tpm::TpmPlace;
use http::StatusCode;
use model::agent::{AgentCommand, AgentFact, AgentFailureKind, AgentNews, AgentOrder, AgentReport};
use model::attestation::Finding;
use model::id::EffectId;
use model::image::{Compression, ImageFormat};
use model::machine::SanitiseMethod;
use model::{Encoded, Id, Timestamp};

use crate::authority::hasty;
use crate::control::{Control, State};
use crate::files::serve;
use crate::image::{order as image_order, shelf};
use crate::made_up::{Machine, has, path, system};

/// Long enough for a loaded machine; only a hang gets here.
const PATIENCE: Duration = Duration::from_secs(120);

fn settings(machine: &Machine, control: &Control, tpm: TpmPlace) -> Settings {
    Settings {
        control: Where { url: control.url.clone(), ca: control.authority.pem() },
        roots: machine.roots(),
        patience: hasty(),
        tpm,
        owns_machine: false,
    }
}

fn order(number: u8, sequence: u64, command: AgentCommand) -> AgentOrder {
    AgentOrder { id: id(number), sequence, command }
}

fn id(number: u8) -> EffectId {
    Id::new(Timestamp::from_micros(5_000), [number; 10])
}

/// The final reports of one order.
fn finals(state: &State, number: u8) -> Vec<AgentReport> {
    let of = |report: &&AgentReport| {
        report.id == id(number) && !matches!(report.news, AgentNews::Progress { .. })
    };
    state.reports.iter().filter(of).cloned().collect()
}

/// Gives an order and waits for its end.
async fn give(control: &Control, number: u8, sequence: u64, command: AgentCommand) -> AgentNews {
    control.state.lock().unwrap().orders = vec![order(number, sequence, command)];
    let news = control.wait_for(|state| finals(state, number).first().cloned()).await.news;
    control.state.lock().unwrap().orders.clear();
    news
}

/// Runs `test` beside an agent that is not told to leave.
async fn beside(settings: Settings, test: impl Future<Output = ()>) {
    tokio::select! {
        departure = agent::run(settings, Heard::default()) => panic!("it left: {departure:?}"),
        done = tokio::time::timeout(PATIENCE, test) => done.unwrap(),
    }
}

#[tokio::test]
async fn a_whole_life() {
    let (machine, control) = (Machine::new(), Control::start().await);
    let node = machine.disk("vda", 16);
    let plain = system(8);
    let files = serve(&control.authority, shelf(plain.clone())).await;
    let running = agent::run(settings(&machine, &control, TpmPlace::Absent), Heard::default());
    let test = async {
        let news = give(&control, 1, 1, AgentCommand::Report).await;
        let AgentNews::Done { fact: AgentFact::Inventory { inventory } } = news else {
            panic!("{news:?}")
        };
        assert_eq!(inventory.disks[0].serial, "SER-vda");
        assert_eq!(inventory.tpm, None);

        let method = SanitiseMethod::CryptoErase;
        let news = give(&control, 2, 2, AgentCommand::Sanitise { method, sample_ppm: 1000 }).await;
        assert!(
            matches!(&news, AgentNews::Done { fact: AgentFact::Sanitised { disks } }
            if disks[0].residue.0 == 0),
            "{news:?}"
        );

        let span = model::Duration::from_millis(1);
        let news = give(&control, 3, 3, AgentCommand::BurnIn { span }).await;
        let AgentNews::Done { fact: AgentFact::BurnedIn { results } } = news else {
            panic!("{news:?}")
        };
        let tests: Vec<&str> = results.iter().map(|result| result.test.as_str()).collect();
        assert_eq!(tests, ["cpu", "memory", "disk vda"]);
        assert!(results[0].passed && results[2].passed, "{results:?}");

        let image = image_order(&files, ImageFormat::Raw, Compression::None, plain.len());
        let news = give(&control, 4, 4, AgentCommand::WriteImage { order: Box::new(image) }).await;
        assert!(
            matches!(&news, AgentNews::Done { fact: AgentFact::ImageWritten { disk, .. } }
            if disk == "vda"),
            "{news:?}"
        );
        assert!(fs::read(&node).unwrap()[..plain.len()] == plain);

        let quote = AgentCommand::Quote { nonce: Encoded(vec![1; 32]), pcrs: vec![0] };
        let news = give(&control, 5, 5, quote).await;
        assert!(
            matches!(&news, AgentNews::Failed { failure }
            if failure.kind == AgentFailureKind::Tpm),
            "{news:?}"
        );

        // No firmware variables here: it just leaves.
        let news = give(&control, 6, 6, AgentCommand::BootDisk { kexec: false }).await;
        assert!(matches!(news, AgentNews::Done { fact: AgentFact::Leaving }), "{news:?}");
    };
    let (departure, ()) =
        tokio::time::timeout(PATIENCE, async { tokio::join!(running, test) }).await.unwrap();
    assert_eq!(departure.unwrap(), Departure::Restart);
}

#[tokio::test]
async fn an_order_is_done_once_and_an_old_one_refused() {
    let (machine, control) = (Machine::new(), Control::start().await);
    beside(settings(&machine, &control, TpmPlace::Absent), async {
        control.state.lock().unwrap().orders = vec![order(1, 7, AgentCommand::Report)];
        // It is handed out again and again: the same answer comes again and again.
        let answers = control
            .wait_for(|state| Some(finals(state, 1)).filter(|answers| answers.len() >= 2))
            .await;
        assert_eq!(answers[0], answers[1]);
        let news = give(&control, 2, 6, AgentCommand::PowerOff).await;
        assert!(
            matches!(&news, AgentNews::Failed { failure }
            if failure.kind == AgentFailureKind::Refused),
            "{news:?}"
        );
    })
    .await;
}

#[tokio::test]
async fn a_report_is_repeated_until_it_is_heard() {
    let (machine, control) = (Machine::new(), Control::start().await);
    control.state.lock().unwrap().deaf = 3;
    beside(settings(&machine, &control, TpmPlace::Absent), async {
        let news = give(&control, 1, 1, AgentCommand::Report).await;
        assert!(matches!(news, AgentNews::Done { .. }));
        assert_eq!(control.state.lock().unwrap().deaf, 0);
    })
    .await;
}

#[tokio::test]
async fn a_denied_agent_says_hello_again_and_its_work_goes_on() {
    let (machine, control) = (Machine::new(), Control::start().await);
    beside(settings(&machine, &control, TpmPlace::Absent), async {
        give(&control, 1, 1, AgentCommand::Report).await;
        let span = model::Duration::from_millis(500);
        control.state.lock().unwrap().orders = vec![order(2, 2, AgentCommand::BurnIn { span })];
        control
            .wait_for(|state| state.reports.iter().find(|report| report.id == id(2)).cloned())
            .await;
        control.state.lock().unwrap().deny_orders = Some(StatusCode::UNAUTHORIZED);
        control.wait_for(|state| (state.hellos == 2).then_some(())).await;
        let news = control.wait_for(|state| finals(state, 2).first().cloned()).await.news;
        assert!(matches!(news, AgentNews::Done { .. }), "{news:?}");
    })
    .await;
}

#[tokio::test]
async fn nobody_leaves_when_nobody_wants_it() {
    let (machine, control) = (Machine::new(), Control::start().await);
    control.state.lock().unwrap().stale = true;
    beside(settings(&machine, &control, TpmPlace::Absent), async {
        give(&control, 1, 1, AgentCommand::PowerOff).await;
        control.state.lock().unwrap().stale = false;
        let news = give(&control, 2, 2, AgentCommand::Report).await;
        assert!(matches!(news, AgentNews::Done { .. }));
    })
    .await;
}

/// Ends when dropped.
struct Swtpm(Child);

impl Swtpm {
    fn start(machine: &Machine) -> (Self, PathBuf) {
        let (state, socket) = (machine.file("tpm"), machine.file("tpm.sock"));
        fs::create_dir_all(&state).unwrap();
        let child = Command::new("swtpm")
            .args(["socket", "--tpm2", "--flags", "not-need-init,startup-clear"])
            .args(["--tpmstate", &format!("dir={}", path(&state))])
            .args(["--server", &format!("type=unixio,path={}", path(&socket))])
            .stdout(Stdio::null())
            .spawn()
            .unwrap();
        let swtpm = Self(child);
        for _ in 0..600 {
            if socket.exists() {
                return (swtpm, socket);
            }
            std::thread::sleep(Duration::from_millis(50));
        }
        panic!("swtpm does not listen");
    }
}

impl Drop for Swtpm {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

#[tokio::test]
async fn a_machine_proves_its_tpm() {
    if !has("swtpm", "swtpm") {
        return;
    }
    let (machine, control) = (Machine::new(), Control::start().await);
    let (_swtpm, socket) = Swtpm::start(&machine);
    beside(settings(&machine, &control, TpmPlace::Socket(socket)), async {
        let verdict = control.wait_for(|state| state.verdict.clone()).await;
        assert_eq!(verdict.finding, Finding::Learning, "genuine, with no policy to judge it by");
        let news = give(&control, 1, 1, AgentCommand::Report).await;
        let AgentNews::Done { fact: AgentFact::Inventory { inventory } } = news else {
            panic!("{news:?}")
        };
        let tpm = inventory.tpm.unwrap();
        assert_eq!((tpm.family.as_str(), tpm.endorsement.len()), ("2.0", 64));
        let quote = AgentCommand::Quote { nonce: Encoded(vec![1; 32]), pcrs: vec![0, 7] };
        let news = give(&control, 2, 2, quote).await;
        assert!(
            matches!(&news, AgentNews::Done { fact: AgentFact::Quoted { quote } }
            if quote.pcrs.len() == 2),
            "{news:?}"
        );
    })
    .await;
}
