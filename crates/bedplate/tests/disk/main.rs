//! The disk service as a process, used by programs that others wrote: a Linux kernel in
//! QEMU, qemu-img, nbdcopy, fio.
#![allow(
    clippy::disallowed_methods,
    reason = "machines and programs that run beside us keep real time"
)]

mod guest;
mod initrd;
mod nbd;
mod nbd_ends;
mod nbd_wire;
mod service;
