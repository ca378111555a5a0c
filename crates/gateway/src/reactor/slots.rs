//! Where connections are kept: places with generations, so that what comes late for one
//! that is gone finds nobody.

/// A connection's place, and which of those that were there it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Token(pub u64);

impl Token {
    fn new(slot: usize, generation: u32) -> Self {
        Self((u64::from(generation) << 32) | slot as u64)
    }
    fn slot(self) -> usize {
        (self.0 & u64::from(u32::MAX)) as usize
    }
    fn generation(self) -> u32 {
        (self.0 >> 32) as u32
    }
}

#[derive(Debug)]
struct Slot<T> {
    generation: u32,
    thing: Option<Box<T>>,
}

/// The places.
#[derive(Debug)]
pub struct Slots<T> {
    slots: Vec<Slot<T>>,
    free: Vec<usize>,
    taken: usize,
}

impl<T> Default for Slots<T> {
    fn default() -> Self {
        Self { slots: Vec::new(), free: Vec::new(), taken: 0 }
    }
}

impl<T> Slots<T> {
    /// Takes a place for a thing that is made with its token.
    pub fn insert(&mut self, thing: Box<T>) -> Token {
        let slot = self.free.pop().unwrap_or_else(|| {
            self.slots.push(Slot { generation: 0, thing: None });
            self.slots.len() - 1
        });
        let place = &mut self.slots[slot];
        place.thing = Some(thing);
        self.taken += 1;
        Token::new(slot, place.generation)
    }

    /// The thing, when it is still there.
    pub fn get(&mut self, token: Token) -> Option<&mut T> {
        let slot = self.slots.get_mut(token.slot())?;
        if slot.generation == token.generation() { slot.thing.as_deref_mut() } else { None }
    }

    /// Takes it out for a while; its place stays its own.
    pub fn lend(&mut self, token: Token) -> Option<Box<T>> {
        let slot = self.slots.get_mut(token.slot())?;
        if slot.generation == token.generation() { slot.thing.take() } else { None }
    }

    /// Puts what was lent back.
    pub fn give_back(&mut self, token: Token, thing: Box<T>) {
        self.slots[token.slot()].thing = Some(thing);
    }

    /// Frees the place of what was lent.
    pub fn free(&mut self, token: Token) {
        let slot = &mut self.slots[token.slot()];
        assert!(slot.generation == token.generation(), "a place is freed once");
        slot.generation = slot.generation.wrapping_add(1) & 0x7fff_ffff;
        slot.thing = None;
        self.taken -= 1;
        self.free.push(token.slot());
    }

    /// All of them.
    pub fn each(&mut self) -> impl Iterator<Item = (Token, &mut T)> {
        self.slots.iter_mut().enumerate().filter_map(|(number, slot)| {
            let token = Token::new(number, slot.generation);
            Some((token, slot.thing.as_deref_mut()?))
        })
    }

    /// There are none.
    pub fn is_empty(&self) -> bool {
        self.taken == 0
    }

    /// How many there are.
    pub fn len(&self) -> usize {
        self.taken
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_comes_late_finds_nobody() {
        let mut slots = Slots::default();
        let one = slots.insert(Box::new(1));
        let lent = slots.lend(one).expect("there");
        assert!(slots.get(one).is_none() && slots.len() == 1);
        slots.give_back(one, lent);
        assert_eq!(slots.get(one), Some(&mut 1));
        slots.lend(one).expect("there");
        slots.free(one);
        let two = slots.insert(Box::new(2));
        assert!(slots.get(one).is_none() && slots.lend(one).is_none());
        assert_eq!(slots.get(two), Some(&mut 2));
        assert_eq!(slots.len(), 1);
        assert_eq!(slots.each().count(), 1);
    }
}
