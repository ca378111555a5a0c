//! `bedplate lab disk-client`: a guest's disk driver without a guest, to measure and to
//! check what serves volumes.

use std::path::PathBuf;

use anyhow::Result;
use clap::Args;
use lab::disk_client::session::{self, Options};
use lab::disk_client::{Pattern, Plan, Shape, cipher, measured};

/// What to do to which disk.
#[derive(Debug, Args)]
pub struct Arguments {
    /// The vhost-user socket; without one, a target in this process that does nothing
    #[arg(long)]
    socket: Option<PathBuf>,
    /// The socket is of NBD; this is the export
    #[arg(long, value_name = "EXPORT", requires = "socket")]
    nbd: Option<String>,
    /// Queues
    #[arg(long, default_value_t = 1)]
    queues: u16,
    /// Requests under way in each queue, 1 to 256
    #[arg(long, default_value_t = 32, value_parser = clap::value_parser!(u16).range(1..=256))]
    depth: u16,
    /// How long; 0 is until `stop` is said or, with --once, to the end of the range
    #[arg(long, default_value_t = 3.0)]
    seconds: f64,
    /// Writes in a thousand requests; the rest are reads
    #[arg(long, default_value_t = 0)]
    write: u32,
    /// Writes of zeros in a thousand requests
    #[arg(long, default_value_t = 0)]
    zero: u32,
    /// Discards in a thousand requests
    #[arg(long, default_value_t = 0)]
    discard: u32,
    /// Flushes in a thousand requests
    #[arg(long, default_value_t = 0)]
    flush: u32,
    /// Blocks of 4 KiB in a request, 1 to 16
    #[arg(long, default_value_t = 1, value_parser = clap::value_parser!(u16).range(1..=16))]
    blocks: u16,
    /// Requests of every size up to that
    #[arg(long)]
    sizes: bool,
    /// First block of the range
    #[arg(long, default_value_t = 0)]
    first: u32,
    /// Blocks of the range; 0 is all
    #[arg(long, default_value_t = 0)]
    range: u32,
    /// One block after the other
    #[arg(long)]
    sequential: bool,
    /// One block after the other, once
    #[arg(long)]
    once: bool,
    /// Write the range once before, unmeasured
    #[arg(long)]
    fill: bool,
    /// Check all that is read, as the volume of this number; it must begin as zeros
    #[arg(long)]
    verify: Option<u64>,
    /// The packed ring
    #[arg(long)]
    packed: bool,
    /// Chains in tables of their own
    #[arg(long)]
    indirect: bool,
    /// No notices by index
    #[arg(long)]
    no_event_index: bool,
    /// Sleep between answers instead of polling
    #[arg(long)]
    sleep: bool,
    /// Take orders from the standard input
    #[arg(long)]
    orders: bool,
    /// The processor to stay on
    #[arg(long)]
    cpu: Option<usize>,
    /// Tell of gaps longer than so many microseconds, with --orders
    #[arg(long, default_value_t = 1_000)]
    pause: u64,
    /// Where chance begins
    #[arg(long, default_value_t = 1)]
    seed: u64,
    /// Only spin, and tell how long the machine itself holds a thread up
    #[arg(long)]
    noise: bool,
    /// Only encrypt and decrypt, and tell how many blocks a second one core can
    #[arg(long)]
    cipher: bool,
}

/// Does it, and prints one line of JSON at the end.
pub fn run(arguments: &Arguments) -> Result<()> {
    let nanos = (arguments.seconds * 1e9) as u64;
    if arguments.noise {
        println!("{}", measured::noise(nanos));
        return Ok(());
    }
    if arguments.cipher {
        println!("{}", cipher::alone(nanos)?);
        return Ok(());
    }
    let shape = Shape {
        depth: arguments.depth,
        packed: arguments.packed,
        indirect: arguments.indirect,
        event_index: !arguments.no_event_index,
        most_blocks: arguments.blocks,
    };
    let options = Options {
        socket: arguments.socket.clone(),
        nbd: arguments.nbd.clone(),
        queues: arguments.queues,
        shape,
        plan: plan(arguments, nanos),
        verify: arguments.verify,
        fill: arguments.fill,
        orders: arguments.orders,
        cpu: arguments.cpu,
    };
    println!("{}", session::run(&options)?);
    Ok(())
}

fn plan(arguments: &Arguments, nanos: u64) -> Plan {
    let pattern = match (arguments.sequential, arguments.once) {
        (_, true) => Pattern::Once,
        (true, false) => Pattern::Sequential,
        (false, false) => Pattern::Random,
    };
    Plan {
        pattern,
        nanos: (nanos > 0).then_some(nanos),
        writes: arguments.write,
        zeroes: arguments.zero,
        discards: arguments.discard,
        flushes: arguments.flush,
        polling: !arguments.sleep,
        first: arguments.first,
        blocks: arguments.range,
        request: arguments.blocks,
        sizes: arguments.sizes,
        seed: arguments.seed,
        pause: arguments.pause * 1_000,
    }
}
