//! The ladder of recovery: what is tried, in which order, when a step fails. A
//! ladder ends; at its end the machine is quarantined with a reason.

use model::machine::{Machine, Rung, StepKind};

/// The rungs of a step, first to last.
pub const fn rungs(step: StepKind) -> &'static [Rung] {
    use Rung::{Again, First, OtherBoot, PowerCycle, Reconnect, ResetBmc};
    match step {
        StepKind::ReadParts => &[First, Again, Reconnect, ResetBmc],
        StepKind::PointAtImage => &[First, Again, Reconnect, OtherBoot, ResetBmc],
        StepKind::Restart => &[First, Again, PowerCycle, OtherBoot, ResetBmc],
        StepKind::AwaitAgent => &[First, PowerCycle, OtherBoot],
        StepKind::ReportParts
        | StepKind::Attest
        | StepKind::BurnIn
        | StepKind::WriteImage
        | StepKind::BootDisk
        | StepKind::Sanitise => &[First, Again, PowerCycle],
        StepKind::AwaitSystem => &[First, PowerCycle],
    }
}

/// Whether a rung begins the way to our agent anew instead of trying the step
/// again where it stands.
pub const fn detour(step: StepKind, rung: Rung) -> bool {
    match (step, rung) {
        (StepKind::PointAtImage | StepKind::Restart, Rung::OtherBoot) => true,
        // The BMC forgot what it was told: it is pointed at the image again.
        (StepKind::Restart, Rung::ResetBmc) => true,
        (StepKind::AwaitSystem | StepKind::Restart, Rung::PowerCycle) => false,
        (_, Rung::PowerCycle | Rung::OtherBoot) => true,
        _ => false,
    }
}

/// How often one state may be begun anew, whatever the reason.
pub const DETOURS_MAX: u32 = 3;

/// The next rung that makes sense for this machine; `None` at the end of the ladder.
pub fn next(machine: &Machine, step: StepKind, rung: Rung) -> Option<Rung> {
    let rungs = rungs(step);
    let here = rungs.iter().position(|known| *known == rung).unwrap_or(0);
    rungs[here + 1..].iter().copied().find(|candidate| sensible(machine, step, *candidate))
}

fn sensible(machine: &Machine, step: StepKind, rung: Rung) -> bool {
    let status = &machine.status;
    if detour(step, rung) {
        // Steps of the agent begin anew once; the boot itself may take all roads.
        let limit = match step {
            StepKind::PointAtImage | StepKind::Restart => DETOURS_MAX,
            StepKind::AwaitAgent if rung == Rung::OtherBoot => DETOURS_MAX - 1,
            _ => 1,
        };
        if status.detours >= limit {
            return false;
        }
    }
    match rung {
        Rung::OtherBoot => status.abilities.virtual_media || status.abilities.http_boot,
        _ => true,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_ladder_begins_with_the_first_try_and_repeats_no_rung() {
        for step in StepKind::ALL {
            let rungs = rungs(step);
            assert_eq!(rungs[0], Rung::First);
            for (index, rung) in rungs.iter().enumerate() {
                assert!(!rungs[..index].contains(rung), "{step} has {rung:?} twice");
            }
        }
    }
}
