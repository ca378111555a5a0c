//! The lab against judges that are not ours: OVMF, QEMU, swtpm, DMTF's service
//! validator and `virt-fw-vars`; and the BMC's protocol, request by request.

mod client;
mod crash;
mod machines;
mod media;
mod protocol;
mod validator;
mod variables;
