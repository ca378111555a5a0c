//! Which repairs make sense for a symptom, and how likely each was thought to work before any
//! of them was tried here. The numbers are what the makers' own guides say first, second and
//! last (for GPUs: reset the device, restart the machine, then exchange it), written as a few
//! imagined tries; a dozen real ones outweigh them.

use super::action::Action;
use super::symptom::Symptom;

/// A repair with what is thought of it beforehand: so many tries that worked, and did not.
pub type Rung = (Action, u32, u32);

/// The repairs of a symptom, the gentlest first. A person stands at the end of each and is
/// not listed.
pub const fn rungs(symptom: Symptom) -> &'static [Rung] {
    use Action::{
        BurnIn, PowerCycle, ProbeAgain, Reflash, Reinstall, ResetDevice, RestartAgent, SetAside,
    };
    match symptom {
        Symptom::Dead | Symptom::Stalled => {
            &[(PowerCycle, 4, 2), (Reinstall, 1, 3), (Reflash, 1, 4)]
        }
        Symptom::Unreachable => &[(ProbeAgain, 2, 2), (PowerCycle, 2, 2)],
        Symptom::Isolated => &[(ProbeAgain, 2, 2), (ResetDevice, 2, 3), (PowerCycle, 1, 2)],
        Symptom::AgentSilent => &[(RestartAgent, 5, 1), (PowerCycle, 3, 1), (Reinstall, 2, 1)],
        Symptom::Bmc => &[(ResetDevice, 4, 1)],
        Symptom::Slow => {
            &[(ProbeAgain, 1, 2), (PowerCycle, 2, 3), (Reinstall, 1, 3), (BurnIn, 1, 3)]
        }
        Symptom::GpuLost => &[(ResetDevice, 2, 2), (PowerCycle, 2, 2), (SetAside, 5, 1)],
        Symptom::GpuMemory => &[(ResetDevice, 4, 2), (PowerCycle, 1, 2), (SetAside, 5, 1)],
        Symptom::GpuStuck => {
            &[(ResetDevice, 2, 2), (PowerCycle, 3, 1), (Reflash, 1, 2), (SetAside, 5, 1)]
        }
        Symptom::Link => &[(ProbeAgain, 2, 2), (ResetDevice, 2, 2), (SetAside, 2, 1)],
        Symptom::Nic => &[(ResetDevice, 3, 2), (PowerCycle, 2, 2), (Reflash, 1, 3)],
        Symptom::Disk => &[(ResetDevice, 1, 3), (SetAside, 6, 1)],
        Symptom::Memory => &[(PowerCycle, 2, 2), (BurnIn, 1, 3)],
        Symptom::Heat => &[(ProbeAgain, 1, 2), (PowerCycle, 1, 3)],
        Symptom::WrongResults => &[(BurnIn, 1, 3)],
        Symptom::Complaints => &[(ProbeAgain, 3, 1), (PowerCycle, 1, 1), (BurnIn, 1, 3)],
        Symptom::RackDark
        | Symptom::RackCutOff
        | Symptom::RackSilent
        | Symptom::RackTroubled
        | Symptom::AreaSilent
        | Symptom::FleetSilent => &[],
    }
}

/// What a fixed ladder tries, whatever the symptom. Agents and controllers are restarted: no
/// team power-cycles a machine for those.
pub const fn fixed(symptom: Symptom) -> &'static [Rung] {
    match symptom {
        Symptom::AgentSilent | Symptom::Bmc => rungs(symptom),
        _ => &[(Action::PowerCycle, 1, 1), (Action::Reinstall, 1, 1)],
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ladders_repeat_nothing_and_hide_no_person() {
        for symptom in Symptom::ALL {
            for ladder in [rungs(*symptom), fixed(*symptom)] {
                for (index, (action, worked, failed)) in ladder.iter().enumerate() {
                    assert!(!action.prepares() && *action != Action::Person, "{symptom}");
                    assert!(worked + failed > 0);
                    assert!(ladder[..index].iter().all(|(other, _, _)| other != action));
                }
            }
        }
    }

    #[test]
    fn symptoms_have_one_word_each() {
        for symptom in Symptom::ALL {
            assert_eq!(symptom.name().parse(), Ok(*symptom));
        }
        assert_eq!("tired".parse::<Symptom>(), Err(()));
    }
}
