//! `kexec_file_load(2)`: hands a kernel and its ramdisk to the running one.

use std::ffi::CString;
use std::fs::File;
use std::io;
use std::os::fd::AsRawFd as _;

/// Loads a kernel for a later `reboot(KEXEC)`. Under lockdown the kernel checks its signature.
pub fn load(kernel: &File, ramdisk: &File, command_line: &str) -> io::Result<()> {
    let line = CString::new(command_line).map_err(|_| io::ErrorKind::InvalidInput)?;
    let length = line.as_bytes_with_nul().len();
    // SAFETY: two open files and a string of the given length with its terminating zero.
    let done = unsafe {
        libc::syscall(
            libc::SYS_kexec_file_load,
            kernel.as_raw_fd(),
            ramdisk.as_raw_fd(),
            length,
            line.as_ptr(),
            0u64,
        )
    };
    match done {
        0 => Ok(()),
        _ => Err(io::Error::last_os_error()),
    }
}
