//! The NBD server against clients that others wrote, and against bytes that nobody
//! should send. What is served is a disk in memory.

mod bytes;
mod clients;
mod encrypted;
mod hostile;
mod server;
mod tool;
