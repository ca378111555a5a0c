//! A plain vhost-user-blk target on the rust-vmm crates: it reads each request's header,
//! answers that all is well, and does nothing. `cargo xtask bench disk` compares with it.
//!
//! It takes, answers and tells of one request after the other, as targets on these
//! crates do. With `batched` as its second argument it takes all that is there and tells
//! once, which is the most that the crates give.
//!
//! It is no part of the product. It has a workspace and a lock of its own, so that its
//! crates do not come into ours, and is built on demand into target/peers.
//!
//! It polls for [`PATIENCE`] after the last request before it sleeps, as the others do.

use std::io;
use std::sync::{Arc, RwLock};
use std::time::{Duration, Instant};

use vhost::vhost_user::message::VhostUserProtocolFeatures;
use vhost_user_backend::{VhostUserBackendMut, VhostUserDaemon, VringRwLock, VringT};
use virtio_bindings::virtio_blk::{VIRTIO_BLK_F_FLUSH, VIRTIO_BLK_F_SEG_MAX};
use virtio_bindings::virtio_config::VIRTIO_F_VERSION_1;
use virtio_bindings::virtio_ring::{VIRTIO_RING_F_EVENT_IDX, VIRTIO_RING_F_INDIRECT_DESC};
use virtio_queue::{DescriptorChain, QueueOwnedT, QueueT};
use vm_memory::{Bytes, GuestAddressSpace, GuestMemoryAtomic, GuestMemoryMmap};
use vmm_sys_util::epoll::EventSet;

/// How long it looks for more before it sleeps.
const PATIENCE: Duration = Duration::from_micros(50);
/// A gigabyte.
const SECTORS: u64 = 1 << 21;
/// `VHOST_USER_F_PROTOCOL_FEATURES`.
const PROTOCOL_FEATURES: u64 = 1 << 30;

type Memory = GuestMemoryAtomic<GuestMemoryMmap>;

struct Null {
    memory: Memory,
    batched: bool,
}

impl Null {
    /// Answers what is there, one by one. Whether something was.
    fn answer(&self, vring: &VringRwLock) -> io::Result<bool> {
        let mut state = vring.get_mut();
        let mut came = false;
        loop {
            let memory = self.memory.memory();
            let Some(chain) = state.get_queue_mut().pop_descriptor_chain(memory.clone()) else {
                return Ok(came);
            };
            let (head, length) = carry_out(&memory, chain)?;
            state.add_used(head, length).map_err(io::Error::other)?;
            if state.needs_notification().map_err(io::Error::other)? {
                state.signal_used_queue()?;
            }
            came = true;
        }
    }

    /// The same, and tells once.
    fn answer_batch(&self, vring: &VringRwLock) -> io::Result<bool> {
        let mut state = vring.get_mut();
        let memory = self.memory.memory();
        let chains = state.get_queue_mut().iter(memory.clone()).map_err(io::Error::other)?;
        let done: io::Result<Vec<_>> = chains.map(|chain| carry_out(&memory, chain)).collect();
        let done = done?;
        for (head, length) in &done {
            state.add_used(*head, *length).map_err(io::Error::other)?;
        }
        if !done.is_empty() && state.needs_notification().map_err(io::Error::other)? {
            state.signal_used_queue()?;
        }
        Ok(!done.is_empty())
    }
}

/// Does what a request asks, which is nothing; its head, and what was written of it.
fn carry_out<M>(memory: &GuestMemoryMmap, chain: DescriptorChain<M>) -> io::Result<(u16, u32)>
where
    M: std::ops::Deref<Target = GuestMemoryMmap> + Clone,
{
    let head = chain.head_index();
    let (mut first, mut last, mut length) = (None, None, 0);
    for piece in chain {
        first = first.or(Some(piece));
        last = Some(piece);
        length += if piece.is_write_only() { piece.len() } else { 0 };
    }
    if let (Some(first), Some(last)) = (first, last) {
        let _header: [u8; 16] = memory.read_obj(first.addr()).map_err(io::Error::other)?;
        memory.write_obj(0_u8, last.addr()).map_err(io::Error::other)?;
    }
    Ok((head, length))
}

impl VhostUserBackendMut for Null {
    type Bitmap = ();
    type Vring = VringRwLock;

    fn num_queues(&self) -> usize {
        4
    }
    fn max_queue_size(&self) -> usize {
        1024
    }
    fn features(&self) -> u64 {
        1 << VIRTIO_F_VERSION_1
            | 1 << VIRTIO_BLK_F_SEG_MAX
            | 1 << VIRTIO_BLK_F_FLUSH
            | 1 << VIRTIO_RING_F_EVENT_IDX
            | 1 << VIRTIO_RING_F_INDIRECT_DESC
            | PROTOCOL_FEATURES
    }
    fn protocol_features(&self) -> VhostUserProtocolFeatures {
        VhostUserProtocolFeatures::CONFIG | VhostUserProtocolFeatures::MQ
    }
    /// The queue itself keeps it.
    fn set_event_idx(&mut self, _enabled: bool) {}
    fn get_config(&self, offset: u32, size: u32) -> Vec<u8> {
        let mut config = vec![0; 256];
        config[..8].copy_from_slice(&SECTORS.to_le_bytes());
        config.into_iter().skip(offset as usize).take(size as usize).collect()
    }
    fn update_memory(&mut self, memory: Memory) -> io::Result<()> {
        self.memory = memory;
        Ok(())
    }
    fn handle_event(
        &mut self,
        queue: u16,
        _events: EventSet,
        vrings: &[VringRwLock],
        _thread: usize,
    ) -> io::Result<()> {
        let Some(vring) = vrings.get(usize::from(queue)) else { return Ok(()) };
        vring.disable_notification().map_err(io::Error::other)?;
        let mut last = Instant::now();
        loop {
            let came = if self.batched { self.answer_batch(vring) } else { self.answer(vring) };
            if came? {
                last = Instant::now();
            } else if last.elapsed() > PATIENCE {
                if !vring.enable_notification().map_err(io::Error::other)? {
                    return Ok(());
                }
                vring.disable_notification().map_err(io::Error::other)?;
                last = Instant::now();
            }
        }
    }
}

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let socket = std::env::args().nth(1).ok_or("usage: rustvmm-target SOCKET [batched]")?;
    let batched = std::env::args().nth(2).is_some_and(|word| word == "batched");
    let memory = GuestMemoryAtomic::new(GuestMemoryMmap::new());
    let backend = Arc::new(RwLock::new(Null { memory: memory.clone(), batched }));
    let mut daemon = VhostUserDaemon::new("rustvmm-target".into(), backend, memory)
        .map_err(|error| format!("{error:?}"))?;
    daemon.serve(socket).map_err(|error| format!("{error:?}"))?;
    Ok(())
}
