//! Numbered places for things in flight: as many as there are, and no more.

use serde::{Deserialize, Serialize};

/// A fixed number of places. A number that was given back is given out next, so that
/// what is touched stays in the processor's cache.
#[derive(Debug, Serialize, Deserialize)]
pub struct Table<T> {
    places: Vec<Option<T>>,
    free: Vec<u16>,
}

impl<T: Copy> Table<T> {
    /// An empty one.
    pub fn new(places: u16) -> Self {
        Self { places: vec![None; usize::from(places)], free: (0..places).rev().collect() }
    }
    /// Whether nothing more fits.
    #[inline]
    pub fn is_full(&self) -> bool {
        self.free.is_empty()
    }
    /// Whether nothing is in it.
    #[inline]
    pub fn is_empty(&self) -> bool {
        self.free.len() == self.places.len()
    }
    /// Puts something in; panics when it is full, which is asked before.
    #[inline]
    pub fn insert(&mut self, what: T) -> u16 {
        let number = self.free.pop().expect("asked whether there is a place");
        self.places[usize::from(number)] = Some(what);
        number
    }
    /// What is at a number. Panics when nothing is: numbers are our own.
    pub fn get(&self, number: u16) -> &T {
        self.places[usize::from(number)].as_ref().expect("something is in flight under the number")
    }
    /// The same, to be changed.
    #[inline]
    pub fn get_mut(&mut self, number: u16) -> &mut T {
        self.places[usize::from(number)].as_mut().expect("something is in flight under the number")
    }
    /// Takes something out.
    #[inline]
    pub fn remove(&mut self, number: u16) -> T {
        let what = self.places[usize::from(number)].take();
        let what = what.expect("something is in flight under the number, and is answered once");
        self.free.push(number);
        what
    }
    /// All that is in it.
    pub fn iter(&self) -> impl Iterator<Item = (u16, &T)> {
        let all = self.places.iter().enumerate();
        all.filter_map(|(number, what)| what.as_ref().map(|what| (number as u16, what)))
    }
}
