//! Memory of another process: untrusted, and gone when the process ends.

/// What can be read by address.
pub trait Memory {
    /// Fills the whole of `into`; `false` if not all of it could be read.
    fn read(&self, address: u64, into: &mut [u8]) -> bool;

    /// A number of 64 bits.
    fn word(&self, address: u64) -> Option<u64> {
        let mut bytes = [0; 8];
        self.read(address, &mut bytes)
            .then(|| u64::from_le_bytes(bytes))
    }

    /// Some bytes; callers bound the length.
    fn bytes(&self, address: u64, length: usize) -> Option<Vec<u8>> {
        let mut bytes = vec![0; length];
        self.read(address, &mut bytes).then_some(bytes)
    }
}

/// Memory of the process of this number, read with `process_vm_readv(2)`: neither
/// stops nor changes it.
#[derive(Clone, Copy, Debug)]
pub struct ProcessMemory(pub u32);

impl Memory for ProcessMemory {
    fn read(&self, address: u64, into: &mut [u8]) -> bool {
        let Ok(pid) = libc::pid_t::try_from(self.0) else {
            return false;
        };
        let local = libc::iovec {
            iov_base: into.as_mut_ptr().cast(),
            iov_len: into.len(),
        };
        let remote = libc::iovec {
            iov_base: std::ptr::with_exposed_provenance_mut(address as usize),
            iov_len: into.len(),
        };
        // SAFETY: `local` is `into`, which is ours alone and as long as it says;
        // the kernel checks the other process's addresses.
        let read =
            unsafe { libc::process_vm_readv(pid, &raw const local, 1, &raw const remote, 1, 0) };
        usize::try_from(read) == Ok(into.len())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn own_memory_can_be_read_and_nothing_at_zero() {
        let memory = ProcessMemory(std::process::id());
        let value = 0x1234_5678_9abc_def0_u64;
        let address = (&raw const value).expose_provenance() as u64;
        assert_eq!(memory.word(address), Some(value));
        assert_eq!(memory.word(0), None);
        assert_eq!(memory.word(u64::MAX - 3), None);
        assert_eq!(ProcessMemory(u32::MAX).word(address), None);
    }
}
