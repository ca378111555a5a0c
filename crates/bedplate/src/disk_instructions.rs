//! `bedplate lab disk-instructions`: what a request costs in instructions, for callgrind.
//!
//! A guest's queue and a lane in this thread, without a socket, a ring of the kernel or a
//! clock, so that two runs are the same to the instruction. [`Served::serve_batch`] does
//! what a turn of the reactor does; only what is inside it is counted. `cargo xtask bench
//! disk --rows instructions` runs it under valgrind.

use std::sync::Arc;

use anyhow::{Context, Result, anyhow, ensure};
use clap::{Args, ValueEnum};
use disk::guest::{GuestMemory, RegionSpec};
use disk::in_flight::InFlight;
use disk::ring::{Addresses, Position, Queue, QueueConfig, Scratch};
use disk::virtio_blk::{SERIAL, feature};
use lab::disk_client::memory::{GUEST_START, Memory};
use lab::disk_client::queue::{BLOCK, Queue as Driver, Work};
use lab::disk_client::{Shape, cipher};
use lab::single_lane::{Back, SingleLane, Wish};
use model::volume::Limits;

/// Bytes of the volume.
const VOLUME: u64 = 32 << 20;
/// Requests in a batch.
const BATCH: u16 = 32;

/// What is counted.
#[derive(Debug, Args)]
pub struct Arguments {
    /// What is between the queue and the memory
    #[arg(long, value_enum)]
    layer: Layer,
    /// Writes instead of reads
    #[arg(long)]
    write: bool,
    /// The packed ring
    #[arg(long)]
    packed: bool,
    /// So many requests of 4 KiB, in batches of 32
    #[arg(long, default_value_t = 8192)]
    requests: u32,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum Layer {
    /// The rings and the lane alone
    Null,
    /// And limits that are counted
    Limits,
    /// And a copy to or from memory
    Raw,
    /// And the map, the log and checksums
    Thin,
    /// And AES-256-XTS
    Encrypted,
}

/// Does it, and prints one line of JSON.
pub fn run(arguments: &Arguments) -> Result<()> {
    let mut served = Served::new(arguments)?;
    let work = if arguments.write { Work::Write } else { Work::Read };
    let blocks = (VOLUME / BLOCK as u64) as u32;
    if !matches!(arguments.layer, Layer::Null | Layer::Limits) {
        for block in (0..blocks).step_by(usize::from(BATCH)) {
            served.batch(Work::Write, |slot| block + u32::from(slot));
            served.collect()?;
        }
    }
    let mut random = 1_u64;
    let batches = arguments.requests.div_ceil(u32::from(BATCH));
    for _ in 0..batches {
        served.batch(work, |_| {
            random = random.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
            (random >> 33) as u32 % blocks
        });
        served.serve_batch();
        served.collect()?;
    }
    let (requests, kernel) = (batches * u32::from(BATCH), cipher::kernel()?);
    println!("{}", serde_json::json!({ "requests": requests, "kernel": kernel }));
    Ok(())
}

/// A volume that is served to a driver in the same thread.
struct Served {
    driver: Driver,
    queue: Queue,
    scratch: Scratch,
    single: SingleLane,
}

impl Served {
    fn new(arguments: &Arguments) -> Result<Self> {
        let back = match arguments.layer {
            Layer::Null | Layer::Limits => Back::Null,
            Layer::Raw => Back::Raw,
            Layer::Thin => Back::Thin,
            Layer::Encrypted => Back::Encrypted,
        };
        let limits = match arguments.layer {
            Layer::Null => Limits::NONE,
            _ => Limits {
                iops: Some(1_000_000_000),
                bandwidth: Some(1_000_000_000_000),
                ..Limits::NONE
            },
        };
        let single = SingleLane::new(&Wish { back, bytes: VOLUME, limits, times: None });
        let single = single.map_err(|why| anyhow!("no lane: {why}"))?;
        let packed = arguments.packed;
        let shape =
            Shape { depth: BATCH, packed, indirect: true, event_index: true, most_blocks: 1 };
        let memory = Arc::new(Memory::new(shape.memory(1))?);
        let (driver, _) = Driver::new(Arc::clone(&memory), shape, 0)?;
        let queue = queue(&memory, &driver, packed)?;
        Ok(Self { driver, queue, scratch: Scratch::default(), single })
    }

    /// The driver asks for a block with each of its slots.
    fn batch(&mut self, work: Work, mut block: impl FnMut(u16) -> u32) {
        for slot in 0..BATCH {
            let sector = u64::from(block(slot)) * (BLOCK as u64 / 512);
            self.driver.submit(slot, work, sector, BLOCK as u32);
        }
        self.driver.publish().expect("an event can be counted");
    }

    /// What is counted: its name is what callgrind looks for.
    #[inline(never)]
    fn serve_batch(&mut self) {
        self.turn();
    }

    /// As the reactor does in a turn.
    #[inline(always)]
    fn turn(&mut self) {
        let Self { queue, scratch, single, .. } = self;
        while single.is_ready() {
            if single.lane.looks_ahead(single.volume) {
                queue.tell_ahead(&mut single.lane, single.volume);
            }
            let Some(fetched) = queue.fetch(scratch) else { break };
            let fetched = fetched.expect("the driver makes sense");
            single.submit(u64::from(fetched.head), &fetched.request);
        }
        single.turn();
        for (tag, outcome) in single.disk.replies.drain(..) {
            queue.finish(tag.0 as u16, outcome);
        }
        if queue.publish() {
            queue.notify();
        }
        single.settle(5_000);
    }

    /// Uncounted, until everything is answered.
    fn collect(&mut self) -> Result<()> {
        let mut answered = 0;
        for _ in 0..1_000 {
            self.driver.poll(|slot| answered += u32::from(slot.is_some()));
            if answered == u32::from(BATCH) {
                let good = (0..BATCH).all(|slot| self.driver.status(slot) == 0);
                ensure!(good, "a request failed");
                self.single.go_on(10_000);
                return Ok(());
            }
            self.single.go_on(10_000);
            self.turn();
        }
        Err(anyhow!("requests are not answered"))
    }
}

/// The device's side of the driver's queue.
fn queue(memory: &Memory, driver: &Driver, packed: bool) -> Result<Queue> {
    let (guest, length) = (GUEST_START, memory.length() as u64);
    let region = RegionSpec { guest, length, user: memory.user_address(), offset: 0 };
    let mapped = Arc::new(GuestMemory::map(&[(region, memory.file())])?);
    let (parts, at) = (driver.parts(), |place| memory.guest_address(place));
    let rings = feature::RING_INDIRECT_DESC | feature::RING_EVENT_IDX | feature::VERSION_1;
    // A packed ring begins with both wrap counters set.
    let start = if packed { Position(1 << 15 | 1 << 31) } else { Position(0) };
    let config = QueueConfig {
        index: 0,
        size: parts.size,
        features: rings | if packed { feature::RING_PACKED } else { 0 },
        addresses: Addresses {
            descriptors: at(parts.descriptors),
            driver: at(parts.driver),
            device: at(parts.device),
        },
        start,
        serial: [0; SERIAL],
        kick: None,
        call: None,
        err: None,
    };
    Queue::new(config, mapped, InFlight::unshared()).context("the queue is refused")
}
