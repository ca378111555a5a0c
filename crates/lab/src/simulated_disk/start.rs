//! The pools that runs begin with. They are made once, by the engine itself, and copied.

use world::disk::{Ills, Image, ModelDisk};
use world::entropy::Seeded;

use super::client::{Client, Order};
use super::engine::{Crash, Engine, Manner};
use super::memory::Shelf;
use super::rig::Rig;
use super::workload::Act;

/// Bytes of the disk of a simulated pool: the smallest that can be formatted.
const DISK: u64 = 16 << 20;

/// Extents for data of a pool with little room: few more than what is written first.
const TIGHT: u32 = 30;

/// What is in a pool at first.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// A volume of a few blocks, and nothing in it.
    Empty,
    /// The same, written, with a snapshot and a checkpoint.
    Written,
    /// The same, with more writes, of which a power cut left some.
    Crashed,
    /// Two volumes of some mebibytes, so that their maps have several pages.
    Large,
    /// The same, encrypted.
    Sealed,
    /// The same, in memory.
    Memory,
    /// Two volumes that are larger than their pool, which is nearly full, on a disk that is slow now and then.
    Tight,
    /// The same, encrypted.
    TightSealed,
}

impl Kind {
    fn manner(self) -> Manner {
        let large = Manner::default();
        let tight = Manner { extents: Some(TIGHT), slow: true, ..large };
        match self {
            Kind::Empty | Kind::Written | Kind::Crashed | Kind::Large => large,
            Kind::Sealed => Manner { sealed: true, ..large },
            Kind::Memory => Manner { memory: true, ..large },
            Kind::Tight => tight,
            Kind::TightSealed => Manner { sealed: true, ..tight },
        }
    }
}

/// A pool to begin with.
pub struct Start {
    image: Image,
    manner: Manner,
    client: Client,
    data: std::ops::Range<u64>,
    sectors: u32,
}

impl Start {
    /// Makes one. `Err` says what the engine did wrong.
    pub fn new(kind: Kind) -> Result<Self, String> {
        let mut shelf = Shelf::default();
        let entropy = Seeded::new(1);
        let disk = ModelDisk::new(DISK, Ills::default(), entropy.clone());
        let manner = kind.manner();
        let (engine, data) = Engine::format(disk, manner, &mut shelf)?;
        let mut rig = Rig::new(shelf, engine, Client::default(), entropy);
        let volumes = match kind {
            Kind::Large | Kind::Sealed | Kind::Memory => vec![4 << 20, 2 << 20],
            Kind::Tight | Kind::TightSealed => vec![1 << 20, 1 << 20],
            Kind::Empty | Kind::Written | Kind::Crashed => vec![16 << 10],
        };
        let sectors = volumes[0] as u32 / 512;
        for (index, bytes) in volumes.into_iter().enumerate() {
            rig.make(Order::Create { name: format!("first-{index}"), bytes });
        }
        if matches!(kind, Kind::Written | Kind::Crashed) {
            write_some(&mut rig);
        }
        if matches!(kind, Kind::Tight | Kind::TightSealed) {
            fill(&mut rig);
        }
        let crashed = kind == Kind::Crashed;
        if crashed {
            for first in [0, 5, 12] {
                rig.begin(Act::Write { volume: 0, first, count: 9, durable: false });
                rig.settle();
            }
            rig.begin(Act::Discard { volume: 0, first: 8, count: 8, durable: false });
        } else {
            rig.begin(Act::Wait);
            rig.settle();
            rig.begin(Act::Flush { volume: 0 });
        }
        rig.settle();
        if !rig.findings.clean() {
            return Err(format!("a pool to begin with cannot be made: {:#?}", rig.findings.faults));
        }
        let image = if crashed {
            rig.engine.after(Crash::Cut, &mut Seeded::new(7)).seen().clone()
        } else if manner.memory {
            rig.engine.after(Crash::Kill, &mut Seeded::new(7)).seen().clone()
        } else {
            rig.engine.driver.disk.seen().clone()
        };
        let (.., client) = rig.end();
        Ok(Self { image, manner, client, data, sectors })
    }

    /// A rig that begins with it, with a disk and an order of things by this seed.
    pub fn rig(&self, mut shelf: Shelf, mut entropy: Seeded) -> Rig {
        let disk = ModelDisk::holding(self.image.clone(), Ills::default(), entropy.fork(1));
        let engine = Engine::open(disk, self.manner, Crash::Cut, None, &mut shelf);
        let engine = engine.expect("what was opened when it was made is opened again");
        let mut rig = Rig::new(shelf, engine, self.client.clone(), entropy);
        rig.arrive(Crash::Cut);
        rig
    }

    /// The bytes of the disk that hold data and pages of maps.
    pub fn data(&self) -> std::ops::Range<u64> {
        self.data.clone()
    }
    /// What kind of pool it is.
    pub fn manner(&self) -> Manner {
        self.manner
    }
    /// Sectors of the largest volume.
    pub fn sectors(&self) -> u32 {
        self.sectors
    }
}

/// The first volume whole, and half of the second: hardly a place is free.
fn fill(rig: &mut Rig) {
    for (volume, sectors) in [(0, 2048), (1, 1024)] {
        for first in (0..sectors).step_by(256) {
            rig.begin(Act::Write { volume, first, count: 256, durable: false });
            rig.settle();
        }
    }
}

/// Everything once, a snapshot, and some of it again.
fn write_some(rig: &mut Rig) {
    let acts = [
        Act::Write { volume: 0, first: 0, count: 32, durable: false },
        Act::Flush { volume: 0 },
        Act::Snapshot { volume: 0 },
        Act::Wait,
        Act::Write { volume: 0, first: 4, count: 6, durable: false },
        Act::Flush { volume: 0 },
    ];
    for act in acts {
        rig.begin(act);
        rig.settle();
    }
}
