//! The gateway as a process: driven by clients that others wrote (boto3, the aws CLI), by
//! bytes that no client sends, and through all ends that a process can have.
#![allow(clippy::disallowed_methods, reason = "a process that runs beside us keeps real time")]

mod client;
mod clients;
mod damage;
mod ends;
mod full;
mod hostile;
mod patience;
mod process;
mod replaced;
mod shares;
mod signature;
