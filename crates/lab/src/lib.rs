//! Racks made of QEMU machines with firmware, TPM and BMC.
