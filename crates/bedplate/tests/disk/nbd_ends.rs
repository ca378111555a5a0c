//! NBD clients come and go, in every way, and nothing of them stays.

use std::path::{Path, PathBuf};
use std::time::Instant;

use model::volume::{DiskOrder, Volume};

use crate::nbd_wire::{Client, FLUSH, READ, WRITE};
use crate::service::{PATIENCE, Service};

/// Connections one after the other: enough that each way to lose one was met.
const MANY: usize = 200;

fn descriptors(pid: u32) -> usize {
    std::fs::read_dir(format!("/proc/{pid}/fd")).expect("it runs").count()
}

fn clients(service: &Service, volume: &str) -> u32 {
    let order = DiskOrder::VolumeShow { volume: volume.into() };
    let volume: Volume = serde_json::from_value(service.order(&order)).expect("a volume");
    volume.attachments.iter().map(|attachment| attachment.clients).sum()
}

fn wait_until(what: &str, mut is: impl FnMut() -> bool) {
    let until = Instant::now() + PATIENCE;
    while !is() {
        assert!(Instant::now() < until, "{what}");
        std::thread::sleep(std::time::Duration::from_millis(5));
    }
}

fn connect(socket: &Path) -> Client {
    let client = Client::connect(socket).expect("it is served");
    assert_eq!(client.size, 16 << 20);
    client
}

/// Writes, reads and flushes.
fn use_it(client: &mut Client, stamp: u8) {
    let (data, mut read) = ([stamp; 4096], [0; 4096]);
    client.send(WRITE, 4096, 4096, &data).expect("sent");
    client.reply(&mut []).expect("written");
    client.send(READ, 4096, 4096, &[]).expect("sent");
    client.reply(&mut read).expect("read");
    assert!(read == data);
    client.send(FLUSH, 0, 0, &[]).expect("sent");
    client.reply(&mut []).expect("flushed");
}

fn serve(name: &str) -> (Service, PathBuf) {
    let service = Service::start(name, 64);
    service.volume("data", 16, false);
    service.serve("data");
    let socket = service.directory.join("data.nbd");
    (service, socket)
}

#[test]
fn whoever_says_goodbye_is_hung_up_on() {
    let (service, socket) = serve("goodbye");
    let before = (descriptors(service.status().pid), descriptors(service.keeper()));
    for turn in 0..MANY {
        let mut client = connect(&socket);
        use_it(&mut client, turn as u8);
        client.goodbye().expect("the server hangs up");
    }
    wait_until("all are gone", || clients(&service, "data") == 0);
    wait_until("their descriptors are closed", || {
        before == (descriptors(service.status().pid), descriptors(service.keeper()))
    });
}

#[test]
fn a_killed_client_leaves_nothing() {
    let (service, socket) = serve("killed");
    let before = (descriptors(service.status().pid), descriptors(service.keeper()));
    for turn in 0..MANY {
        let mut client = connect(&socket);
        use_it(&mut client, turn as u8);
        match turn % 4 {
            // In the middle of a write, of a request, with answers on their way, idle.
            0 => client.send(WRITE, 0, 65536, &[7; 1000]).expect("sent"),
            1 => client.send_bytes(&[0x25, 0x60]).expect("sent"),
            2 => (0..20).for_each(|_| client.send(READ, 0, 1 << 20, &[]).expect("sent")),
            _ => {}
        }
        drop(client);
    }
    wait_until("all are gone", || clients(&service, "data") == 0);
    wait_until("their descriptors are closed", || {
        before == (descriptors(service.status().pid), descriptors(service.keeper()))
    });
}

#[test]
fn who_came_with_an_earlier_engine_is_hung_up_on_by_the_next() {
    let (service, socket) = serve("earlier");
    let mut clients_of_all: Vec<_> = (0..8).map(|_| connect(&socket)).collect();
    for _ in 0..2 {
        service.replace();
        assert_eq!(clients(&service, "data"), 8, "they are the next engine's now");
        clients_of_all.iter_mut().zip(1..).for_each(|(client, stamp)| use_it(client, stamp));
    }
    let killed = clients_of_all.split_off(4);
    drop(killed);
    for client in clients_of_all {
        client.goodbye().expect("the server hangs up");
    }
    wait_until("all are gone", || clients(&service, "data") == 0);
}

#[test]
fn who_is_served_when_the_engine_dies_is_hung_up_on_and_can_come_again() {
    let (service, socket) = serve("died");
    let mut before = connect(&socket);
    use_it(&mut before, 5);
    service.kill();
    before.ended().expect("the next engine hangs up: what was in flight nobody knows");
    let mut again = connect(&socket);
    let mut read = [0; 4096];
    again.send(READ, 4096, 4096, &[]).expect("sent");
    again.reply(&mut read).expect("read");
    assert!(read == [5; 4096], "it was acknowledged");
    wait_until("the one before is gone", || clients(&service, "data") == 1);
}

/// More than a socket holds.
const LARGE: u32 = 1 << 20;
/// So many of that are more than the server keeps for one client.
const MUCH: u64 = 24;

/// How often the threads of a process have gone to sleep.
fn sleeps(pid: u32) -> u64 {
    let tasks = std::fs::read_dir(format!("/proc/{pid}/task")).expect("it runs");
    let of = |status: String| {
        let mut lines = status.lines();
        let line = lines.find_map(|line| line.strip_prefix("voluntary_ctxt_switches:"));
        line.and_then(|count| count.trim().parse::<u64>().ok()).unwrap_or(0)
    };
    let status = |task: std::fs::DirEntry| std::fs::read_to_string(task.path().join("status"));
    tasks.filter_map(|task| status(task.ok()?).ok()).map(of).sum()
}

#[test]
fn who_does_not_read_is_left_alone_until_it_does() {
    let (service, socket) = serve("no-reader");
    let (mut slow, mut other) = (connect(&socket), connect(&socket));
    for _ in 0..MUCH {
        slow.send(READ, 0, LARGE, &[]).expect("a few bytes are taken");
    }
    use_it(&mut other, 3);
    let pid = service.status().pid;
    let before = sleeps(pid);
    std::thread::sleep(std::time::Duration::from_secs(1));
    let often = sleeps(pid).saturating_sub(before);
    assert!(often < 1000, "it was looked at: {often} times in a second");
    let mut data = vec![1; LARGE as usize];
    for _ in 0..MUCH {
        slow.reply(&mut data).expect("it is served on");
    }
    use_it(&mut slow, 4);
    for client in [slow, other] {
        client.goodbye().expect("the server hangs up");
    }
}
