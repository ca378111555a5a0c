//! The command line: the verbs that people use, over the typed client.
//!
//! Each noun is a folder and each verb a file in it: its arguments, its help with
//! an example, and what it does. Everything that verbs share is here at the top:
//! how settings are found ([`settings`]), what a failure looks like ([`failure`]),
//! where text goes ([`terminal`]), tables ([`table`]) and live progress
//! ([`progress`]).
//!
//! With `--output json` a verb prints exactly the JSON of the API; progress and
//! questions go to standard error in any case.

pub mod amounts;
pub mod bucket;
pub mod capacity;
pub mod doctor;
pub mod events;
pub mod failure;
pub mod fleet;
pub mod gateway;
pub mod host;
pub mod house;
pub mod human;
pub mod image;
pub mod instance;
pub mod instance_type;
pub mod machine;
pub mod object;
pub mod operation;
pub mod page;
pub mod placement;
pub mod placement_group;
pub mod policy;
pub mod pool;
pub mod progress;
pub mod project;
pub mod prompt;
pub mod reference;
pub mod session;
pub mod settings;
pub mod table;
pub mod terminal;
pub mod token;
pub mod verb;
pub mod volume;

pub use failure::{Exit, Failure};
pub use settings::{Global, Output};
pub use terminal::Terminal;
pub use verb::{Program, Verb, run};
