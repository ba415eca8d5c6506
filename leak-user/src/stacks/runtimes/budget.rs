//! A bound on what is read of a process: its structures are untrusted, and may lead on and on.

use std::cell::Cell;

use crate::proc::Memory;

/// Memory of which no more bytes can be read than a budget allows.
pub(super) struct Budgeted<M> {
    memory: M,
    left: Cell<usize>,
}

impl<M: Memory> Budgeted<M> {
    pub(super) fn new(memory: M, bytes: usize) -> Budgeted<M> {
        Budgeted {
            memory,
            left: Cell::new(bytes),
        }
    }
}

impl<M: Memory> Memory for Budgeted<M> {
    fn read(&self, address: u64, into: &mut [u8]) -> bool {
        let Some(left) = self.left.get().checked_sub(into.len()) else {
            return false;
        };
        self.left.set(left);
        self.memory.read(address, into)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    struct Endless;

    impl Memory for Endless {
        fn read(&self, _: u64, into: &mut [u8]) -> bool {
            into.fill(1);
            true
        }
    }

    #[test]
    fn reads_end_with_the_budget() {
        let memory = Budgeted::new(Endless, 20);
        assert!(memory.word(0).is_some() && memory.word(8).is_some());
        assert_eq!(memory.word(16), None);
        assert_eq!(memory.bytes(16, 4), Some(vec![1; 4]));
        assert_eq!(memory.bytes(20, 1), None);
    }
}
