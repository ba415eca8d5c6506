//! Memory of processes: untrusted, and gone when the process ends.

use super::{Proc, VDSO};

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

/// Most bytes of the vDSO that are believed; it has two pages.
const MAX_VDSO: u64 = 1 << 20;

/// The code that the kernel maps into every process (vdso(7)), as this process has it. `None`
/// where it has none.
#[must_use]
pub fn own_vdso() -> Option<&'static [u8]> {
    let mappings = Proc::default().mappings(std::process::id())?;
    let mapping = mappings.iter().find(|mapping| mapping.path == VDSO)?;
    // SAFETY: it takes a number and has no preconditions.
    let start = unsafe { libc::getauxval(libc::AT_SYSINFO_EHDR) };
    let length = mapping.range.length();
    if start == 0 || start != mapping.range.start || length > MAX_VDSO {
        return None;
    }
    let start: *const u8 = std::ptr::with_exposed_provenance(start as usize);
    // SAFETY: two sources of the kernel agree that it begins there, and one says how many
    // bytes are mapped. It stays there, readable and unchanged, as long as this process lives:
    // nothing here unmaps it.
    Some(unsafe { std::slice::from_raw_parts(start, length as usize) })
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

    #[test]
    fn the_kernels_own_code_is_an_elf_file() {
        assert_eq!(
            own_vdso().and_then(|bytes| bytes.get(..4)),
            Some(&b"\x7fELF"[..])
        );
    }
}
