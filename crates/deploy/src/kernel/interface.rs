//! Network interfaces by ioctl (netdevice(7)): flags, address, mask, MTU, route.

use std::io;
use std::net::Ipv4Addr;
use std::os::fd::AsRawFd as _;

use socket2::{Domain, Socket, Type};

/// An interface by name, with a socket to talk to the kernel about it.
#[derive(Debug)]
pub struct Interface {
    socket: Socket,
    name: String,
}

impl Interface {
    /// By name, as in `/sys/class/net`.
    pub fn open(name: &str) -> io::Result<Self> {
        if name.is_empty() || name.len() >= libc::IFNAMSIZ {
            return Err(io::Error::new(io::ErrorKind::InvalidInput, "not an interface's name"));
        }
        let socket = Socket::new(Domain::IPV4, Type::DGRAM, None)?;
        Ok(Self { socket, name: name.to_owned() })
    }

    fn request(&self) -> libc::ifreq {
        // SAFETY: `ifreq` is plain data for which all zeros are valid.
        let mut request: libc::ifreq = unsafe { std::mem::zeroed() };
        for (to, from) in request.ifr_name.iter_mut().zip(self.name.bytes()) {
            *to = from.cast_signed();
        }
        request
    }

    fn call(&self, number: libc::c_ulong, request: &mut libc::ifreq) -> io::Result<()> {
        // SAFETY: all numbers used here take a pointer to one valid ifreq.
        match unsafe { libc::ioctl(self.socket.as_raw_fd(), number as _, request) } {
            0 => Ok(()),
            _ => Err(io::Error::last_os_error()),
        }
    }

    /// Switches it on.
    pub fn up(&self) -> io::Result<()> {
        let mut request = self.request();
        self.call(libc::SIOCGIFFLAGS, &mut request)?;
        // SAFETY: the kernel filled the flags.
        let flags = unsafe { request.ifr_ifru.ifru_flags };
        request.ifr_ifru.ifru_flags = flags | (libc::IFF_UP | libc::IFF_RUNNING) as libc::c_short;
        self.call(libc::SIOCSIFFLAGS, &mut request)
    }

    /// Gives it its only IPv4 address.
    pub fn set_address(&self, address: Ipv4Addr, mask: Ipv4Addr) -> io::Result<()> {
        let mut request = self.request();
        request.ifr_ifru.ifru_addr = socket_address(address);
        self.call(libc::SIOCSIFADDR, &mut request)?;
        if address.is_unspecified() {
            return Ok(());
        }
        request.ifr_ifru.ifru_netmask = socket_address(mask);
        self.call(libc::SIOCSIFNETMASK, &mut request)
    }

    /// Sets the largest packet.
    pub fn set_mtu(&self, mtu: u16) -> io::Result<()> {
        let mut request = self.request();
        request.ifr_ifru.ifru_mtu = mtu.into();
        self.call(libc::SIOCSIFMTU, &mut request)
    }

    /// Makes a router the way to everywhere else. One that is there already is fine.
    pub fn add_default_route(&self, router: Ipv4Addr) -> io::Result<()> {
        // SAFETY: `rtentry` is plain data for which all zeros are valid.
        let mut route: libc::rtentry = unsafe { std::mem::zeroed() };
        route.rt_dst = socket_address(Ipv4Addr::UNSPECIFIED);
        route.rt_genmask = socket_address(Ipv4Addr::UNSPECIFIED);
        route.rt_gateway = socket_address(router);
        route.rt_flags = libc::RTF_UP | libc::RTF_GATEWAY;
        let mut name: Vec<libc::c_char> = self.name.bytes().map(u8::cast_signed).collect();
        name.push(0);
        route.rt_dev = name.as_mut_ptr();
        // SAFETY: a valid rtentry whose device name lives until the call returns.
        match unsafe { libc::ioctl(self.socket.as_raw_fd(), libc::SIOCADDRT as _, &raw mut route) }
        {
            0 => Ok(()),
            _ => match io::Error::last_os_error() {
                exists if exists.kind() == io::ErrorKind::AlreadyExists => Ok(()),
                other => Err(other),
            },
        }
    }
}

/// An IPv4 address as the kernel's generic socket address.
fn socket_address(address: Ipv4Addr) -> libc::sockaddr {
    // SAFETY: `sockaddr` is plain data for which all zeros are valid.
    let mut generic: libc::sockaddr = unsafe { std::mem::zeroed() };
    generic.sa_family = libc::AF_INET as libc::sa_family_t;
    // sockaddr_in: two bytes of port, then the address.
    for (to, from) in generic.sa_data[2..6].iter_mut().zip(address.octets()) {
        *to = from.cast_signed();
    }
    generic
}
