//! The options that limit a volume, as `create`, `clone` and `limit` take them.

use clap::Args;
use model::Bytes;
use model::volume::Limits;

use crate::Failure;

/// What a volume may use.
#[derive(Args, Clone, Debug, Default)]
pub struct Wanted {
    /// Requests a second
    #[arg(long, value_name = "N")]
    iops: Option<u64>,
    /// Bytes a second, read and written together: 200M
    #[arg(long, value_name = "SIZE")]
    bandwidth: Option<Bytes>,
    /// Requests a second while there is credit from quieter times
    #[arg(long, value_name = "N")]
    burst_iops: Option<u64>,
    /// Bytes a second while there is credit
    #[arg(long, value_name = "SIZE")]
    burst_bandwidth: Option<Bytes>,
    /// For how long credit can be saved [default: 60, where there is a burst]
    #[arg(long, value_name = "SECONDS")]
    burst_seconds: Option<u32>,
}

impl Wanted {
    /// Limits with what is wanted in place of what they say of it.
    pub fn over(&self, limits: Limits) -> Limits {
        let rate = |bytes: Option<Bytes>| bytes.map(|bytes| bytes.0);
        Limits {
            iops: self.iops.or(limits.iops),
            bandwidth: rate(self.bandwidth).or(limits.bandwidth),
            burst_iops: self.burst_iops.or(limits.burst_iops),
            burst_bandwidth: rate(self.burst_bandwidth).or(limits.burst_bandwidth),
            burst_seconds: self.burst_seconds.or(limits.burst_seconds),
        }
    }

    /// The limits of a new volume.
    ///
    /// # Errors
    /// Limits that cannot be kept.
    pub fn limits(&self) -> Result<Limits, Failure> {
        check(self.over(Limits::NONE))
    }
}

/// Limits that can be kept.
///
/// # Errors
/// Those that cannot, with the reason.
pub fn check(limits: Limits) -> Result<Limits, Failure> {
    let refused = |why: model::volume::LimitsError| {
        Failure::usage("These limits cannot be kept").why(why.to_string())
    };
    limits.check().map(|()| limits).map_err(refused)
}
