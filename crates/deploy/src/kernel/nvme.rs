//! NVMe admin commands by ioctl (linux/nvme_ioctl.h).

use std::fs::File;
use std::io;
use std::os::fd::AsRawFd as _;

/// `_IOWR('N', 0x41, struct nvme_admin_cmd)`.
const NVME_IOCTL_ADMIN_CMD: u32 = 0xc048_4e41;
/// `_IO('N', 0x40)`.
const NVME_IOCTL_ID: u32 = 0x4e40;

#[repr(C)]
#[derive(Default)]
struct AdminCommand {
    opcode: u8,
    flags: u8,
    rsvd1: u16,
    nsid: u32,
    cdw2: u32,
    cdw3: u32,
    metadata: u64,
    addr: u64,
    metadata_len: u32,
    data_len: u32,
    cdw10: u32,
    cdw11: u32,
    cdw12: u32,
    cdw13: u32,
    cdw14: u32,
    cdw15: u32,
    timeout_ms: u32,
    result: u32,
}
const _: () = assert!(size_of::<AdminCommand>() == 72);

/// One admin command.
#[derive(Clone, Copy, Debug)]
pub struct Admin {
    /// Opcode (NVMe base specification, figure "Opcodes for Admin Commands").
    pub opcode: u8,
    /// Namespace; all ones for every one.
    pub namespace: u32,
    /// Command double word 10.
    pub cdw10: u32,
    /// How long the device may take.
    pub timeout_ms: u32,
}

/// Sends a command that reads `data` from the device.
pub fn admin(device: &File, command: Admin, data: &mut [u8]) -> io::Result<()> {
    let mut raw = AdminCommand {
        opcode: command.opcode,
        nsid: command.namespace,
        cdw10: command.cdw10,
        timeout_ms: command.timeout_ms,
        addr: match data.is_empty() {
            true => 0,
            false => data.as_mut_ptr() as u64,
        },
        data_len: u32::try_from(data.len()).map_err(|_| io::ErrorKind::InvalidInput)?,
        ..AdminCommand::default()
    };
    // SAFETY: a valid command whose buffer is exclusively ours and as long as it says.
    match unsafe { libc::ioctl(device.as_raw_fd(), NVME_IOCTL_ADMIN_CMD as _, &raw mut raw) } {
        0 => Ok(()),
        status if status > 0 => {
            Err(io::Error::other(format!("the device answered with NVMe status {status:#x}")))
        }
        _ => Err(io::Error::last_os_error()),
    }
}

/// The namespace that a block device shows.
pub fn namespace(device: &File) -> io::Result<u32> {
    // SAFETY: the call takes no argument.
    let id = unsafe { libc::ioctl(device.as_raw_fd(), NVME_IOCTL_ID as _, 0) };
    u32::try_from(id).map_err(|_| io::Error::last_os_error())
}
