//! The rule that holds at an address: remembered per processor, or searched in the tables of its
//! file, in a fixed number of steps without branches, which the verifier walks once.

use aya_ebpf::{macros::map, maps::PerCpuArray};
use leak_common::{
    ProcessId,
    limits::REMEMBERED_RULES,
    unwind::{CHUNK_PAGES, CHUNK_ROWS, MAX_RULES, PAGE_BITS, PAGE_BYTES, Rule, SEARCH_STEPS, cfa},
    wire::StackEnd,
};

use super::{
    SLOTS, Scratch, StackScratch,
    code::{self, BARE, UNMAPPED},
    mapping::{ByLock, ByTree, Mappings},
    walk::Walk,
};
use crate::{
    maps::{DIRECTORY, ROWS, RULES},
    verifier::{fresh, global, mask_less, opaque, put},
};

/// A rule as two words.
pub(super) type Words = [u64; 2];

/// Rules by address, of one processor.
#[repr(C)]
pub(super) struct Remembered {
    rules: [Entry; REMEMBERED_RULES],
}

#[repr(C)]
struct Entry {
    /// Address and space, mixed.
    key: u64,
    rule: Words,
}

/// Rules that a processor remembers; slots as in `SCRATCH`.
#[map]
static REMEMBERED: PerCpuArray<Remembered> = PerCpuArray::with_max_entries(SLOTS, 0);

impl Remembered {
    /// What this processor remembers for a slot.
    #[inline(always)]
    pub(super) fn of(slot: u64) -> Option<&'static mut Remembered> {
        let remembered = REMEMBERED.get_ptr_mut(slot as u32)?;
        // SAFETY: this processor's entry, of plain numbers. One loaded program uses the slot,
        // and the kernel does not run a program that runs on the processor already.
        Some(unsafe { &mut *remembered })
    }
}

/// A way to look rules up that the verifier walks by itself.
pub(crate) trait LooksUp: Mappings {
    /// Finds the rule of an address that is not remembered, for the walk in a slot of the
    /// scratch. Returns 0, or the [`StackEnd`] that there is instead.
    fn rule(slot: u64, process: u64, address: u64) -> u64;
}

global! {
    fn rule_by_lock(slot, process, address) = look_up::<ByLock>;
    fn rule_by_tree(slot, process, address) = look_up::<ByTree>;
}

impl LooksUp for ByLock {
    #[inline(always)]
    fn rule(slot: u64, process: u64, address: u64) -> u64 {
        rule_by_lock(slot, process, address)
    }
}

impl LooksUp for ByTree {
    #[inline(always)]
    fn rule(slot: u64, process: u64, address: u64) -> u64 {
        rule_by_tree(slot, process, address)
    }
}

const CHECKED: Words = [cfa::CHECKED as u64, 0];

/// Where a processor would remember the rule of an address, and the key.
#[inline(always)]
fn place<'a>(walk: &Walk, remembered: &'a mut Remembered, address: u64) -> (&'a mut Entry, u64) {
    let spread = address.wrapping_mul(0x9e37_79b9_7f4a_7c15);
    let index = opaque(spread >> 40) & (REMEMBERED_RULES as u64 - 1);
    (&mut remembered.rules[index as usize], spread ^ walk.space)
}

/// Puts the rule for the code at an address into the walk. Returns 0, or the
/// [`StackEnd`] that there is instead.
#[inline(always)]
pub(super) fn find<M: LooksUp>(
    walk: &mut Walk,
    remembered: &mut Remembered,
    slot: u64,
    process: u64,
    address: u64,
) -> u64 {
    let (entry, key) = place(walk, remembered, address);
    if entry.key == key {
        set(&mut walk.rule, entry.rule[0], entry.rule[1]);
        return 0;
    }
    M::rule(slot, process, address)
}

/// The same for an address that is not remembered.
#[inline(always)]
fn look_up<M: Mappings>(slot: u64, process: u64, address: u64) -> u64 {
    let (Some(scratch), Some(remembered)) = (Scratch::of(slot), Remembered::of(slot)) else {
        return StackEnd::NotTaken as u64;
    };
    let StackScratch { walk, mapping, .. } = &mut scratch.walk;
    let found = code::directory::<M>(walk, mapping, ProcessId(process), address);
    let rule = match found {
        Ok(BARE) => CHECKED,
        Ok(UNMAPPED) => {
            // Not remembered: it may be mapped soon.
            set(&mut walk.rule, u64::from(cfa::UNMAPPED), 0);
            return 0;
        }
        Ok(directory) => search(directory, address),
        Err(end) => return end as u64,
    };
    set(&mut walk.rule, rule[0], rule[1]);
    let (entry, key) = place(walk, remembered, address);
    set(&mut entry.rule, rule[0], rule[1]);
    entry.key = key;
    0
}

/// Word by word: the compiler would copy byte by byte, in a loop.
#[inline(always)]
fn set(into: &mut Words, first: u64, second: u64) {
    put(&mut into[0], first);
    put(&mut into[1], second);
}

#[inline(always)]
fn search(directory: u64, address: u64) -> Words {
    let number = directory + (address >> PAGE_BITS & 7);
    let Some(pages) = DIRECTORY.get((number / CHUNK_PAGES as u64) as u32) else {
        return CHECKED;
    };
    let page = pages[(opaque(number) & (CHUNK_PAGES as u64 - 1)) as usize].0;
    let first = page & 0xffff_ffff;
    let count = page >> 32 & 0xffff;
    let Some(rows) = ROWS.get((first / CHUNK_ROWS as u64) as u32) else {
        return CHECKED;
    };
    let row =
        |index: u64| u64::from(rows[(opaque(first + index) & (CHUNK_ROWS as u64 - 1)) as usize].0);
    let wanted = opaque(address & (PAGE_BYTES - 1)) + 1;
    // The last row at or before the address. Most pages have few rows.
    let mut found = 0;
    if count > 16 {
        let mut step = opaque(1 << (SEARCH_STEPS - 1));
        let mut steps = 4;
        while steps < SEARCH_STEPS {
            let next = found + step;
            found += step & mask_less(next, count) & mask_less(row(next) & 0xffff, wanted);
            step >>= 1;
            steps += 1;
        }
    }
    let mut step = opaque(8);
    let mut steps = 0;
    while steps < 4 {
        let next = found + step;
        found += step & mask_less(next, count) & mask_less(row(next) & 0xffff, wanted);
        step >>= 1;
        steps += 1;
    }
    let number = row(opaque(found)) >> 16;
    if count == 0 || number >= MAX_RULES as u64 {
        return CHECKED;
    }
    let Some(rules) = RULES.get_ptr(0) else {
        return CHECKED;
    };
    let rules: *const [Rule; MAX_RULES] = rules;
    // SAFETY: the map's only entry, aligned for words; a rule is two words of plain bytes.
    let rules = unsafe { &*rules.cast::<[Words; MAX_RULES]>() };
    let rule = &rules[(opaque(number) & (MAX_RULES as u64 - 1)) as usize];
    [fresh(&rule[0]), fresh(&rule[1])]
}
