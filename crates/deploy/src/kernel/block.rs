//! What a block device can be told beyond reading and writing (linux/fs.h).

use std::fs::File;
use std::io;
use std::os::fd::AsRawFd as _;

const BLKSSZGET: u32 = 0x1268;
const BLKRRPART: u32 = 0x125f;
const BLKSECDISCARD: u32 = 0x127d;
const BLKFLSBUF: u32 = 0x1261;

/// Size of a logical sector in bytes: what the partition table counts in.
pub fn sector_size(disk: &File) -> io::Result<u32> {
    let mut size: libc::c_int = 0;
    // SAFETY: the call stores one int.
    let done = unsafe { libc::ioctl(disk.as_raw_fd(), BLKSSZGET as _, &raw mut size) };
    match (done, u32::try_from(size)) {
        (0, Ok(size)) => Ok(size),
        (0, Err(_)) => Err(io::Error::new(io::ErrorKind::InvalidData, "negative sector size")),
        _ => Err(io::Error::last_os_error()),
    }
}

/// Has the device discard a range beyond recovery, where it can.
pub fn secure_discard(disk: &File, offset: u64, length: u64) -> io::Result<()> {
    let range = [offset, length];
    // SAFETY: the call reads two u64.
    match unsafe { libc::ioctl(disk.as_raw_fd(), BLKSECDISCARD as _, range.as_ptr()) } {
        0 => Ok(()),
        _ => Err(io::Error::last_os_error()),
    }
}

/// Forgets what the kernel cached of the disk, so that the next read asks the disk.
pub fn forget_cache(disk: &File) {
    // SAFETY: the call takes no argument. Failure (a plain file) leaves a correct, cached answer.
    unsafe { libc::ioctl(disk.as_raw_fd(), BLKFLSBUF as _, 0) };
    // Length 0 is "to the end".
    let _ = rustix::fs::fadvise(disk, 0, None, rustix::fs::Advice::DontNeed);
}

/// Has the kernel read the partition table again.
pub fn reread_partitions(disk: &File) -> io::Result<()> {
    // SAFETY: the call takes no argument.
    match unsafe { libc::ioctl(disk.as_raw_fd(), BLKRRPART as _, 0) } {
        0 => Ok(()),
        _ => Err(io::Error::last_os_error()),
    }
}
