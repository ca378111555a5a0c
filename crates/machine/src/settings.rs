//! How long things may take, and what every machine is told: the knobs of a cell.

use model::Duration;
use model::machine::StepKind;

/// The knobs.
#[derive(Clone, Debug)]
pub struct Settings {
    /// How agents and systems reach the control plane: `https://address:port`.
    pub agent_url: String,
    /// Where firmware fetches boot images: `http://address:port`.
    pub boot_url: String,
    /// Where BMCs fetch virtual media: `http://address:port`.
    pub media_url: String,
    /// The CA's certificate (PEM), for systems that call home.
    pub ca_pem: String,
    /// How long the burn-in takes.
    pub burn_in: Duration,
    /// Part of each disk that is read back after sanitising, per million.
    pub sample_ppm: u32,
    /// PCRs of the SHA-256 bank that are quoted.
    pub pcrs: Vec<u8>,
    /// Pause before a second try.
    pub pause: Duration,
    /// Pause after a BMC was restarted.
    pub bmc_reset_pause: Duration,
    /// All deadlines in percent of what the field's hardware needs; more under emulation.
    pub patience_percent: u64,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            agent_url: String::new(),
            boot_url: String::new(),
            media_url: String::new(),
            ca_pem: String::new(),
            burn_in: Duration::from_secs(10),
            sample_ppm: 1_000,
            pcrs: (0..=7).chain(11..=13).collect(),
            pause: Duration::from_secs(2),
            bmc_reset_pause: Duration::from_secs(90),
            patience_percent: 100,
        }
    }
}

impl Settings {
    /// How long one try of a step may go without evidence. For steps that report
    /// progress it counts anew with each report that shows some.
    pub fn patience(&self, step: StepKind) -> Duration {
        let usual = match step {
            StepKind::ReadParts => Duration::from_secs(120),
            StepKind::PointAtImage => Duration::from_secs(60),
            // A large server trains its memory for minutes before its firmware speaks.
            StepKind::Restart => Duration::from_secs(900),
            StepKind::AwaitAgent => Duration::from_secs(300),
            StepKind::ReportParts => Duration::from_secs(120),
            StepKind::Attest => Duration::from_secs(60),
            StepKind::BurnIn => Duration::from_secs(120),
            StepKind::WriteImage => Duration::from_secs(120),
            StepKind::BootDisk => Duration::from_secs(60),
            StepKind::AwaitSystem => Duration::from_secs(1_200),
            StepKind::Sanitise => Duration::from_secs(120),
        };
        usual.percent(self.patience_percent)
    }
}
