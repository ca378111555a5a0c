//! Live replacement (being filled).
use std::os::fd::OwnedFd;
use std::sync::Arc;
use crate::engine::*;
use crate::keeper::wire::Message;
use crate::orders::Serving;
#[derive(Default)]
pub(crate) struct Replacing {}
impl Replacing { pub fn ended(&self, _r: Result<(), String>) {} }
pub(crate) enum Outcome { HandedOver, GoesOn }
pub(crate) fn hand_over(_e: &Arc<Engine>, _m: Message, _s: &mut Option<Serving>) -> Outcome { Outcome::GoesOn }
pub(crate) fn take_over(_s: &Settings, _k: crate::keeper::client::Keeper, _g: u64, _p: OwnedFd) -> Result<(Arc<Engine>, Serving), EngineError> { unimplemented!() }
impl Engine { pub(crate) fn replace(self: &Arc<Self>, _p: Option<std::path::PathBuf>) -> Result<model::volume::DiskStatus, model::volume::DiskProblem> { unimplemented!() } }
