//! A fleet in use: types of instances, hosts that take them, instances and where they are,
//! groups that keep them apart or together, and quotas.
//!
//! An instance is placed by a decision that is recorded in its status; nothing else says
//! where it is.

use std::collections::BTreeMap;
use std::fmt;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::id::{HostId, InstanceId, InstanceTypeId, PlacementGroupId};
use crate::resource::Resource;
use crate::resources::Resources;
use crate::time::Timestamp;

/// What is sold: how much an instance of it takes, and what its host must be.
pub type InstanceType = Resource<InstanceTypeId, InstanceTypeSpec, InstanceTypeStatus>;

/// How much an instance takes.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct InstanceTypeSpec {
    /// What an instance takes of its host.
    pub resources: Resources,
    /// Cores, memory and GPUs come from one memory node (NUMA).
    #[serde(default)]
    pub one_node: bool,
    /// Labels that a host must have.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub host_labels: BTreeMap<String, String>,
    /// Who goes first: an instance may take the room of those with a smaller number.
    #[serde(default)]
    pub priority: u8,
    /// How long instances of it are thought to run.
    #[serde(default)]
    pub lifetime: Lifetime,
}

/// Nothing is known of a type but what was wanted.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct InstanceTypeStatus {}

/// How long an instance is thought to run, in classes some ten times as long each.
#[derive(
    Clone,
    Copy,
    Debug,
    Default,
    PartialEq,
    Eq,
    PartialOrd,
    Ord,
    Hash,
    Serialize,
    Deserialize,
    JsonSchema,
)]
#[serde(rename_all = "kebab-case")]
pub enum Lifetime {
    /// Nobody knows.
    #[default]
    Unknown,
    /// Up to an hour or so.
    Hours,
    /// Up to a day or so.
    Days,
    /// Longer.
    Months,
}

/// What hosts have in common that fails, or is changed, as one.
#[derive(
    Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, JsonSchema,
)]
#[serde(rename_all = "kebab-case")]
pub enum DomainLevel {
    /// The host itself.
    Host,
    /// Hosts in one cabinet.
    Rack,
    /// Hosts behind one switch.
    Switch,
    /// Hosts on one power feed.
    Power,
    /// Hosts that are updated together.
    Wave,
}

impl DomainLevel {
    /// All, from the smallest.
    pub const ALL: [Self; 5] = [Self::Host, Self::Rack, Self::Switch, Self::Power, Self::Wave];

    /// The word for it.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Host => "host",
            Self::Rack => "rack",
            Self::Switch => "switch",
            Self::Power => "power",
            Self::Wave => "wave",
        }
    }
}

impl fmt::Display for DomainLevel {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.name())
    }
}

/// Instances that know of each other.
pub type PlacementGroup = Resource<PlacementGroupId, PlacementGroupSpec, PlacementGroupStatus>;

/// What the members of a group want of each other.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct PlacementGroupSpec {
    /// Whose instances.
    pub project: String,
    /// Apart: each rule holds.
    #[serde(default)]
    pub spread: Vec<SpreadRule>,
    /// Together: all in one domain of this level.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub together: Option<DomainLevel>,
}

/// At most so many of a group in one domain.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct SpreadRule {
    /// Over the domains of which level.
    pub level: DomainLevel,
    /// How many may share one.
    pub most: u32,
}

/// Nothing is known of a group but what was wanted; its members name it.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct PlacementGroupStatus {}

/// A machine that takes instances while it is active. Its id is the machine's.
pub type Host = Resource<HostId, HostSpec, HostStatus>;

/// What of a machine is offered to instances.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct HostSpec {
    /// What each memory node has; by the machine's parts, as one node, when empty.
    #[serde(default)]
    pub nodes: Vec<Resources>,
    /// What the host keeps for itself, from the first node.
    #[serde(default)]
    pub reserve: Resources,
    /// Cores that are given out, in percent of those that there are.
    #[serde(default = "whole", skip_serializing_if = "is_whole")]
    pub cores_percent: u32,
    /// The switch that it hangs on. Hosts that name none count as behind the same.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub switch: Option<String>,
    /// The power feed that it hangs on.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub power: Option<String>,
    /// The wave of updates that it belongs to.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub wave: Option<String>,
}

const fn whole() -> u32 {
    100
}

fn is_whole(percent: &u32) -> bool {
    *percent == whole()
}

/// What was found when it was offered.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct HostStatus {
    /// What instances can take of each memory node.
    pub room: Vec<Resources>,
    /// The machine's rack.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub rack: Option<String>,
}

/// A reason to leave a machine alone, or empty: who gave it, when, why.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Hold {
    /// Who.
    pub by: String,
    /// Since when.
    pub since: Timestamp,
    /// Why, for people.
    pub reason: String,
}

/// Something that runs on a host, or is to.
pub type Instance = Resource<InstanceId, InstanceSpec, InstanceStatus>;

/// What is wanted.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct InstanceSpec {
    /// Whose.
    pub project: String,
    /// Its type by name.
    #[serde(rename = "type")]
    pub kind: String,
    /// The placement group that it belongs to, by name.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub group: Option<String>,
}

/// Where it is.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct InstanceStatus {
    /// Its host; absent while it waits for room.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub host: Option<HostId>,
    /// What it takes from each memory node of the host.
    #[serde(default, skip_serializing_if = "Lies::is_whole")]
    pub lies: Lies,
    /// Since when it is there, or waits.
    pub since: Timestamp,
    /// How often it was moved from one host to another.
    #[serde(default, skip_serializing_if = "is_none")]
    pub moves: u32,
    /// Why it waits, when it does.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub waits: Option<String>,
}

fn is_none(count: &u32) -> bool {
    *count == 0
}

/// What an instance takes from each memory node of its host.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Lies {
    /// The host has one node.
    #[default]
    Whole,
    /// All from one node.
    Node(u8),
    /// From several, first to last.
    Split(Vec<Resources>),
}

impl Lies {
    fn is_whole(&self) -> bool {
        *self == Self::Whole
    }
}

/// Sums that are more than a host has.
#[derive(
    Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, JsonSchema,
)]
pub struct Amounts {
    /// Processor time in thousandths of a core.
    pub millicores: u64,
    /// Memory in binary mebibytes.
    pub memory_mib: u64,
    /// Local disk in binary gibibytes.
    pub disk_gib: u64,
    /// Network bandwidth in megabits a second.
    pub network_mbps: u64,
    /// Whole GPUs.
    pub gpus: u64,
}

impl From<[u64; 5]> for Amounts {
    /// In the order of [`crate::resources::DIMENSIONS`].
    fn from(amounts: [u64; 5]) -> Self {
        let [millicores, memory_mib, disk_gib, network_mbps, gpus] = amounts;
        Self { millicores, memory_mib, disk_gib, network_mbps, gpus }
    }
}

/// What the instances of a project may take together; no limit where nothing is said.
#[derive(
    Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, JsonSchema,
)]
#[serde(deny_unknown_fields)]
pub struct Quota {
    /// Processor time in thousandths of a core.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub millicores: Option<u64>,
    /// Memory in binary mebibytes.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub memory_mib: Option<u64>,
    /// Local disk in binary gibibytes.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub disk_gib: Option<u64>,
    /// Network bandwidth in megabits a second.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub network_mbps: Option<u64>,
    /// Whole GPUs.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub gpus: Option<u64>,
}

impl Quota {
    /// The limits in the order of [`crate::resources::DIMENSIONS`].
    pub const fn limits(&self) -> [Option<u64>; 5] {
        [self.millicores, self.memory_mib, self.disk_gib, self.network_mbps, self.gpus]
    }

    /// Whether nothing is limited.
    pub fn is_none(&self) -> bool {
        *self == Self::default()
    }
}

/// Why an instance is, or is not, somewhere: what removed how many hosts.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct PlacementExplanation {
    /// The type that was asked about.
    #[serde(rename = "type")]
    pub kind: String,
    /// Where the instance is now, by the name of the machine.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub on: Option<String>,
    /// Hosts of the cell.
    pub hosts: u64,
    /// Hosts by the first constraint that they do not meet, in the order of the tests.
    pub removed: Vec<RemovedHosts>,
    /// Hosts that would take one more.
    pub fit: u64,
    /// The most that one open host with the right labels has free of each thing.
    pub most_free: Resources,
    /// Of what the project's quota is used up.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub quota: Option<String>,
    /// What would make it fit, when nothing does.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub remedy: Option<String>,
}

/// Hosts that one constraint removed.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct RemovedHosts {
    /// What they are not, or have not.
    pub why: String,
    /// How many.
    pub hosts: u64,
}

/// How many more of a type fit.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Capacity {
    /// The type.
    #[serde(rename = "type")]
    pub kind: String,
    /// How many more of it the open hosts have room for, groups and quotas aside.
    pub fits: u64,
    /// Of how many hosts.
    pub open_hosts: u64,
}

/// The fleet at a glance.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct FleetStatus {
    /// Machines by the state of their life; states without machines are left out.
    pub machines: BTreeMap<String, u64>,
    /// Machines that are not well.
    pub unhealthy: u64,
    /// Machines that are being emptied.
    pub draining: u64,
    /// Machines that nothing automatic may touch.
    pub locked: u64,
    /// Hosts that were offered.
    pub hosts: u64,
    /// Hosts that take new instances.
    pub open_hosts: u64,
    /// Hosts with instances.
    pub hosts_in_use: u64,
    /// Instances with a host.
    pub placed: u64,
    /// Instances that wait for room.
    pub waiting: u64,
    /// Instances on hosts that take nobody new: they are to leave, or their host is ailing.
    pub to_move: u64,
    /// What all hosts have for instances.
    pub whole: Amounts,
    /// What open hosts have free.
    pub free: Amounts,
    /// How many different states hosts are in: what a decision costs follows it.
    pub states: u64,
}
