//! Null volumes: every request is answered at once. What is measured with one is what
//! everything around the medium costs.

use crate::request::Tag;
use crate::units::Nanos;

use super::Lane;
use super::port::{Port, VolumeHandle};
use crate::request::Kind;

impl Lane {
    /// Answers at once.
    #[inline]
    pub(super) fn answer_now<P: Port>(
        &mut self,
        handle: VolumeHandle,
        tag: Tag,
        kind: Kind,
        bytes: u64,
        now: Nanos,
        port: &mut P,
    ) {
        let volume = self.volumes[usize::from(handle.0)].as_mut().expect("it is open");
        if volume.statistics.at_once(kind, bytes, now) {
            self.unsettled.push(handle);
        }
        port.reply(tag, Ok(()));
    }
}
