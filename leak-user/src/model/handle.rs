//! Names of resources as people write them.

use leak_common::{Class, Handle, ProcessId};

/// `fd 12`, `0x7f..+8192`, `tid 77`, `pid 78`, `shmid 3`. `size` is that of a mapping
/// in bytes, 0 where it is not known.
#[must_use]
pub fn name(handle: Handle, size: u64) -> String {
    match handle.class() {
        Some(Class::Descriptor) => format!("fd {}", handle.value()),
        Some(Class::Mapping | Class::Heap) if size > 0 => {
            format!("{:#x}+{size}", handle.value())
        }
        Some(Class::Mapping | Class::Heap) => format!("{:#x}", handle.value()),
        Some(Class::Thread) => format!("tid {}", ProcessId(handle.value()).pid()),
        Some(Class::Process) => format!("pid {}", ProcessId(handle.value()).pid()),
        Some(Class::Shm) => format!("shmid {}", handle.value() & 0xffff_ffff),
        None => format!("{:#x}", handle.0),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn handles_read_as_people_write_them() {
        let task = ProcessId::new(77, 5);
        assert_eq!(name(Handle::new(Class::Descriptor, 12), 0), "fd 12");
        assert_eq!(
            name(Handle::new(Class::Mapping, 0x7f00), 4096),
            "0x7f00+4096"
        );
        assert_eq!(name(Handle::task(Class::Thread, task), 0), "tid 77");
        assert_eq!(name(Handle::task(Class::Process, task), 0), "pid 77");
        assert_eq!(name(Handle::shm(0xf000_0001, 3), 0), "shmid 3");
    }
}
