//! The lab against judges that are not ours: OVMF, QEMU, swtpm, DMTF's service
//! validator and `virt-fw-vars`; and the BMC's protocol, request by request.
#![allow(
    clippy::disallowed_methods,
    reason = "firmware and machines that run beside us keep real time"
)]

mod client;
mod crash;
mod machines;
mod media;
mod protocol;
mod validator;
mod variables;
