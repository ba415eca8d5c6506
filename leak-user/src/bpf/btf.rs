//! Where this kernel's structures keep their fields, from its own type information.

use btf_rs::{Btf, Member, Type};
use leak_common::config::{ABSENT, Offsets};

use super::LoadError;

/// Depth of anonymous structs and unions that is searched.
const MAX_NESTING: usize = 8;

/// The running kernel's types.
pub(super) struct KernelTypes(Btf);

impl KernelTypes {
    /// Reads `/sys/kernel/btf/vmlinux`.
    pub(super) fn read() -> Result<KernelTypes, LoadError> {
        Btf::from_file("/sys/kernel/btf/vmlinux")
            .map(KernelTypes)
            .map_err(|error| LoadError::kernel("readable BTF (/sys/kernel/btf/vmlinux)", &error))
    }

    /// Offset in bytes of `field` in `structure`, also through anonymous members.
    pub(super) fn offset(&self, structure: &str, field: &str) -> Option<u32> {
        self.0
            .resolve_types_by_name(structure)
            .ok()?
            .iter()
            .find_map(|found| match found {
                Type::Struct(found) | Type::Union(found) => self.find(&found.members, field, 0),
                _ => None,
            })
    }

    fn find(&self, members: &[Member], field: &str, depth: usize) -> Option<u32> {
        members.iter().find_map(|member| {
            let offset = member.bit_offset() / 8;
            match self.0.resolve_name(member) {
                Ok(name) if name == field => return Some(offset),
                Ok(name) if !name.is_empty() => return None,
                _ => {}
            }
            if depth >= MAX_NESTING {
                return None;
            }
            match self.0.resolve_chained_type(member).ok()? {
                Type::Struct(inner) | Type::Union(inner) => {
                    Some(offset + self.find(&inner.members, field, depth + 1)?)
                }
                _ => None,
            }
        })
    }

    /// Every offset that the programs need.
    ///
    /// # Errors
    /// A field that there is no doing without is not there.
    pub(super) fn offsets(&self) -> Result<Offsets, LoadError> {
        let need = |structure: &str, field: &str| {
            self.offset(structure, field).ok_or_else(|| {
                LoadError::Kernel(format!(
                    "this kernel's struct {structure} has no field {field}: please report the \
                     kernel version"
                ))
            })
        };
        let may = |structure: &str, field: &str| self.offset(structure, field).unwrap_or(ABSENT);
        Ok(Offsets {
            task_pid: need("task_struct", "pid")?,
            task_tgid: need("task_struct", "tgid")?,
            task_flags: need("task_struct", "flags")?,
            task_group_leader: need("task_struct", "group_leader")?,
            task_start_boottime: need("task_struct", "start_boottime")?,
            task_comm: need("task_struct", "comm")?,
            task_mm: need("task_struct", "mm")?,
            task_files: need("task_struct", "files")?,
            task_signal: need("task_struct", "signal")?,
            task_nsproxy: need("task_struct", "nsproxy")?,
            signal_live: need("signal_struct", "live")?,
            files_fdt: need("files_struct", "fdt")?,
            fdt_max_fds: need("fdtable", "max_fds")?,
            fdt_fd: need("fdtable", "fd")?,
            file_inode: need("file", "f_inode")?,
            inode_mode: need("inode", "i_mode")?,
            nsproxy_ipc: need("nsproxy", "ipc_ns")?,
            ipc_inum: need("ipc_namespace", "ns")? + need("ns_common", "inum")?,
            task_status: match (
                self.offset("task_struct", "thread_info"),
                self.offset("thread_info", "status"),
            ) {
                (Some(info), Some(status)) => info + status,
                _ => ABSENT,
            },
            uring_close_fd: may("io_close", "fd"),
            uring_open_slot: may("io_open", "file_slot"),
            uring_accept_slot: may("io_accept", "file_slot"),
            uring_socket_slot: may("io_socket", "file_slot"),
            ..Offsets::ABSENT
        })
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "tests")]
    use super::*;

    #[test]
    fn fields_of_this_kernel_are_found() {
        let types = KernelTypes::read().unwrap();
        assert_eq!(types.offset("list_head", "next"), Some(0));
        assert_eq!(types.offset("list_head", "prev"), Some(8));
        assert_eq!(types.offset("list_head", "nonsense"), None);
        assert_eq!(types.offset("no_such_struct", "next"), None);
        // Inside an anonymous union.
        assert!(types.offset("sk_buff", "next").is_some());
        types.offsets().unwrap();
    }
}
