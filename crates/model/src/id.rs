//! Typed ids: every noun has its own, so that a machine can never be taken for
//! an image. On the wire an id is a UUIDv7 (RFC 9562) in its usual text form.

use std::cmp::Ordering;
use std::fmt;
use std::hash::{Hash, Hasher};
use std::marker::PhantomData;
use std::str::FromStr;

use schemars::{JsonSchema, Schema, SchemaGenerator};
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use uuid::Uuid;

use crate::time::Timestamp;

/// What an id belongs to. Implemented by the empty types of this module.
pub trait Noun: 'static {
    /// The noun in the singular, as the API and the record write it.
    const NAME: &'static str;
}

/// An id of one noun.
pub struct Id<N>(Uuid, PhantomData<fn() -> N>);

impl<N> Id<N> {
    /// Takes an existing UUID as the id of this noun.
    pub const fn from_uuid(uuid: Uuid) -> Self {
        Self(uuid, PhantomData)
    }

    /// A UUIDv7 made of a time and ten random bytes: sorts by time of making.
    pub fn new(now: Timestamp, random: [u8; 10]) -> Self {
        let millis = u64::try_from(now.micros() / 1000).unwrap_or(0);
        Self::from_uuid(uuid::Builder::from_unix_timestamp_millis(millis, &random).into_uuid())
    }

    /// The bare UUID.
    pub const fn uuid(self) -> Uuid {
        self.0
    }

    /// The last eight hexadecimal digits: enough for a person to tell two apart.
    pub fn short(self) -> String {
        let text = self.0.simple().to_string();
        text[24..].to_owned()
    }
}

// Derives would ask the same of `N`, which is only a name.
impl<N> Clone for Id<N> {
    fn clone(&self) -> Self {
        *self
    }
}
impl<N> Copy for Id<N> {}
impl<N> PartialEq for Id<N> {
    fn eq(&self, other: &Self) -> bool {
        self.0 == other.0
    }
}
impl<N> Eq for Id<N> {}
impl<N> PartialOrd for Id<N> {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}
impl<N> Ord for Id<N> {
    fn cmp(&self, other: &Self) -> Ordering {
        self.0.cmp(&other.0)
    }
}
impl<N> Hash for Id<N> {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.0.hash(state);
    }
}
impl<N> fmt::Display for Id<N> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}
impl<N: Noun> fmt::Debug for Id<N> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}", N::NAME, self.0)
    }
}
impl<N> FromStr for Id<N> {
    type Err = uuid::Error;
    fn from_str(text: &str) -> Result<Self, Self::Err> {
        Uuid::parse_str(text).map(Self::from_uuid)
    }
}
impl<N> Serialize for Id<N> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        self.0.serialize(serializer)
    }
}
impl<'de, N> Deserialize<'de> for Id<N> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        Uuid::deserialize(deserializer).map(Self::from_uuid)
    }
}
impl<N: Noun> JsonSchema for Id<N> {
    fn inline_schema() -> bool {
        true
    }
    fn schema_name() -> std::borrow::Cow<'static, str> {
        format!("{}Id", N::NAME).into()
    }
    fn json_schema(generator: &mut SchemaGenerator) -> Schema {
        Uuid::json_schema(generator)
    }
}

macro_rules! nouns {
    ($($noun:ident, $id:ident, $name:literal;)*) => {$(
        #[doc = concat!("Marks ids of a ", $name, ".")]
        pub enum $noun {}
        impl Noun for $noun {
            const NAME: &'static str = $name;
        }
        #[doc = concat!("The id of a ", $name, ".")]
        pub type $id = Id<$noun>;
    )*};
}

nouns! {
    MachineNoun, MachineId, "machine";
    ImageNoun, ImageId, "image";
    ProjectNoun, ProjectId, "project";
    OperationNoun, OperationId, "operation";
    PolicyNoun, PolicyId, "attestation-policy";
    TokenNoun, TokenId, "token";
    EffectNoun, EffectId, "effect";
    RequestNoun, RequestId, "request";
    SessionNoun, SessionId, "agent-session";
    JudgementNoun, JudgementId, "judgement";
    HostNoun, HostId, "host";
    InstanceTypeNoun, InstanceTypeId, "instance-type";
    InstanceNoun, InstanceId, "instance";
    PlacementGroupNoun, PlacementGroupId, "placement-group";
}
