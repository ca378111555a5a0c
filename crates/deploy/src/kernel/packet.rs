//! Raw Ethernet frames of one protocol from one interface (packet(7)): for LLDP,
//! which has no IP.

use std::io;
use std::os::fd::AsRawFd as _;

use socket2::{Domain, Protocol, SockAddr, Socket, Type};
use tokio::io::unix::AsyncFd;

/// The multicast address of LLDP (IEEE 802.1AB section 7.1).
const LLDP_GROUP: [u8; 6] = [0x01, 0x80, 0xc2, 0x00, 0x00, 0x0e];

/// A socket that receives the payload of frames of `ethertype` on the interface
/// with this index. Needs `CAP_NET_RAW`, and a tokio runtime.
pub fn listen(index: u32, ethertype: u16) -> io::Result<AsyncFd<Socket>> {
    let wire = ethertype.to_be();
    let socket = Socket::new(
        Domain::PACKET,
        Type::DGRAM.nonblocking(),
        Some(Protocol::from(i32::from(wire))),
    )?;
    // SAFETY: the storage is zeroed and larger than sockaddr_ll; the length is that of sockaddr_ll.
    let ((), address) = unsafe {
        SockAddr::try_init(|storage, length| {
            let link = storage.cast::<libc::sockaddr_ll>();
            (*link).sll_family = libc::AF_PACKET as libc::sa_family_t;
            (*link).sll_protocol = wire;
            (*link).sll_ifindex = index.cast_signed();
            *length = size_of::<libc::sockaddr_ll>() as libc::socklen_t;
            Ok(())
        })?
    };
    socket.bind(&address)?;
    join(&socket, index)?;
    // SAFETY: the socket owns its descriptor and closes it only when it is dropped,
    // which is after the registration's end.
    Ok(unsafe { AsyncFd::register(socket)? })
}

/// Asks the interface to let the group's frames through.
fn join(socket: &Socket, index: u32) -> io::Result<()> {
    // SAFETY: `packet_mreq` is plain data for which all zeros are valid.
    let mut request: libc::packet_mreq = unsafe { std::mem::zeroed() };
    request.mr_ifindex = index.cast_signed();
    request.mr_type = libc::PACKET_MR_MULTICAST as libc::c_ushort;
    request.mr_alen = 6;
    request.mr_address[..6].copy_from_slice(&LLDP_GROUP);
    // SAFETY: the option takes one packet_mreq, whose size is given.
    let done = unsafe {
        libc::setsockopt(
            socket.as_raw_fd(),
            libc::SOL_PACKET,
            libc::PACKET_ADD_MEMBERSHIP,
            (&raw const request).cast(),
            size_of::<libc::packet_mreq>() as libc::socklen_t,
        )
    };
    match done {
        0 => Ok(()),
        _ => Err(io::Error::last_os_error()),
    }
}
