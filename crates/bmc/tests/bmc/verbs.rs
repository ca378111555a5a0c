//! Each verb on a BMC that behaves, or misbehaves in ways that makers do.

use bedplate_bmc::Bmc;
use futures_util::StreamExt;
use model::bmc::{BmcCommand, BmcFact, BmcFailureKind, BootTarget, PowerAction, PowerState};
use serde_json::json;

use crate::fake::{Fake, Fault, Instead, PASSWORD, Running};
use crate::{enter, kind, limits, run};

const RESET: &str = "POST /redfish/v1/Systems/1/Actions/ComputerSystem.Reset";

async fn started(faults: &[Fault]) -> (Running, bedplate_bmc::Redfish) {
    let fake = Fake::new();
    fake.state().faults.extend(faults);
    let running = fake.start().await;
    let bmc = enter(running.url(), PASSWORD, limits());
    (running, bmc)
}

#[tokio::test]
async fn inspect_reads_every_part() {
    let (running, mut bmc) = started(&[]).await;
    let fact = run(&mut bmc, BmcCommand::Inspect).await.unwrap();
    let BmcFact::Inventory { inventory, power, abilities, .. } = fact else { panic!("{fact:?}") };
    assert_eq!(power, PowerState::Off);
    assert_eq!(inventory.system.serial, "S1");
    assert_eq!(inventory.system.uuid, "27946b59-9e44-4fa7-8e91-f3527a1ef094");
    assert_eq!((inventory.processors.len(), inventory.cores()), (2, 16));
    assert_eq!(inventory.memory_total(), model::Bytes::gib(32));
    assert_eq!(inventory.disks.len(), 2);
    assert_eq!(
        (inventory.disks[1].serial.as_str(), inventory.disks[1].transport.as_str()),
        ("D1", "nvme")
    );
    let macs: Vec<_> = inventory.nics.iter().map(|nic| (nic.mac.as_str(), nic.link)).collect();
    assert_eq!(macs, [("b8:3f:d2:90:97:c4", true), ("b8:3f:d2:90:97:c5", false)]);
    assert_eq!(inventory.tpm.unwrap().family, "2.0");
    assert_eq!(inventory.firmware.len(), 2);
    assert!(abilities.http_boot && abilities.virtual_media && abilities.events);
    assert_eq!(running.fake.state().most_under_way, 1, "one request at a time");
    assert_eq!(running.fake.count("POST /redfish/v1/SessionService/Sessions"), 1);
}

#[tokio::test]
async fn power_asks_only_for_what_is_not_yet_so() {
    let (running, mut bmc) = started(&[]).await;
    let power = |action| BmcCommand::Power { action };
    run(&mut bmc, power(PowerAction::Off)).await.unwrap();
    assert_eq!(running.fake.count(RESET), 0);
    run(&mut bmc, power(PowerAction::Cycle)).await.unwrap();
    assert_eq!(running.fake.state().power, "On", "a cycle of what is off turns it on");
    run(&mut bmc, power(PowerAction::On)).await.unwrap();
    assert_eq!(running.fake.count(RESET), 1);
    run(&mut bmc, power(PowerAction::GracefulOff)).await.unwrap();
    let fact = run(&mut bmc, BmcCommand::ReadPower).await.unwrap();
    assert_eq!(fact, BmcFact::Power { state: PowerState::Off });
}

#[tokio::test]
async fn tasks_are_followed_to_their_end() {
    let on = BmcCommand::Power { action: PowerAction::On };
    let (running, mut bmc) = started(&[Fault::Task]).await;
    run(&mut bmc, on.clone()).await.unwrap();
    assert_eq!(running.fake.count("GET /redfish/v1/TaskService/Tasks/1"), 3);

    let (running, mut bmc) = started(&[Fault::FailingTask]).await;
    // The task fails, and the machine does not read back as asked either.
    running.fake.state().power = "On".to_owned();
    let failure =
        run(&mut bmc, BmcCommand::Power { action: PowerAction::Cycle }).await.unwrap_err();
    assert_eq!(failure.kind, BmcFailureKind::Refused);
    assert!(failure.message.contains("The fuse is gone."), "{failure}");
}

#[tokio::test]
async fn a_refusal_of_power_is_reported_with_its_reason() {
    let (_running, mut bmc) = started(&[Fault::RefuseResets]).await;
    let failure = run(&mut bmc, BmcCommand::Power { action: PowerAction::On }).await.unwrap_err();
    assert_eq!(failure.kind, BmcFailureKind::Refused);
    assert!(failure.message.contains("InvalidOperationForSystemState"), "{failure}");
}

fn http() -> BmcCommand {
    BmcCommand::SetBoot {
        target: BootTarget::Http { uri: "http://192.0.2.1/boot/x.efi".to_owned() },
    }
}

#[tokio::test]
async fn boot_is_set_once_and_read_back() {
    for faults in [&[][..], &[Fault::EtagMismatchOnce], &[Fault::OnePropertyEach]] {
        let (running, mut bmc) = started(faults).await;
        run(&mut bmc, http()).await.unwrap_or_else(|failure| panic!("{faults:?}: {failure}"));
        let boot = running.fake.state().boot.clone();
        assert_eq!(boot["BootSourceOverrideTarget"], "UefiHttp", "{faults:?}");
        assert_eq!(boot["BootSourceOverrideEnabled"], "Once");
        assert_eq!(boot["HttpBootUri"], "http://192.0.2.1/boot/x.efi");
    }
    let (running, mut bmc) = started(&[]).await;
    for (target, word) in
        [(BootTarget::Pxe, "Pxe"), (BootTarget::Media, "Cd"), (BootTarget::Disk, "Hdd")]
    {
        run(&mut bmc, BmcCommand::SetBoot { target }).await.unwrap();
        assert_eq!(running.fake.state().boot["BootSourceOverrideTarget"], word);
    }
}

#[tokio::test]
async fn a_boot_change_that_did_not_happen_is_found_out() {
    let (_running, mut bmc) = started(&[Fault::BootLie]).await;
    let failure = run(&mut bmc, http()).await.unwrap_err();
    assert_eq!(failure.kind, BmcFailureKind::Refused);
    assert!(failure.message.contains("reads back"), "{failure}");
}

fn insert(url: &str) -> BmcCommand {
    BmcCommand::InsertMedia { url: url.to_owned() }
}

#[tokio::test]
async fn media_is_inserted_once_and_in_place_of_another() {
    for faults in [&[][..], &[Fault::ImageOnly]] {
        let (running, mut bmc) = started(faults).await;
        let fake = &running.fake;
        run(&mut bmc, insert("http://192.0.2.1/a.iso")).await.unwrap();
        let inserts = fake.count("POST /insert");
        run(&mut bmc, insert("http://192.0.2.1/a.iso")).await.unwrap();
        assert_eq!(fake.count("POST /insert"), inserts, "it was in already");
        run(&mut bmc, insert("http://192.0.2.1/b.iso")).await.unwrap();
        assert_eq!(fake.state().image.as_deref(), Some("http://192.0.2.1/b.iso"));
        assert_eq!(fake.count("POST /eject"), 1);
        run(&mut bmc, BmcCommand::EjectMedia).await.unwrap();
        run(&mut bmc, BmcCommand::EjectMedia).await.unwrap();
        assert_eq!(fake.count("POST /eject"), 2, "the drive was empty already");
    }
}

#[tokio::test]
async fn an_image_that_is_not_in_the_drive_is_found_out() {
    let (_running, mut bmc) = started(&[Fault::MediaLie]).await;
    assert_eq!(
        kind(run(&mut bmc, insert("http://192.0.2.1/a.iso")).await),
        BmcFailureKind::Refused
    );
}

#[tokio::test]
async fn the_bmc_restarts_and_is_entered_anew() {
    let (running, mut bmc) = started(&[]).await;
    run(&mut bmc, BmcCommand::ResetBmc).await.unwrap();
    run(&mut bmc, BmcCommand::ReadPower).await.unwrap();
    assert_eq!(running.fake.count("POST /redfish/v1/Managers/1/Actions/Manager.Reset"), 1);
    assert_eq!(running.fake.count("POST /redfish/v1/SessionService/Sessions"), 2);
    run(&mut bmc, BmcCommand::Reconnect).await.unwrap();
    assert_eq!(running.fake.count("DELETE /redfish/v1/SessionService/Sessions/2"), 1);
    assert_eq!(running.fake.count("POST /redfish/v1/SessionService/Sessions"), 3);
    bmc.close().await;
    assert_eq!(running.fake.count("DELETE /redfish/v1/SessionService/Sessions/3"), 1);
}

#[tokio::test]
async fn events_and_console_are_streamed_where_there_are_any() {
    let (running, mut bmc) = started(&[]).await;
    let events: Vec<_> = bmc.events().await.unwrap().expect("it has them").collect().await;
    assert_eq!(events.len(), 1);
    let event = events[0].as_ref().unwrap();
    assert_eq!(
        (event.message_id.as_str(), event.origin.as_str()),
        ("Base.1.0.PowerOn", "/redfish/v1/Systems/1")
    );
    let bytes: Vec<_> = bmc.console(true).await.unwrap().collect().await;
    assert_eq!(bytes[0].as_ref().unwrap().as_ref(), b"login: ");

    running.fake.send("/console/1", Instead::Status(404, json!({})));
    running.fake.send("/redfish/v1/EventService", Instead::Json(json!({"Id": "E"})));
    assert!(bmc.events().await.unwrap().is_none());
    let none = bmc.console(false).await.err().expect("there is no console");
    assert_eq!(none.kind, BmcFailureKind::Unsupported);
}
