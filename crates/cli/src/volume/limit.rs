//! `bedplate volume limit`: what a volume may use, from now on.

use clap::{ArgGroup, Args};
use model::volume::{DiskOrder, Limits, Volume};

use super::limits::{Wanted, check};
use super::{service, words};
use crate::Failure;
use crate::session::Session;

/// Which, and what of.
#[derive(Args, Debug)]
#[command(
    group = ArgGroup::new("change").multiple(true).required(true).args([
        "iops", "bandwidth", "burst_iops", "burst_bandwidth", "burst_seconds",
        "no_iops", "no_bandwidth", "no_burst", "none",
    ]),
    after_help = "What is not named stays as it is. Clients notice nothing but the pace.\n\nExamples:\n  bedplate volume limit data --iops 5000 --bandwidth 200M\n  bedplate volume limit data --burst-iops 20000 --burst-seconds 300\n  bedplate volume limit data --no-bandwidth\n  bedplate volume limit data --none"
)]
pub struct Arguments {
    /// Which volume
    volume: String,
    #[command(flatten)]
    wanted: Wanted,
    /// Lift the limit of requests, and their burst
    #[arg(long, conflicts_with_all = ["iops", "burst_iops"])]
    no_iops: bool,
    /// Lift the limit of bytes, and their burst
    #[arg(long, conflicts_with_all = ["bandwidth", "burst_bandwidth"])]
    no_bandwidth: bool,
    /// No bursts
    #[arg(long, conflicts_with_all = ["burst_iops", "burst_bandwidth", "burst_seconds"])]
    no_burst: bool,
    /// Lift all limits
    #[arg(long, conflicts_with_all = ["iops", "bandwidth", "burst_iops", "burst_bandwidth", "burst_seconds"])]
    none: bool,
}

/// Changes them.
pub async fn run(session: &Session, arguments: Arguments) -> Result<(), Failure> {
    let volume = arguments.volume.clone();
    let shown = DiskOrder::VolumeShow { volume: volume.clone() };
    let now: Volume = service::order(session, shown).await?;
    let limits = check(arguments.over(now.limits))?;
    let asked = DiskOrder::VolumeLimit { volume, limits };
    let limited: Volume = service::order(session, asked).await?;
    session.show(&limited, |limited| match words::limits(&limited.limits) {
        none if none.is_empty() => format!("volume {} is not limited\n", limited.name),
        limits => format!("volume {} may use {limits}\n", limited.name),
    })
}

impl Arguments {
    fn over(&self, now: Limits) -> Limits {
        if self.none {
            return Limits::NONE;
        }
        let mut limits = self.wanted.over(now);
        if self.no_iops {
            (limits.iops, limits.burst_iops) = (None, None);
        }
        if self.no_bandwidth {
            (limits.bandwidth, limits.burst_bandwidth) = (None, None);
        }
        if self.no_burst {
            (limits.burst_iops, limits.burst_bandwidth) = (None, None);
        }
        // A time for bursts means nothing without one.
        if self.lifts() && limits.burst_iops.is_none() && limits.burst_bandwidth.is_none() {
            limits.burst_seconds = None;
        }
        limits
    }

    fn lifts(&self) -> bool {
        self.no_iops || self.no_bandwidth || self.no_burst
    }
}
