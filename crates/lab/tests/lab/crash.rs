//! A lab that is killed with `kill -9`: its machines die with it, and the next one on
//! the same directory clears the rest.

use std::io::{BufRead, BufReader};
use std::path::PathBuf;
use std::process::{Command, Stdio};
use std::time::Duration;

use bedplate_lab::{LabMachine, Rack};

use crate::client::Client;
use crate::machines::{Site, processes, skipped, spec};

const DIR: &str = "BEDPLATE_TEST_RACK_DIR";

/// The lab that is to be killed: the test below runs this test program again for it.
#[tokio::test(flavor = "multi_thread")]
#[ignore = "is run and killed by what_a_killed_lab_left_is_cleared"]
async fn holds_a_rack_until_it_is_killed() {
    let Some(dir) = std::env::var_os(DIR).map(PathBuf::from) else { return };
    let rack = Rack::up(spec("crash", &dir, 2, std::process::id()), |_| ()).await.unwrap();
    let client = Client::of(&rack.machines()[0]);
    client.reset("On").await;
    client.await_power("On").await;
    println!("\nthe rack is up");
    std::future::pending::<()>().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_a_killed_lab_left_is_cleared() {
    if skipped() {
        return;
    }
    let site = Site::new("lab-crash");
    let mut lab = Command::new(std::env::current_exe().unwrap())
        .args(["--exact", "crash::holds_a_rack_until_it_is_killed", "--ignored", "--nocapture"])
        .env(DIR, site.dir())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let said = BufReader::new(lab.stdout.take().unwrap());
    let up = said.lines().map_while(Result::ok).any(|line| line == "the rack is up");
    let dir = site.dir().to_str().unwrap().to_owned();
    let ran = processes(&dir);
    let owner = Rack::attach(site.dir()).map(|remains| remains.and_then(|r| r.owner()));
    let refused =
        Rack::up(spec("crash", site.dir(), 2, std::process::id()), |_| ()).await.map(drop);
    lab.kill().unwrap();
    lab.wait().unwrap();
    assert!(up, "the lab that is to be killed never came up");
    assert_eq!(ran.len(), 2, "QEMU and its TPM: {ran:?}");
    assert_eq!(owner.unwrap(), Some(lab.id()));
    assert!(refused.unwrap_err().to_string().contains("already up"));
    let gone = async {
        while !processes(&dir).is_empty() {
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    };
    tokio::time::timeout(Duration::from_secs(60), gone).await.expect("machines die with their lab");
    let remains = Rack::attach(site.dir()).unwrap().expect("the record is still there");
    assert_eq!((remains.name(), remains.owner()), ("crash", None));
    let (before, wire) = (
        remains.machines().to_vec(),
        PathBuf::from("/run/netns").join(&remains.network().namespace),
    );
    assert!(wire.exists());
    let rack = Rack::up(spec("crash", site.dir(), 2, std::process::id()), |_| ()).await.unwrap();
    assert!(!wire.exists());
    let known = |machine: &LabMachine| {
        let password = machine.password.expose().to_owned();
        (machine.uuid.clone(), machine.mac.clone(), machine.bmc_certificate.clone(), password)
    };
    let after = rack.machines();
    assert!(before.iter().map(known).eq(after.iter().map(known)), "the machines are the same");
    rack.down().await.unwrap();
    assert!(Rack::attach(site.dir()).unwrap().is_none());
}
