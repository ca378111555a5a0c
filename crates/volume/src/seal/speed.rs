//! How long each kernel takes, printed for people:
//! `cargo test --release -p bedplate-volume -- --ignored kernels --nocapture`.

use std::hint::black_box;
use std::time::Instant;

use model::volume::Limits;

use super::crc;
use super::kernel::Kernel;
use super::xts::XtsKey;
use crate::BLOCK;
use crate::qos::Gate;
use crate::units::{Epoch, Lba, Nanos, Origin};

/// Nanoseconds a call, of the best of some rounds.
#[expect(clippy::disallowed_methods, reason = "this is for measuring, and asserts nothing")]
fn nanos(mut call: impl FnMut(usize)) -> f64 {
    const CALLS: usize = 20_000;
    let round = |_| {
        let began = Instant::now();
        (0..CALLS).for_each(&mut call);
        began.elapsed().as_nanos() as f64 / CALLS as f64
    };
    (0..15).map(round).fold(f64::INFINITY, f64::min)
}

#[test]
#[ignore = "measures, and asserts nothing"]
fn kernels() {
    // Sixteen blocks each: in the cache, as what a guest just wrote is.
    let from: Vec<u8> = (0..16 * BLOCK).map(|at| (at * 7) as u8).collect();
    let mut to = vec![0_u8; 16 * BLOCK];
    let secret = std::array::from_fn(|at| at as u8);
    println!("ns for 4 KiB   encrypt  +check  decrypt  +check    check   +copy");
    for kernel in Kernel::available() {
        let key = XtsKey::with_kernel(&secret, kernel).expect("a key");
        let mut run = |call: &mut dyn FnMut(u64, *const u8, *mut u8) -> u32| {
            nanos(|at| {
                let block = at % 16 * BLOCK;
                let (from, to) = (from[block..].as_ptr(), to[block..].as_mut_ptr());
                black_box(call(at as u64, from, to));
            })
        };
        // SAFETY: all blocks are inside the two buffers.
        let encrypt = run(&mut |lba, from, to| unsafe {
            key.encrypt_block(lba, from, to);
            0
        });
        // SAFETY: as above.
        let sealed = run(&mut |lba, from, to| unsafe { key.encrypt_and_check(lba, 1, from, to) });
        // SAFETY: as above.
        let decrypt = run(&mut |lba, from, to| unsafe {
            key.decrypt_block(lba, from, to);
            0
        });
        // SAFETY: as above.
        let opened = run(&mut |lba, from, to| unsafe { key.decrypt_and_check(lba, 1, from, to) });
        let check = nanos(|at| {
            let block = &from[at % 16 * BLOCK..][..BLOCK];
            // SAFETY: only kernels that run here.
            black_box(unsafe { crc::update_with(kernel, 1, block) });
        });
        // SAFETY: as above.
        let copy =
            run(&mut |_, from, to| unsafe { crc::copy_with::<false>(kernel, 1, from, to, from) });
        println!(
            "{:<12}  {encrypt:8.0} {sealed:7.0} {decrypt:8.0} {opened:7.0} {check:8.0} {copy:7.0}",
            format!("{kernel:?}")
        );
    }
    let seed = nanos(|at| {
        black_box(crc::seed(Origin(7), Lba(at as u32), Epoch(9)));
    });
    println!("seed of a checksum: {seed:.1} ns");
}

#[test]
#[ignore = "measures, and asserts nothing"]
fn kernels_of_limits() {
    let iops = Limits { iops: Some(1_000_000_000), ..Limits::NONE };
    let both = Limits { bandwidth: Some(1_000_000_000_000), ..iops };
    let bursts = Limits {
        burst_iops: Some(2_000_000_000),
        bandwidth: Some(900_000_000_000),
        burst_bandwidth: Some(1_000_000_000_000),
        ..iops
    };
    let paths: [(&str, &[Limits]); 6] = [
        ("no limit", &[Limits::NONE; 3]),
        ("IOPS", &[Limits::NONE, Limits::NONE, iops]),
        ("IOPS and bytes", &[Limits::NONE, Limits::NONE, both]),
        ("bursts of both", &[Limits::NONE, Limits::NONE, bursts]),
        ("IOPS, three deep", &[iops; 3]),
        ("bursts of both, three deep", &[bursts; 3]),
    ];
    for (name, path) in paths {
        let mut gate = Gate::new();
        let mut node = None;
        for limits in path {
            node = Some(gate.add(node, *limits, Nanos(0)));
        }
        let node = node.expect("a path");
        let mut now = 0;
        let took = nanos(|_| {
            now += 200;
            if black_box(gate.ready(node, Nanos(now))).is_ok() {
                gate.charge(node, 1, 4096);
            }
        });
        println!("ready and charge, {name}: {took:.1} ns");
    }
}
