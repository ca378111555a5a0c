//! The command line as people meet it: its tree, its help, its tables at every
//! width, its errors, its progress; and whole verbs against a control plane that
//! runs in this process, and against a scripted API where work must go well.

extern crate bedplate_cli as cli;

mod against_control;
mod against_script;
mod content;
mod disks;
mod doctor;
mod errors;
mod human;
mod machines;
mod pages;
mod progress;
mod samples;
mod settings;
mod tables;
mod tree;
mod volumes;
