//! How long a BMC may take, and how much it may say.

use std::time::Duration;

use model::bmc::BmcCommand;

/// The bounds on one BMC. The defaults suit slow real ones.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// Until the TCP connection and TLS stand.
    pub connect: Duration,
    /// One request with its reply.
    pub request: Duration,
    /// Reading all parts; what is not read by then is left out.
    pub inspect: Duration,
    /// Any other command, with its retries, tasks and reading back.
    pub command: Duration,
    /// One probe, with both of its requests.
    pub probe: Duration,
    /// Between two looks at something that is not yet so.
    pub look: Duration,
    /// How often the BMC is looked at before a change that it claims to have
    /// made counts as not made.
    pub looks: u32,
    /// The longest body of a reply, in bytes.
    pub body: usize,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            connect: Duration::from_secs(8),
            request: Duration::from_secs(30),
            inspect: Duration::from_secs(300),
            command: Duration::from_secs(120),
            probe: Duration::from_secs(10),
            look: Duration::from_secs(1),
            looks: 15,
            body: 4 << 20,
        }
    }
}

impl Limits {
    /// The deadline of a command.
    pub(crate) fn of(&self, command: &BmcCommand) -> Duration {
        match command {
            BmcCommand::Inspect => self.inspect,
            _ => self.command,
        }
    }
}
