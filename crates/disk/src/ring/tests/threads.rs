//! A guest and a server on two threads, with real eventfds; and how fast that is.

use std::collections::HashMap;
use std::os::fd::OwnedFd;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;

use rustix::event::{EventfdFlags, PollFd, PollFlags, eventfd, poll};

use super::super::{Queue, Scratch};
use super::driver::Driver;
use super::{Shape, memory};
use crate::guest::GuestMemory;
use crate::in_flight::InFlight;
use crate::virtio_blk::{Header, kind};

fn event() -> OwnedFd {
    eventfd(0, EventfdFlags::NONBLOCK | EventfdFlags::CLOEXEC).unwrap()
}
fn sleep_on(event: &OwnedFd) {
    poll(&mut [PollFd::new(event, PollFlags::IN)], None).unwrap();
    let _ = rustix::io::read(event, &mut [0; 8]);
}
fn ring(event: &OwnedFd) {
    rustix::io::write(event, &1u64.to_ne_bytes()).unwrap();
}

/// Answers everything at once, until told to stop.
fn null(mut queue: Queue, kick: &OwnedFd, stop: &AtomicBool, polls: bool) {
    let mut scratch = Scratch::default();
    queue.disarm();
    while !stop.load(Ordering::Relaxed) {
        let mut any = false;
        for _ in 0..64 {
            let Some(fetched) = queue.fetch(&mut scratch) else { break };
            let head = fetched.unwrap().head;
            queue.finish(head, Ok(()));
            any = true;
        }
        if queue.publish() {
            queue.notify();
        }
        if any || polls {
            continue;
        }
        if !queue.arm() {
            sleep_on(kick);
        }
        queue.disarm();
    }
    queue.close();
}

fn with_null<T>(
    shape: Shape,
    polls: bool,
    guest: impl FnOnce(Driver, &OwnedFd, &OwnedFd) -> T,
) -> T {
    let memory: Arc<GuestMemory> = memory();
    let (kick, call, stop) = (event(), event(), AtomicBool::new(false));
    let config = shape.config(Some(kick.try_clone().unwrap()), Some(call.try_clone().unwrap()));
    let queue = Queue::new(config, Arc::clone(&memory), InFlight::unshared()).unwrap();
    thread::scope(|scope| {
        scope.spawn(|| null(queue, &kick, &stop, polls));
        let answer = guest(Driver::new(shape, &memory), &kick, &call);
        stop.store(true, Ordering::Relaxed);
        ring(&kick);
        answer
    })
}

#[test]
fn a_guest_that_sleeps_is_woken() {
    for shape in Shape::all() {
        let requests = 3000;
        with_null(shape, false, |mut driver, kick, call| {
            let (mut next, mut done) = (0, 0);
            let mut asked = HashMap::new();
            while done < requests {
                while next < requests && driver.room() > 0 {
                    let header = Header { kind: kind::IN, sector: next };
                    asked.insert(driver.request(next, header, 512, true), next);
                    next += 1;
                }
                if driver.must_kick() {
                    ring(kick);
                }
                let before = done;
                while let Some((head, length)) = driver.poll() {
                    let number = asked.remove(&head).unwrap();
                    assert_eq!((driver.status(number), length), (0, 513));
                    done += 1;
                }
                if done == before && !driver.want_notice() {
                    sleep_on(call);
                }
            }
        });
    }
}

/// Prints what a request costs: `cargo test --release -p bedplate-disk speed -- --ignored
/// --nocapture`. The driver here is plain, not fast: a good client shows more.
#[test]
#[allow(clippy::disallowed_methods, reason = "it measures how long something really takes")]
#[ignore = "prints a speed, which says nothing when others use the machine"]
fn speed() {
    for packed in [false, true] {
        let shape = Shape { size: 256, packed, indirect: true, event_index: true };
        let requests = 2_000_000u64;
        let took = with_null(shape, true, |mut driver, _, _| {
            driver.want_no_notice();
            for slot in 0..64 {
                driver.request(slot, Header { kind: kind::IN, sector: slot }, 4096, true);
            }
            let start = std::time::Instant::now();
            let mut done = 0;
            while done < requests {
                match driver.poll() {
                    Some(_) => {
                        done += 1;
                        driver.again();
                    }
                    None => std::hint::spin_loop(),
                }
            }
            start.elapsed()
        });
        println!(
            "packed {packed}: {} ns a request, two threads",
            took.as_nanos() / u128::from(requests)
        );
        println!("packed {packed}: {} ns a request, the server's part", alone(shape));
    }
}

/// The server's part alone: batches of 32 on one thread. The median batch, since others
/// may use the machine.
#[allow(clippy::disallowed_methods, reason = "it measures how long something really takes")]
fn alone(shape: Shape) -> u128 {
    let memory = memory();
    let mut driver = Driver::new(shape, &memory);
    let mut queue = shape.queue(&memory, InFlight::unshared());
    let mut scratch = Scratch::default();
    let mut batches = Vec::new();
    for round in 0..20_000 {
        for slot in 0..32 {
            match round {
                0 => driver.request(slot, Header { kind: kind::IN, sector: slot }, 4096, true),
                _ => driver.again(),
            };
        }
        let start = std::time::Instant::now();
        while let Some(fetched) = queue.fetch(&mut scratch) {
            let head = fetched.unwrap().head;
            queue.finish(head, Ok(()));
        }
        queue.publish();
        batches.push(start.elapsed().as_nanos());
        while driver.poll().is_some() {}
    }
    batches.sort_unstable();
    batches[batches.len() / 2] / 32
}
