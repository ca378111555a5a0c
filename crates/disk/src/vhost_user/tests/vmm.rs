//! A VMM that speaks well: the front end of the crate `vhost`, which knows the messages
//! from elsewhere.

use std::os::fd::AsRawFd;
use std::os::unix::net::UnixStream;

use vhost::vhost_user::message::{VhostUserConfigFlags, VhostUserHeaderFlag, VhostUserInflight};
use vhost::vhost_user::{Frontend, VhostUserFrontend, VhostUserProtocolFeatures as Protocol};
use vhost::{VhostBackend, VhostUserMemoryRegionInfo, VringConfigData};
use vmm_sys_util::eventfd::EventFd;

use super::{Ended, Reactor, Running, Session, device};
use crate::in_flight::RECORD;
use crate::ring::tests::driver::{BASE, Driver};
use crate::ring::tests::{Shape, memory_and_file};
use crate::virtio_blk::{CONFIG, Header, feature, kind};

const SHAPE: Shape = Shape { size: 16, packed: false, indirect: true, event_index: true };

fn negotiate(vmm: &mut Frontend) {
    vmm.set_owner().unwrap();
    assert_ne!(vmm.get_features().unwrap() & feature::PROTOCOL, 0);
    let protocol = vmm.get_protocol_features().unwrap();
    assert!(protocol.contains(
        Protocol::MQ | Protocol::CONFIG | Protocol::INFLIGHT_SHMFD | Protocol::BACKEND_REQ
    ));
    vmm.set_protocol_features(protocol).unwrap();
    vmm.set_features(SHAPE.features() | feature::PROTOCOL).unwrap();
    vmm.set_hdr_flags(VhostUserHeaderFlag::NEED_REPLY);
    assert_eq!(vmm.get_queue_num().unwrap(), 2);
}

fn start(vmm: &mut Frontend, queue: usize, kick: &EventFd, call: &EventFd) {
    let at = SHAPE.addresses();
    let user = |guest: u64| guest - BASE + 0x7000_0000;
    vmm.set_vring_num(queue, SHAPE.size).unwrap();
    vmm.set_vring_base(queue, 0).unwrap();
    let config = VringConfigData {
        queue_max_size: SHAPE.size,
        queue_size: SHAPE.size,
        flags: 0,
        desc_table_addr: user(at.descriptors),
        used_ring_addr: user(at.device),
        avail_ring_addr: user(at.driver),
        log_addr: None,
    };
    vmm.set_vring_addr(queue, &config).unwrap();
    vmm.set_vring_call(queue, call).unwrap();
    vmm.set_vring_kick(queue, kick).unwrap();
    vmm.set_vring_enable(queue, true).unwrap();
}

#[test]
fn a_vmm_uses_a_device() {
    let (ours, theirs) = UnixStream::pair().unwrap();
    let (device, reactor) = (device(), Reactor::default());
    let session = Session::new(std::sync::Arc::clone(&device), reactor.clone());
    let notice = session.change_notice();
    let running = Running::new(session, &ours);
    let mut vmm = Frontend::from_stream(theirs, 2);
    negotiate(&mut vmm);
    let (memory, file, regions) = memory_and_file();
    let info = regions.map(|spec| VhostUserMemoryRegionInfo {
        guest_phys_addr: spec.guest,
        memory_size: spec.length,
        userspace_addr: spec.user,
        mmap_offset: spec.offset,
        mmap_handle: file.as_raw_fd(),
    });
    vmm.set_mem_table(&info[..1]).unwrap();
    vmm.add_mem_region(&info[1]).unwrap();
    assert_eq!(vmm.get_max_mem_slots().unwrap(), 32);
    let asked = [0; CONFIG];
    let (_, space) =
        vmm.get_config(0, CONFIG as u32, VhostUserConfigFlags::WRITABLE, &asked).unwrap();
    assert_eq!(space, device.config());
    let (in_flight, _file) =
        vmm.get_inflight_fd(&VhostUserInflight::new(0, 0, 2, SHAPE.size)).unwrap();
    assert_eq!(in_flight.mmap_size, 2 * RECORD as u64);

    let (kick, call) = (EventFd::new(0).unwrap(), EventFd::new(libc::EFD_NONBLOCK).unwrap());
    start(&mut vmm, 0, &kick, &call);
    assert!(reactor.serves(0) && !reactor.serves(1));
    let mut driver = Driver::new(SHAPE, &memory);
    for number in 0..40 {
        driver.request(number, Header { kind: kind::IN, sector: 0 }, 512, true);
        driver.want_notice();
        assert_eq!(reactor.serve(0), 1);
        assert!(driver.poll().is_some() && call.read().unwrap() == 1);
    }
    // Interrupts go elsewhere, memory comes and goes, while it is served.
    let other = EventFd::new(libc::EFD_NONBLOCK).unwrap();
    vmm.set_vring_call(0, &other).unwrap();
    driver.request(40, Header { kind: kind::IN, sector: 0 }, 512, true);
    driver.want_notice();
    reactor.serve(0);
    assert!(driver.poll().is_some() && other.read().unwrap() == 1 && call.read().is_err());
    vmm.remove_mem_region(&info[1]).unwrap();
    vmm.add_mem_region(&info[1]).unwrap();
    assert_eq!(*reactor.memories.lock().unwrap(), 2);

    vmm.set_vring_enable(0, false).unwrap();
    assert!(!reactor.serves(0));
    vmm.set_vring_enable(0, true).unwrap();
    driver.request(41, Header { kind: kind::IN, sector: 0 }, 512, true);
    assert_eq!(reactor.serve(0), 1, "it goes on where it was");
    assert_eq!(vmm.get_vring_base(0).unwrap(), 42);
    assert!(!reactor.serves(0));

    let (channel, back) = UnixStream::pair().unwrap();
    vmm.set_backend_request_fd(&channel).unwrap();
    device.resize(1 << 30);
    notice.send();
    let mut message = [0; 12];
    std::io::Read::read_exact(&mut &back, &mut message).unwrap();
    assert_eq!(message, [2, 0, 0, 0, 1, 0, 0, 0, 0, 0, 0, 0]);

    start(&mut vmm, 1, &kick, &call);
    drop(vmm);
    let (_, ended) = running.join();
    assert!(matches!(ended, Ended::Closed), "{ended:?}");
    assert!(!reactor.serves(1), "what a VMM leaves is stopped");
}
