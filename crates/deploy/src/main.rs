//! PID 1 of the provisioning ramdisk.

fn main() {}
