//! Entries of maps, which other processors and user space change meanwhile.
//!
//! There are two safe ways to read one: as a copy of the whole, or as a word that others add to.
//! Modules that write to the fields of an entry do it themselves, and say why they may.

use aya_ebpf::maps::{Array, HashMap, LruHashMap};

/// Maps whose entries are read whole.
pub(crate) trait Entries<K, V> {
    /// A copy of an entry, `None` where there is none.
    ///
    /// The kernel may use an entry's memory for another one at any time. Whether that
    /// matters, the caller must tell by what is in the copy.
    fn copy(&self, key: K) -> Option<V>;
}

impl<K, V: Copy> Entries<K, V> for HashMap<K, V> {
    #[inline(always)]
    fn copy(&self, key: K) -> Option<V> {
        // SAFETY: the memory of a map's entries stays as long as a program runs, and ours
        // hold plain numbers, of which any bytes are some.
        self.get_ptr(key).map(|entry| unsafe { *entry })
    }
}

impl<K, V: Copy> Entries<K, V> for LruHashMap<K, V> {
    #[inline(always)]
    fn copy(&self, key: K) -> Option<V> {
        // SAFETY: as for `HashMap`.
        self.get_ptr(key).map(|entry| unsafe { *entry })
    }
}

/// A word in a map's entry, which others read and add to meanwhile.
#[derive(Clone, Copy)]
pub(crate) struct Word(*mut u64);

impl Word {
    /// A word at a place.
    ///
    /// # Safety
    /// It is an aligned word in an entry of a map.
    #[inline(always)]
    pub(crate) unsafe fn new(place: *mut u64) -> Word {
        Word(place)
    }

    /// What is there now.
    #[inline(always)]
    pub(crate) fn get(self) -> u64 {
        // SAFETY: an aligned word of a map's entry, read in one access.
        unsafe { core::ptr::read_volatile(self.0) }
    }

    /// Replaces what is there.
    #[inline(always)]
    pub(crate) fn set(self, value: u64) {
        // SAFETY: an aligned word of a map's entry, written in one access.
        unsafe { core::ptr::write_volatile(self.0, value) }
    }

    /// Adds to what is there. (The library's atomics are not there for this target.)
    #[inline(always)]
    pub(crate) fn add(self, amount: u64) {
        // SAFETY: an aligned word of a map's entry; the instruction writes nothing else.
        unsafe {
            core::arch::asm!("lock *(u64 *)({0} + 0) += {1}", in(reg) self.0, in(reg) amount, options(nostack));
        }
    }
}

/// Maps whose entries are single words.
pub(crate) trait Words<K> {
    /// The word of an entry, `None` where there is none.
    fn word(&self, key: K) -> Option<Word>;
}

impl<K> Words<K> for HashMap<K, u64> {
    #[inline(always)]
    fn word(&self, key: K) -> Option<Word> {
        self.get_ptr_mut(key).map(Word)
    }
}

impl Words<u32> for Array<u64> {
    #[inline(always)]
    fn word(&self, key: u32) -> Option<Word> {
        self.get_ptr_mut(key).map(Word)
    }
}
