//! The part of the user's stack that is at hand: one read of 2 KiB costs little
//! more than one of 8 bytes, and most walks need no second.

use crate::{
    memory::{Unreadable, copy_from_user, user},
    verifier::opaque,
};

const WORDS: usize = 256;

#[repr(C)]
pub(super) struct Window {
    /// Address of the first word.
    base: u64,
    /// Bytes from `base` at which a pair of words begins that is at hand.
    length: u64,
    words: [u64; WORDS],
}

impl Window {
    pub(super) const BYTES: u64 = WORDS as u64 * 8;

    pub(super) fn clear(&mut self) {
        self.length = 0;
    }

    /// Moves the window to an address and reads a number of bytes there. Whether they fit and
    /// could be read.
    #[inline(always)]
    pub(super) fn open(&mut self, address: u64, bytes: u64) -> bool {
        let bytes = opaque(bytes);
        if bytes > Self::BYTES {
            return false;
        }
        self.base = address;
        if self
            .read(bytes as u32 & (2 * Self::BYTES as u32 - 1))
            .is_err()
        {
            return false;
        }
        self.length = bytes.saturating_sub(8);
        true
    }

    /// A word of an open window, by its bytes from there on; those below 8 are ignored.
    #[inline(always)]
    pub(super) fn at(&self, bytes: u64) -> u64 {
        let bytes = bytes & (Self::BYTES - 8);
        // SAFETY: within `words`, and aligned.
        unsafe { *self.words.as_ptr().byte_add(bytes as usize) }
    }

    /// The two words at an address; moves the window there if need be.
    #[inline(always)]
    pub(super) fn pair(&mut self, address: u64) -> Result<[u64; 2], Unreadable> {
        let mut offset = address.wrapping_sub(self.base);
        if offset >= self.length {
            self.base = address;
            self.length = Self::BYTES - 8;
            if self.read(Self::BYTES as u32).is_err() {
                // Near the stack's upper end.
                self.length = 8;
                if let Err(error) = self.read(16) {
                    self.length = 0;
                    return Err(error);
                }
            }
            offset = 0;
        }
        let index = opaque(offset >> 3);
        Ok([
            self.words[(index & (WORDS as u64 - 1)) as usize],
            self.words[((index + 1) & (WORDS as u64 - 1)) as usize],
        ])
    }

    /// The word at an address, without moving the window; zero where it cannot
    /// be read.
    #[inline(always)]
    pub(super) fn word(&self, address: u64) -> u64 {
        let offset = address.wrapping_sub(self.base);
        if offset < self.length {
            self.words[(opaque(offset >> 3) & (WORDS as u64 - 1)) as usize]
        } else {
            user(address).unwrap_or(0)
        }
    }

    #[inline(always)]
    fn read(&mut self, bytes: u32) -> Result<(), Unreadable> {
        // SAFETY: at most the size of `words`.
        unsafe { copy_from_user(self.words.as_mut_ptr(), bytes, self.base) }
    }
}
