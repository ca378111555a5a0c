//! How much more is promised to instances than a host has. What is shared in time, cores and
//! network, can be promised more than once, since few want all of theirs at the same moment.
//! What is held, memory, disk and GPUs, never is: an instance that is given memory which is
//! not there takes others down with it.

use std::collections::BTreeMap;

use model::Resources;

use super::refusal::Refusal;

/// What hosts of one sort offer of what they have.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Overcommit {
    /// Of each hundred millicores, so many are promised: 100 to 1,000.
    pub cores_percent: u32,
    /// Of each hundred megabits a second, so many are promised: 100 to 1,000.
    pub network_percent: u32,
    /// What the host keeps for itself, taken from its first memory node that has it.
    pub kept: Resources,
}

impl Default for Overcommit {
    fn default() -> Self {
        Self { cores_percent: 100, network_percent: 100, kept: Resources::default() }
    }
}

/// Which hosts offer how much.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct OvercommitPolicy {
    /// The first whose label a host has says what it offers.
    pub by_label: Vec<((String, String), Overcommit)>,
    /// What all others offer.
    pub usual: Overcommit,
}

impl OvercommitPolicy {
    /// What holds for a host with such labels.
    pub fn of(&self, labels: &BTreeMap<String, String>) -> &Overcommit {
        let has =
            |((key, value), _): &&((String, String), Overcommit)| labels.get(key) == Some(value);
        self.by_label.iter().find(has).map_or(&self.usual, |(_, overcommit)| overcommit)
    }
}

impl Overcommit {
    /// What a host with such memory nodes offers to instances: the nodes of a
    /// [`super::HostSpec`]. Refused when no node has what the host keeps, or when a promise is
    /// out of bounds.
    pub fn offered(&self, nodes: &[Resources]) -> Result<Vec<Resources>, Refusal> {
        let bounds = 100..=1_000;
        if !bounds.contains(&self.cores_percent) || !bounds.contains(&self.network_percent) {
            return Err(Refusal::Strange);
        }
        let mut offered = nodes.to_vec();
        if !self.kept.is_none() {
            let rest = |node: &Resources| node.minus(&self.kept);
            let (at, rest) = (0..)
                .zip(nodes)
                .find_map(|(at, node)| Some((at, rest(node)?)))
                .ok_or(Refusal::Strange)?;
            let at: usize = at;
            offered[at] = rest;
        }
        for node in &mut offered {
            node.millicores = promised(node.millicores, self.cores_percent)?;
            node.network_mbps = promised(node.network_mbps, self.network_percent)?;
        }
        Ok(offered)
    }
}

fn promised(amount: u32, percent: u32) -> Result<u32, Refusal> {
    let promised = u64::from(amount) * u64::from(percent) / 100;
    u32::try_from(promised).map_err(|_| Refusal::Strange)
}

#[cfg(test)]
mod tests {
    use super::*;

    const NODE: Resources = Resources::of([8_000, 32_768, 100, 10_000, 1]);

    #[test]
    fn only_what_is_shared_in_time_is_promised_twice() {
        let kept = Resources { millicores: 1_000, memory_mib: 2_048, ..Resources::default() };
        let policy = Overcommit { cores_percent: 200, network_percent: 150, kept };
        let offered = policy.offered(&[NODE, NODE]).expect("it has what it keeps");
        assert_eq!(offered[0], Resources::of([14_000, 30_720, 100, 15_000, 1]));
        assert_eq!(offered[1], Resources::of([16_000, 32_768, 100, 15_000, 1]));
    }

    #[test]
    fn what_is_out_of_bounds_is_refused() {
        let strange = |policy: Overcommit| policy.offered(&[NODE]) == Err(Refusal::Strange);
        assert!(strange(Overcommit { cores_percent: 99, ..Overcommit::default() }));
        assert!(strange(Overcommit { network_percent: 1_001, ..Overcommit::default() }));
        let kept = Resources { gpus: 2, ..Resources::default() };
        assert!(strange(Overcommit { kept, ..Overcommit::default() }));
        assert_eq!(Overcommit::default().offered(&[NODE]), Ok(vec![NODE]));
    }

    #[test]
    fn a_label_says_which_policy_holds() {
        let dense = Overcommit { cores_percent: 300, ..Overcommit::default() };
        let label = ("class".to_owned(), "burstable".to_owned());
        let policy = OvercommitPolicy {
            by_label: vec![(label.clone(), dense)],
            usual: Overcommit::default(),
        };
        assert_eq!(policy.of(&BTreeMap::from([label])), &dense);
        assert_eq!(policy.of(&BTreeMap::new()), &Overcommit::default());
    }
}
