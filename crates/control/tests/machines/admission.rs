//! An agent is let in, gets its orders and tells what came of them; and those who
//! are not what they say are not let in. Against real software TPMs.

use control::carriers::{CarrierSettings, Carriers};
use model::agent::{Admission, AgentCommand, AgentFact, AgentNews, AgentOrder};
use model::attestation::Finding;
use model::id::MachineId;
use model::inventory::{Disk, Inventory};
use model::machine::{Lifecycle, ReasonCode, StepKind};
use model::{Encoded, ErrorCode};

use crate::agent::{Agent, Web};
use crate::house::House;
use crate::swtpm::SwTpm;

/// A house with a machine that was told to boot, and the way to it.
async fn waiting(name: &str) -> (House, Carriers, MachineId, Web) {
    let house = House::new();
    let carriers = house.carry(CarrierSettings::default());
    let machine = house.enroll(name).await;
    house
        .until_machine(machine, "it is told to boot", |it| {
            it.status.step.as_ref().is_some_and(|step| step.kind == StepKind::Restart)
        })
        .await;
    house.until("its BMC has answered", |nouns| nouns.outbox.is_empty().then_some(())).await;
    let web = Web::new(house.serve(), house.plane.authority.pem(), None);
    (house, carriers, machine, web)
}

/// The way of an agent that was let in.
fn inside(house: &House, agent: &Agent, admission: &Admission) -> Web {
    let certificate = Some((admission.certificate.as_str(), &agent.key));
    Web::new(house.serve(), house.plane.authority.pem(), certificate)
}

async fn only_order(web: &Web) -> AgentOrder {
    let mut orders = web.orders(30).await.expect("it is let in");
    assert_eq!(orders.len(), 1, "{orders:?}");
    orders.remove(0)
}

#[tokio::test(flavor = "multi_thread")]
async fn an_agent_is_let_in_and_works() {
    let Some(tpm) = SwTpm::start() else { return };
    let (house, carriers, machine, web) = waiting("one").await;
    let mut agent = Agent::new("one", Some(tpm.open()));
    let admission = agent.enter(&web).await.expect("it is let in");
    assert_eq!(admission.machine, machine);
    let web = inside(&house, &agent, &admission);

    let order = only_order(&web).await;
    assert_eq!(order.command, AgentCommand::Report);
    let disks = vec![Disk { name: "vda".to_owned(), ..Disk::default() }];
    let inventory = Box::new(Inventory { disks, ..Inventory::default() });
    let news = AgentNews::Done { fact: AgentFact::Inventory { inventory } };
    let heard = web.report(&order, news.clone()).await.expect("it is heard");
    assert!(!heard.stale);
    let again = web.report(&order, news).await.expect("it is answered");
    assert!(again.stale, "it was heard before");

    let order = only_order(&web).await;
    let AgentCommand::Quote { nonce, pcrs } = &order.command else { panic!("{order:?}") };
    let tpm = agent.tpm.as_mut().expect("it has one");
    let binding = attest::binding(nonce.as_ref(), &[]);
    let quote = Box::new(tpm.quote(&binding, pcrs, Vec::new()).expect("a quote"));
    let news = AgentNews::Done { fact: AgentFact::Quoted { quote } };
    web.report(&order, news).await.expect("it is heard");
    let attested =
        house.until_machine(machine, "it is judged", |it| it.status.attestation.is_some()).await;
    let verdict = attested.status.attestation.expect("it is judged");
    assert_eq!(verdict.finding, Finding::Learning, "{verdict:?}");
    // What it rests on is kept beside the machine, not in it.
    assert!(verdict.pcrs.is_empty());
    let judged = house.plane.leader.read().judgements.get(machine.uuid()).cloned();
    assert_eq!(judged.expect("it is kept").status.pcrs.len(), pcrs.len());
    let order = only_order(&web).await;
    assert!(matches!(order.command, AgentCommand::BurnIn { .. }), "{order:?}");

    // Nothing was said about an image: it gets none.
    let image = "/v1/agent/images/00000000-0000-0000-0000-000000000009";
    assert_eq!(web.get(image, None).await.status(), 403);
    carriers.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_agent_that_waits_is_woken() {
    let Some(tpm) = SwTpm::start() else { return };
    let (house, carriers, machine, web) = waiting("one").await;
    let mut agent = Agent::new("one", Some(tpm.open()));
    let admission = agent.enter(&web).await.expect("it is let in");
    let web = inside(&house, &agent, &admission);
    let order = only_order(&web).await;
    // Asked again while it works, it waits: there is nothing new. Then its step is
    // taken away, and whoever waits hears that it is not wanted any more.
    let began = std::time::Duration::from_secs(50);
    let (waited, quarantined) = tokio::join!(tokio::time::timeout(began, web.orders(60)), async {
        let reason = "by hand".to_owned();
        house.ask(control::cell::Call::Quarantine { machine, reason }).await
    });
    quarantined.expect("it may");
    let problem = waited.expect("it is woken").expect_err("it is not wanted");
    assert_eq!(problem.code, ErrorCode::Gone, "{problem}");
    let news = AgentNews::Done { fact: AgentFact::Leaving };
    assert_eq!(web.report(&order, news).await.expect_err("gone").code, ErrorCode::Gone);
    carriers.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_stranger_changes_nothing() {
    let Some(tpm) = SwTpm::start() else { return };
    let (house, carriers, _, web) = waiting("one").await;
    let before = house.plane.leader.revision();
    let agent = Agent::new("another", Some(tpm.open()));
    let problem = agent.hello(&web).await.expect_err("nobody knows it");
    assert_eq!(problem.code, ErrorCode::NotFound);
    assert!(problem.next.contains("bedplate machine enroll"), "{problem}");
    assert_eq!(house.plane.leader.revision(), before);
    carriers.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_machine_that_was_not_told_to_boot_is_not_let_in() {
    let Some(tpm) = SwTpm::start() else { return };
    let (house, carriers, machine, web) = waiting("one").await;
    let reason = "by hand".to_owned();
    house.ask(control::cell::Call::Quarantine { machine, reason }).await.expect("it may");
    let agent = Agent::new("one", Some(tpm.open()));
    let problem = agent.hello(&web).await.expect_err("nobody waits for it");
    assert_eq!(problem.code, ErrorCode::Conflict, "{problem}");
    carriers.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_replayed_proof_is_refused() {
    let Some(tpm) = SwTpm::start() else { return };
    let (_house, carriers, _, web) = waiting("one").await;
    let mut agent = Agent::new("one", Some(tpm.open()));
    let first = agent.hello(&web).await.expect("it is known");
    let old = agent.proof(&first);
    // The same quote in a later exchange.
    let second = agent.hello(&web).await.expect("it is known");
    let mut replayed = agent.proof(&second);
    replayed.quote = old.quote.clone();
    let refused = web.post::<Admission>("/v1/agent/prove", &replayed).await;
    let problem = refused.expect_err("another nonce");
    assert_eq!(problem.code, ErrorCode::Forbidden);
    assert!(problem.detail.starts_with("replayed"), "{problem}");
    // The whole proof of an exchange that is over.
    let problem = web.post::<Admission>("/v1/agent/prove", &old).await.expect_err("over");
    assert_eq!(problem.code, ErrorCode::Gone, "{problem}");
    carriers.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn another_signing_request_or_a_guessed_secret_is_refused() {
    let Some(tpm) = SwTpm::start() else { return };
    let (house, carriers, machine, web) = waiting("one").await;
    let mut agent = Agent::new("one", Some(tpm.open()));
    // Somebody in the middle puts a key of their own into the hello.
    let own = agent.hello.csr.clone();
    agent.hello.csr = Encoded(crate::agent::request().0);
    let challenge = agent.hello(&web).await.expect("it is known");
    agent.hello.csr = own;
    let proof = agent.proof(&challenge);
    let problem = web.post::<Admission>("/v1/agent/prove", &proof).await.expect_err("swapped");
    assert_eq!(problem.code, ErrorCode::Forbidden, "{problem}");
    let challenge = agent.hello(&web).await.expect("it is known");
    let mut proof = agent.proof(&challenge);
    proof.secret = Some(Encoded(vec![7; 32]));
    let problem = web.post::<Admission>("/v1/agent/prove", &proof).await.expect_err("guessed");
    assert!(problem.detail.starts_with("foreign-tpm"), "{problem}");
    assert!(house.machine(machine).status.agent.is_none(), "nobody was let in");
    carriers.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_foreign_tpm_in_a_known_machine_quarantines_it() {
    let (Some(tpm), Some(foreign)) = (SwTpm::start(), SwTpm::start()) else { return };
    let (house, carriers, machine, web) = waiting("one").await;
    let mut agent = Agent::new("one", Some(tpm.open()));
    agent.enter(&web).await.expect("it is let in");
    // The machine comes again with another TPM on its board.
    let mut agent = Agent::new("one", Some(foreign.open()));
    let problem = agent.enter(&web).await.expect_err("it is another machine");
    assert_eq!(problem.code, ErrorCode::Forbidden);
    assert!(problem.detail.contains("its TPM is"), "{problem}");
    let after = house.machine(machine);
    assert_eq!(after.status.lifecycle, Lifecycle::Quarantined);
    assert_eq!(after.status.reason.expect("with a reason").code, ReasonCode::IdentityChanged);
    carriers.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_machine_without_a_tpm_is_quarantined_with_the_reason() {
    let (house, carriers, machine, web) = waiting("one").await;
    let mut agent = Agent::new("one", None);
    let problem = agent.enter(&web).await.expect_err("no TPM, no way in");
    assert!(problem.detail.contains("no TPM"), "{problem}");
    let after = house.machine(machine);
    assert_eq!(after.status.reason.expect("with a reason").code, ReasonCode::NoTpm);
    carriers.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_certificate_speaks_for_its_own_machine_only() {
    let (Some(tpm), Some(second)) = (SwTpm::start(), SwTpm::start()) else { return };
    let (house, carriers, _, web) = waiting("one").await;
    let other = house.enroll("two").await;
    house.until_machine(other, "it is told to boot", |it| it.status.boot.is_some()).await;
    let mut agent = Agent::new("one", Some(tpm.open()));
    let admission = agent.enter(&web).await.expect("it is let in");
    let mut neighbour = Agent::new("two", Some(second.open()));
    let theirs = neighbour.enter(&web).await.expect("it is let in");
    let theirs = inside(&house, &neighbour, &theirs);
    let order = only_order(&theirs).await;
    // The first agent reports on the order of the second.
    let web = inside(&house, &agent, &admission);
    let inventory = Box::new(Inventory::default());
    let news = AgentNews::Done { fact: AgentFact::Inventory { inventory } };
    let heard = web.report(&order, news).await.expect("it is answered");
    assert!(heard.stale, "it is not its order");
    assert_eq!(only_order(&theirs).await.id, order.id, "the order still stands");
    carriers.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn hostile_hellos_are_refused() {
    let (house, carriers, _, web) = waiting("one").await;
    let good = Agent::new("one", None).hello;
    let mut bad = vec![good.clone(), good.clone(), good.clone(), good];
    bad[0].macs = vec!["52:54:00:00:00:0g".to_owned()];
    bad[1].macs = vec!["52:54:00:00:00:01".to_owned(); 65];
    bad[2].serial = "x".repeat(1000);
    bad[3].csr = Encoded(vec![0; 10_000]);
    for hello in bad {
        let refused = web.post::<model::agent::Challenge>("/v1/agent/hello", &hello).await;
        let problem = refused.expect_err("it makes no sense");
        assert_eq!(problem.code, ErrorCode::InvalidRequest, "{problem}");
    }
    let huge = serde_json::json!({"serial": "x".repeat(100_000)});
    let refused = web.post::<model::agent::Challenge>("/v1/agent/hello", &huge).await;
    assert_eq!(refused.expect_err("too large").code, ErrorCode::TooLarge);
    let unknown = format!("/v1/systems/{}/home", "0".repeat(64));
    let refused = web.post::<model::api::Acknowledged>(&unknown, &serde_json::json!({})).await;
    assert_eq!(refused.expect_err("no such token").code, ErrorCode::Gone);
    drop(house);
    carriers.stop().await;
}
