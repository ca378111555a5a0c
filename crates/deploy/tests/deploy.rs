//! The agent from outside: a made-up machine on one side (folders for `dev` and
//! `sys`, files for disks, swtpm for the TPM), a control plane of the test's own
//! on the other, real TLS between them.
#![allow(clippy::disallowed_methods, reason = "a software TPM that runs beside us keeps real time")]

#[path = "deploy/authority.rs"]
mod authority;
#[path = "deploy/control.rs"]
mod control;
#[path = "deploy/files.rs"]
mod files;
#[path = "deploy/image.rs"]
mod image;
#[path = "deploy/link.rs"]
mod link;
#[path = "deploy/made_up.rs"]
mod made_up;
#[path = "deploy/parsers.rs"]
mod parsers;
#[path = "deploy/qcow2.rs"]
mod qcow2;
#[path = "deploy/sanitise.rs"]
mod sanitise;
#[path = "deploy/table.rs"]
mod table;
