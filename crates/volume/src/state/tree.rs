//! What is known of a volume or snapshot in memory only.

use std::collections::VecDeque;

use super::leaves_of;
use crate::directory::Entry;
use crate::frames::Frame;
use crate::units::{Epoch, ExtentIndex, Origin, VolumeNumber};

/// The frame of a leaf page, and whether the volume may change the page.
///
/// The highest bit says that it may: that the page is not a snapshot's too.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Link(u32);

const OWN: u32 = 1 << 31;

impl Link {
    /// A page that may be shared.
    pub fn shared(frame: Frame) -> Self {
        assert!(frame.0 & OWN == 0, "frames are counted in 31 bits");
        Link(frame.0)
    }
    /// A page of the volume's own.
    pub fn own(frame: Frame) -> Self {
        Link(Self::shared(frame).0 | OWN)
    }
    /// The frame. None when the page is not known to be in memory.
    #[inline]
    pub fn frame(self) -> Frame {
        Frame(self.0 & !OWN)
    }
    /// Whether the volume may change it.
    #[inline]
    pub fn is_own(self) -> bool {
        self.0 & OWN != 0
    }
}

/// A volume or snapshot.
#[derive(Debug)]
pub struct Tree {
    /// Its number.
    pub number: VolumeNumber,
    /// Its size in blocks.
    pub blocks: u32,
    /// Blocks that hold something.
    pub mapped: u32,
    /// Who owns what it writes. Nobody: it cannot be written.
    pub origin: Origin,
    /// What was born up to then may be a snapshot's too.
    pub shared_up_to: Epoch,
    /// While its last snapshot goes away: leaf pages below the first are done, and for
    /// those the second holds.
    pub passed: Option<(u32, Epoch)>,
    /// It goes away.
    pub leaving: bool,
    /// The frames of its leaf pages, as far as they were used. Empty before the first use.
    pub links: Vec<Link>,
    /// The extent that data goes to.
    pub data: Option<ExtentIndex>,
    /// The extent that pages go to.
    pub pages: Option<ExtentIndex>,
    /// Extents of its own with blocks that were freed.
    pub holes: VecDeque<ExtentIndex>,
    /// How many places had become usable when the table was last looked through for them.
    pub looked_at: u64,
    /// The list of holes is not complete: the table has to be looked through.
    pub holes_unknown: bool,
    /// Blocks that were given out and are neither mapped nor given back.
    pub unmapped: u32,
}

impl Tree {
    /// Of an entry.
    pub fn of(entry: &Entry) -> Self {
        Self {
            number: entry.number,
            blocks: entry.blocks,
            mapped: entry.mapped,
            origin: entry.origin(),
            shared_up_to: Epoch(0),
            passed: None,
            leaving: entry.leaving.is_some(),
            links: Vec::new(),
            data: None,
            pages: None,
            holes: VecDeque::new(),
            looked_at: 0,
            holes_unknown: true,
            unmapped: 0,
        }
    }
    /// What may be a snapshot's too, for a leaf page.
    #[inline]
    pub fn guard(&self, leaf: u32) -> Epoch {
        match self.passed {
            Some((passed, lower)) if leaf < passed => lower,
            _ => self.shared_up_to,
        }
    }
    /// The link of a leaf page.
    #[inline]
    pub fn link(&self, leaf: u32) -> Link {
        self.links.get(leaf as usize).copied().unwrap_or_default()
    }
    /// Notes the link of a leaf page.
    pub fn set_link(&mut self, leaf: u32, link: Link) {
        if self.links.is_empty() {
            self.links.resize(leaves_of(self.blocks) as usize, Link::default());
        }
        self.links[leaf as usize] = link;
    }
    /// No page is the volume's own for sure any more.
    pub fn share(&mut self) {
        for link in &mut self.links {
            *link = Link::shared(link.frame());
        }
        (self.data, self.pages) = (None, None);
        self.holes.clear();
    }
    /// It became larger.
    pub fn grow(&mut self, blocks: u32) {
        self.blocks = blocks;
        if !self.links.is_empty() {
            self.links.resize(leaves_of(blocks) as usize, Link::default());
        }
    }
    /// A page is given up.
    pub fn unlink(&mut self, leaf: u32, frame: Frame) {
        if let Some(link) = self.links.get_mut(leaf as usize).filter(|link| link.frame() == frame) {
            *link = Link::default();
        }
    }
    /// Whether an extent is being filled.
    pub fn fills(&self, extent: ExtentIndex) -> bool {
        self.data == Some(extent) || self.pages == Some(extent)
    }
}
