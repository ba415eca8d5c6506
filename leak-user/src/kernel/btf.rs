//! Where this kernel's structures keep their fields, from its own type information
//! (Documentation/bpf/btf.rst). Only structures and the way through the other
//! types are read; a damaged file yields no offsets.

use leak_common::config::{ABSENT, Offsets};

use super::LoadError;

/// Depth of anonymous structs and unions that is searched.
const MAX_NESTING: usize = 8;

/// Larger than any kernel's.
const MAX_BYTES: u64 = 64 << 20;

const MAGIC: u16 = 0xeb9f;
const TYPE_BYTES: usize = 12;
const MEMBER_BYTES: usize = 12;

const STRUCT: u32 = 4;
const UNION: u32 = 5;
/// Typedef, volatile, const, restrict: names and qualifiers of another type.
const TYPEDEF: u32 = 8;
const RESTRICT: u32 = 11;

/// The running kernel's types.
pub(super) struct KernelTypes {
    bytes: Vec<u8>,
    /// Where each type begins; type ids count from 1.
    types: Vec<usize>,
    /// Where the strings begin.
    strings: usize,
}

impl KernelTypes {
    /// Reads `/sys/kernel/btf/vmlinux`.
    pub(super) fn read() -> Result<KernelTypes, LoadError> {
        use std::io::Read as _;
        let mut bytes = Vec::new();
        std::fs::File::open("/sys/kernel/btf/vmlinux")
            .and_then(|file| file.take(MAX_BYTES).read_to_end(&mut bytes))
            .map_err(|error| LoadError::kernel("readable BTF (/sys/kernel/btf/vmlinux)", &error))?;
        KernelTypes::parse(bytes).ok_or_else(|| {
            LoadError::kernel(
                "BTF that this program understands",
                &"it is of another format",
            )
        })
    }

    fn parse(bytes: Vec<u8>) -> Option<KernelTypes> {
        if u16_at(&bytes, 0)? != MAGIC {
            return None;
        }
        let [header, types_at, types_length, strings_at] =
            [4, 8, 12, 16].map(|offset| u32_at(&bytes, offset).map(|number| number as usize));
        let header = header?;
        let mut at = header.checked_add(types_at?)?;
        let end = at.checked_add(types_length?)?;
        let strings = header.checked_add(strings_at?)?;
        let mut types = Vec::new();
        while at < end {
            types.push(at);
            let info = u32_at(&bytes, at + 4)?;
            at += TYPE_BYTES + extra_bytes(info)?;
        }
        Some(KernelTypes {
            bytes,
            types,
            strings,
        })
    }

    /// Offset in bytes of `field` in `structure`, also through anonymous members.
    pub(super) fn offset(&self, structure: &str, field: &str) -> Option<u32> {
        self.types
            .iter()
            .filter(|at| self.is_aggregate(**at) && self.is_named(**at, structure))
            .find_map(|at| self.find(*at, field, 0))
            .map(|(offset, _)| offset)
    }

    /// Offset in bytes of a field of a field.
    fn offset_within(&self, structure: &str, field: &str, inner: &str) -> Option<u32> {
        let (outer, of) = self
            .types
            .iter()
            .filter(|at| self.is_aggregate(**at) && self.is_named(**at, structure))
            .find_map(|at| self.find(*at, field, 0))?;
        let at = self.without_names(of)?;
        let (offset, _) = self.find(at, inner, 0)?;
        Some(outer + offset)
    }

    /// The structure behind typedefs and qualifiers.
    fn without_names(&self, id: u32) -> Option<usize> {
        let mut id = id;
        for _ in 0..MAX_NESTING {
            let at = *self.types.get(id.checked_sub(1)? as usize)?;
            match kind(u32_at(&self.bytes, at + 4)?) {
                STRUCT | UNION => return Some(at),
                TYPEDEF..=RESTRICT => id = u32_at(&self.bytes, at + 8)?,
                _ => return None,
            }
        }
        None
    }

    /// A field's offset in bytes, and its type.
    fn find(&self, at: usize, field: &str, depth: usize) -> Option<(u32, u32)> {
        let info = u32_at(&self.bytes, at + 4)?;
        (0..(info & 0xffff) as usize).find_map(|index| {
            let member = at + TYPE_BYTES + index * MEMBER_BYTES;
            let bits = u32_at(&self.bytes, member + 8)?;
            // With the kind flag the upper byte is the size of a bit field.
            let bits = if info >> 31 != 0 {
                bits & 0x00ff_ffff
            } else {
                bits
            };
            if self.is_named(member, field) {
                return Some((bits / 8, u32_at(&self.bytes, member + 4)?));
            }
            if !self.is_named(member, "") || depth >= MAX_NESTING {
                return None;
            }
            let inner = u32_at(&self.bytes, member + 4)?.checked_sub(1)? as usize;
            let inner = *self.types.get(inner)?;
            self.is_aggregate(inner)
                .then(|| self.find(inner, field, depth + 1))
                .flatten()
                .map(|(offset, of)| (bits / 8 + offset, of))
        })
    }

    fn is_aggregate(&self, at: usize) -> bool {
        matches!(u32_at(&self.bytes, at + 4).map(kind), Some(STRUCT | UNION))
    }

    /// Whether the name of a type or member (its first word) is this one.
    fn is_named(&self, at: usize, name: &str) -> bool {
        let Some(offset) = u32_at(&self.bytes, at) else {
            return false;
        };
        let start = self.strings.saturating_add(offset as usize);
        let Some(rest) = self.bytes.get(start..) else {
            return false;
        };
        rest.strip_prefix(name.as_bytes())
            .is_some_and(|rest| rest.first() == Some(&0))
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
        // Before 6.11, two names of one structure of two words.
        let changed = ["__i_ctime", "i_ctime"]
            .into_iter()
            .find_map(|name| self.offset("inode", name));
        let thread_pointer = if cfg!(target_arch = "x86_64") {
            self.offset_within("task_struct", "thread", "fsbase")
        } else {
            // Its first word is tp_value.
            self.offset_within("task_struct", "thread", "uw")
        };
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
            task_thread_pointer: thread_pointer.unwrap_or(ABSENT),
            mm_vdso: self
                .offset_within("mm_struct", "context", "vdso")
                .unwrap_or(ABSENT),
            mm_tree: may("mm_struct", "mm_rb"),
            mm_program: need("mm_struct", "exe_file")?,
            vma_start: need("vm_area_struct", "vm_start")?,
            vma_end: need("vm_area_struct", "vm_end")?,
            vma_offset: need("vm_area_struct", "vm_pgoff")?,
            vma_flags: need("vm_area_struct", "vm_flags")?,
            vma_file: need("vm_area_struct", "vm_file")?,
            vma_node: may("vm_area_struct", "vm_rb"),
            inode_number: need("inode", "i_ino")?,
            inode_super: need("inode", "i_sb")?,
            inode_changed_seconds: match changed {
                Some(changed) => changed,
                None => need("inode", "i_ctime_sec")?,
            },
            inode_changed_nanoseconds: match changed {
                Some(changed) => changed + 8,
                None => need("inode", "i_ctime_nsec")?,
            },
            super_device: need("super_block", "s_dev")?,
            file_position: may("file", "f_pos"),
            file_private: may("file", "private_data"),
            socket_sock: may("socket", "sk"),
            sock_family: may("sock_common", "skc_family"),
            sock_state: may("sock_common", "skc_state"),
            sock_local_port: may("sock_common", "skc_num"),
            sock_protocol: may("sock", "sk_protocol"),
            tcp_sent: may("tcp_sock", "lsndtime"),
            tcp_received: self
                .offset_within("inet_connection_sock", "icsk_ack", "lrcvtime")
                .unwrap_or(ABSENT),
            tcp_bytes_sent: may("tcp_sock", "bytes_sent"),
            tcp_bytes_received: may("tcp_sock", "bytes_received"),
            sock_remote_port: may("sock_common", "skc_dport"),
            sock_remote_address: may("sock_common", "skc_daddr"),
            sock_remote_address6: may("sock_common", "skc_v6_daddr"),
            file_operations: need("file", "f_op")?,
            fdt_open_fds: need("fdtable", "open_fds")?,
            fdt_close_on_exec: need("fdtable", "close_on_exec")?,
            uring_close_fd: may("io_close", "fd"),
            uring_open_slot: may("io_open", "file_slot"),
            uring_accept_slot: may("io_accept", "file_slot"),
            uring_socket_slot: may("io_socket", "file_slot"),
            uring_accept_multishot: may("io_accept", "iou_flags"),
            // Its flags come first in it.
            uring_open_flags: may("io_open", "how"),
            uring_accept_flags: may("io_accept", "flags"),
            uring_socket_flags: may("io_socket", "flags"),
            uring_install_flags: may("io_fixed_install", "o_flags"),
            uring_pipe_slot: may("io_pipe", "file_slot"),
            uring_pipe_flags: may("io_pipe", "flags"),
            uring_pipe_address: may("io_pipe", "fds"),
            uring_message_address: may("io_sr_msg", "umsg"),
            uring_message_flags: may("io_sr_msg", "msg_flags"),
            uring_message_multishot: may("io_sr_msg", "flags"),
            ..Offsets::ABSENT
        })
    }
}

fn kind(info: u32) -> u32 {
    info >> 24 & 0x1f
}

/// What follows a type of this kind; `None` for kinds that are not known.
fn extra_bytes(info: u32) -> Option<usize> {
    let number = (info & 0xffff) as usize;
    Some(match kind(info) {
        // Integer, variable, declaration tag.
        1 | 14 | 17 => 4,
        // Pointer, forward, typedef, volatile, const, restrict, function, float, type tag.
        2 | 7..=12 | 16 | 18 => 0,
        // Array.
        3 => 12,
        // Struct, union, section, 64-bit enumeration.
        STRUCT | UNION | 15 | 19 => 12 * number,
        // Enumeration, prototype.
        6 | 13 => 8 * number,
        _ => return None,
    })
}

fn u16_at(bytes: &[u8], offset: usize) -> Option<u16> {
    let field = bytes.get(offset..)?.first_chunk::<2>()?;
    Some(u16::from_ne_bytes(*field))
}

fn u32_at(bytes: &[u8], offset: usize) -> Option<u32> {
    let field = bytes.get(offset..)?.first_chunk::<4>()?;
    Some(u32::from_ne_bytes(*field))
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

    #[test]
    fn damaged_types_are_refused_or_lack_fields() {
        let bytes = std::fs::read("/sys/kernel/btf/vmlinux").unwrap();
        for length in (0..4096).chain([bytes.len() / 2, bytes.len() - 1]) {
            if let Some(types) = KernelTypes::parse(bytes[..length].to_vec()) {
                let _ = types.offset("task_struct", "pid");
            }
        }
        let mut odd = bytes;
        odd[0] = 0;
        assert!(KernelTypes::parse(odd).is_none());
    }
}
