//! XTS for every processor, by the crate `aes`.

use aes::Aes256;
use aes::cipher::generic_array::GenericArray;
use aes::cipher::{BlockDecrypt, BlockEncrypt, KeyInit};

use super::crc;
use crate::BLOCK;

/// AES blocks that are in flight.
const BATCH: usize = 16;

/// The two keys.
pub(super) struct Key {
    data: Aes256,
    tweak: Aes256,
}

/// Copies, and goes on with the register of the checksum.
///
/// # Safety
/// A block at `from` can be read and at `to` be written.
pub(super) unsafe fn copy(register: u32, from: *const u8, to: *mut u8) -> u32 {
    // SAFETY: readable by contract.
    let block = unsafe { taken(from) };
    // SAFETY: writable by contract; the array is ours.
    unsafe { std::ptr::copy_nonoverlapping(block.as_ptr(), to, BLOCK) };
    crc::portable(register, &block)
}

/// The bytes of a block, taken once.
///
/// # Safety
/// A block at `from` can be read.
unsafe fn taken(from: *const u8) -> [u8; BLOCK] {
    let mut block = [0; BLOCK];
    // SAFETY: readable by contract; the array is ours.
    unsafe { std::ptr::copy_nonoverlapping(from, block.as_mut_ptr(), BLOCK) };
    // The compiler must not look at the source a second time instead.
    std::hint::black_box(block)
}

impl Key {
    pub fn new(key: &[u8; 64]) -> Self {
        let cipher = |key| Aes256::new(GenericArray::from_slice(key));
        Self { data: cipher(&key[..32]), tweak: cipher(&key[32..]) }
    }

    /// Encrypts a block and goes on with the register of the checksum of what comes out.
    ///
    /// # Safety
    /// A block at `from` can be read and at `to` be written; they are the same or do
    /// not overlap.
    pub unsafe fn encrypt_block<const CHECK: bool>(
        &self,
        unit: u64,
        register: u32,
        from: *const u8,
        to: *mut u8,
    ) -> u32 {
        // SAFETY: readable by contract.
        let mut block = unsafe { taken(from) };
        self.each(unit, &mut block, |batch| self.data.encrypt_blocks(batch));
        // SAFETY: writable by contract; the array is ours.
        unsafe { std::ptr::copy_nonoverlapping(block.as_ptr(), to, BLOCK) };
        if CHECK { crc::portable(register, &block) } else { 0 }
    }

    /// Decrypts a block and goes on with the register of the checksum of what goes in.
    ///
    /// # Safety
    /// As of [`Key::encrypt_block`].
    pub unsafe fn decrypt_block<const CHECK: bool>(
        &self,
        unit: u64,
        register: u32,
        from: *const u8,
        to: *mut u8,
    ) -> u32 {
        // SAFETY: readable by contract.
        let mut block = unsafe { taken(from) };
        let register = if CHECK { crc::portable(register, &block) } else { 0 };
        self.each(unit, &mut block, |batch| self.data.decrypt_blocks(batch));
        // SAFETY: writable by contract; the array is ours.
        unsafe { std::ptr::copy_nonoverlapping(block.as_ptr(), to, BLOCK) };
        register
    }

    /// Does something to all AES blocks, with their tweaks added before and after.
    fn each(&self, unit: u64, block: &mut [u8; BLOCK], run: impl Fn(&mut [aes::Block])) {
        let mut first = GenericArray::from(u128::from(unit).to_le_bytes());
        self.tweak.encrypt_block(&mut first);
        let mut tweak = u128::from_le_bytes(first.into());
        for bytes in block.chunks_exact_mut(16 * BATCH) {
            let mut tweaks = [0; BATCH];
            for each in &mut tweaks {
                *each = tweak;
                tweak = (tweak << 1) ^ (0x87 & (tweak >> 127).wrapping_neg());
            }
            let added = |at: usize, bytes: &[u8]| {
                let value = u128::from_le_bytes(bytes.try_into().expect("sixteen bytes"));
                (value ^ tweaks[at]).to_le_bytes()
            };
            let mut batch = [aes::Block::default(); BATCH];
            for (at, bytes) in bytes.chunks_exact(16).enumerate() {
                batch[at] = added(at, bytes).into();
            }
            run(&mut batch);
            for (at, bytes) in bytes.chunks_exact_mut(16).enumerate() {
                bytes.copy_from_slice(&added(at, &batch[at]));
            }
        }
    }
}
