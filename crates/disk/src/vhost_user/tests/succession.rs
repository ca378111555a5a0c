//! A session goes on in another process: handed over, or found after a crash.

use std::os::fd::AsFd;
use std::os::unix::net::UnixStream;

use vhost::vhost_user::message::FrontendReq as Request;

use super::super::wire::{self, Arrival};
use super::client::Client;
use super::{Ended, Reactor, ResumedFrom, Running, Session, device, event};
use crate::ring::Scratch;
use crate::ring::tests::driver::Driver;
use crate::ring::tests::{Shape, memory_and_file};
use crate::virtio_blk::{Header, kind};

fn shapes() -> [Shape; 2] {
    let split = Shape { size: 16, packed: false, indirect: false, event_index: true };
    [split, Shape { packed: true, size: 15, ..split }]
}

fn read(driver: &mut Driver, number: u64) {
    driver.request(number, Header { kind: kind::IN, sector: 0 }, 512, true);
}

#[test]
fn a_vmm_does_not_notice_a_new_process() {
    for shape in shapes() {
        let (ours, theirs) = UnixStream::pair().unwrap();
        let first = Reactor::default();
        let running = Running::new(Session::new(device(), first.clone()), &ours);
        let (mut client, (memory, file, regions)) = (Client(theirs), memory_and_file());
        client.negotiate(shape);
        assert_eq!(
            client.ask(Request::SET_MEM_TABLE, &Client::table(&regions), &[&file, &file]),
            0
        );
        let (kick, call) = (event(), event());
        client.queue(0, shape, &kick, &call);
        let mut driver = Driver::new(shape, &memory);
        (0..3).for_each(|number| read(&mut driver, number));
        // Two are fetched, one is answered: then the process is gone.
        let mut scratch = Scratch::default();
        {
            let mut queues = first.queues.lock().unwrap();
            let queue = queues.get_mut(&0).unwrap();
            let head = queue.fetch(&mut scratch).unwrap().unwrap().head;
            queue.fetch(&mut scratch).unwrap().unwrap();
            queue.finish(head, Ok(()));
            queue.publish();
        }
        let (_, ended) = running.stop();
        assert!(matches!(ended, Ended::Stopped), "{ended:?}");
        assert!(driver.poll().is_some() && driver.poll().is_none());
        first.queues.lock().unwrap().clear();

        let second = Reactor::default();
        let session = first.resumed(&second).unwrap();
        let running = Running::new(session, &ours);
        assert_eq!(second.serve(0), 2, "the one in flight, and the one not fetched");
        assert!(driver.poll().is_some() && driver.poll().is_some());
        let state = [0u32, 0].map(u32::to_le_bytes);
        let base = client.get(Request::GET_VRING_BASE, state.as_flattened());
        let expected =
            if shape.packed { u32::from_le_bytes(base[4..].try_into().unwrap()) } else { 3 };
        assert_eq!(base, [0, expected].map(u32::to_le_bytes).as_flattened());
        assert_eq!(client.ask(Request::SET_OWNER, &[], &[]), 0, "what was negotiated still holds");
        drop(client);
        assert!(matches!(running.join().1, Ended::Closed));
    }
}

#[test]
fn a_message_that_killed_a_process_is_done_by_the_next() {
    for deposited in [false, true] {
        let shape = shapes()[0];
        let (ours, theirs) = UnixStream::pair().unwrap();
        let first = Reactor::default();
        let running = Running::new(Session::new(device(), first.clone()), &ours);
        let (mut client, (memory, file, regions)) = (Client(theirs), memory_and_file());
        client.negotiate(shape);
        assert_eq!(
            client.ask(Request::SET_MEM_TABLE, &Client::table(&regions), &[&file, &file]),
            0
        );
        let (kick, call) = (event(), event());
        client.queue(0, shape, &kick, &call);
        let mut driver = Driver::new(shape, &memory);
        read(&mut driver, 0);
        assert_eq!(first.serve(0), 1);
        let (mut session, _) = running.stop();
        // The VMM stops the queue. That is done, but the process dies before it says so.
        let state = [0u32, 0].map(u32::to_le_bytes);
        client
            .raw(&Client::bytes(Request::GET_VRING_BASE as u32, 1, state.as_flattened()), &[])
            .unwrap();
        let stop = event();
        let Arrival::Message(mut message) = wire::receive(ours.as_fd(), stop.as_fd()).unwrap()
        else {
            panic!("there is a message");
        };
        session.handle(message.request, &message.body, std::mem::take(&mut message.files)).unwrap();
        if deposited {
            session.deposit().unwrap();
        }
        drop(session);

        let second = Reactor::default();
        let running = Running::new(first.resumed(&second).unwrap(), &ours);
        assert_eq!(
            client.reply(Request::GET_VRING_BASE),
            [0u32, 1].map(u32::to_le_bytes).as_flattened()
        );
        drop(client);
        assert!(matches!(running.join().1, Ended::Closed));
    }
}

#[test]
fn a_vmm_brings_its_record_to_a_new_world() {
    let shape = shapes()[0];
    let (memory, file, regions) = memory_and_file();
    let (kick, call) = (event(), event());
    let mut driver = Driver::new(shape, &memory);
    let set_up = |client: &mut Client| {
        client.negotiate(shape);
        assert_eq!(
            client.ask(Request::SET_MEM_TABLE, &Client::table(&regions), &[&file, &file]),
            0
        );
    };
    // Both of our processes die with one request in flight.
    let (ours, theirs) = UnixStream::pair().unwrap();
    let first = Reactor::default();
    let running = Running::new(Session::new(device(), first.clone()), &ours);
    let mut client = Client(theirs);
    set_up(&mut client);
    client.queue(0, shape, &kick, &call);
    read(&mut driver, 0);
    let mut scratch = Scratch::default();
    first.queues.lock().unwrap().get_mut(&0).unwrap().fetch(&mut scratch).unwrap().unwrap();
    let (_session, _) = running.stop();
    let (description, mut files) = first.kept.lock().unwrap().take().unwrap();
    let record = files.remove(description.regions.len());

    let (ours, theirs) = UnixStream::pair().unwrap();
    let second = Reactor::default();
    let running = Running::new(Session::new(device(), second.clone()), &ours);
    let mut client = Client(theirs);
    set_up(&mut client);
    let mut body = (2 * crate::in_flight::RECORD as u64).to_le_bytes().to_vec();
    body.extend([0, 0, 0, 0, 0, 0, 0, 0, 2, 0, 16, 0]);
    assert_eq!(client.ask(Request::SET_INFLIGHT_FD, &body, &[&record]), 0);
    client.queue(0, shape, &kick, &call);
    assert_eq!(second.serve(0), 1, "it is done again");
    assert!(driver.poll().is_some());
    drop(client);
    assert!(matches!(running.join().1, Ended::Closed));
}

impl ResumedFrom for Reactor {
    fn resumed(&self, next: &Reactor) -> Result<Session<Reactor>, super::super::ResumeError> {
        let (description, files) = self.kept.lock().unwrap().take().unwrap();
        let mut session = Session::resume(description, files, device(), next.clone())?;
        session.serve_on()?;
        // What it goes on from is what it deposits next.
        session.changed = true;
        session.deposit()?;
        Ok(session)
    }
}
