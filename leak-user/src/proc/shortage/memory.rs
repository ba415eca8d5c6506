//! Why there was no memory: most often one limit of the process, since the kernel
//! seldom runs out of it while a call waits.

use super::{Refused, Shortage, holder, most};
use crate::{
    model::report::Holder,
    proc::{Proc, SHORT, bytes_field, limits::SoftLimits, read_text},
};

impl Proc {
    pub(super) fn out_of_memory(&self, refused: Refused<'_>) -> Shortage {
        let Refused {
            pid, call, size, ..
        } = refused;
        let comm = self.comm(pid);
        let itself = |what: &str, count: u64| vec![holder(pid, &comm, what, count)];
        if matches!(call, "mmap" | "mremap" | "shmat") {
            let soft = self.soft_limits(pid);
            let status = self.text_of(pid, "status").unwrap_or_default();
            let mapped = bytes_field(&status, "VmSize:").unwrap_or(0);
            let data = bytes_field(&status, "VmData:").unwrap_or(0);
            let exceeds = |used: u64, limit: Option<u64>| {
                limit.filter(|limit| used.saturating_add(size) > *limit)
            };
            let SoftLimits {
                address_space,
                data: data_limit,
                ..
            } = soft;
            if let Some(limit) = exceeds(mapped, address_space) {
                return Shortage {
                    meaning: format!(
                        "the process reached its limit of {limit} bytes of address space \
                         (RLIMIT_AS); larger allocations and mappings fail"
                    ),
                    holders: itself("bytes", mapped),
                };
            }
            let mappings = self.count_mappings(pid).unwrap_or(0);
            let most_mappings = self.sysctl("vm/max_map_count");
            // The vsyscall page is listed and not counted; a mapping may take two. And who is refused
            // one may give back some at once.
            let is_near = |limit: &u64| mappings + limit / 100 + 3 >= *limit;
            if let Some(limit) = most_mappings.filter(is_near) {
                return Shortage {
                    meaning: format!(
                        "the process reached the limit of {limit} mappings \
                         (vm.max_map_count); every further mmap, and every munmap that \
                         splits a mapping, fails"
                    ),
                    holders: itself("mapping", mappings),
                };
            }
            if let Some(limit) = exceeds(data, data_limit) {
                return Shortage {
                    meaning: format!(
                        "the process reached its limit of {limit} bytes of data (RLIMIT_DATA); \
                         larger allocations and private mappings fail"
                    ),
                    holders: itself("bytes", data),
                };
            }
        }
        Shortage {
            meaning: self.host_memory_meaning(refused),
            holders: self.most_resident(),
        }
    }

    fn host_memory_meaning(
        &self,
        Refused {
            pid, call, size, ..
        }: Refused<'_>,
    ) -> String {
        let text = read_text(&self.root().join("meminfo"), SHORT);
        let info = text.unwrap_or_default();
        let strict = self.sysctl("vm/overcommit_memory") == Some(2);
        let committed = bytes_field(&info, "Committed_AS:").zip(bytes_field(&info, "CommitLimit:"));
        if let Some((used, limit)) = committed.filter(|(used, limit)| used + size > *limit)
            && strict
        {
            return format!(
                "the host promises no more memory: {used} of {limit} bytes are promised \
                 (vm.overcommit_memory is 2)"
            );
        }
        let all = bytes_field(&info, "MemTotal:").unwrap_or(u64::MAX) as u128
            + bytes_field(&info, "SwapTotal:").unwrap_or(0) as u128;
        if u128::from(size) > all {
            return format!(
                "{call} asked for {size} bytes, more than the host has memory, or the address \
                 space has room"
            );
        }
        let groups = self.text_of(pid, "cgroup").unwrap_or_default();
        match self.group_memory(&groups) {
            // Nearly all of it is used.
            Some(group) if group.used + group.limit / 20 >= group.limit => format!(
                "the kernel had no memory for {call}: the control group uses {} of {} bytes \
                 (memory.max)",
                group.used, group.limit
            ),
            _ if size > 0 => {
                format!("the kernel refused to map {size} bytes: no limit that is known is near")
            }
            _ => format!("the kernel had no memory for {call}"),
        }
    }

    /// The processes with most memory, in bytes.
    fn most_resident(&self) -> Vec<Holder> {
        let processes = self.processes().unwrap_or_default();
        let resident = processes.into_iter().filter_map(|stat| {
            let status = self.text_of(stat.id.pid(), "status")?;
            let bytes = bytes_field(&status, "VmRSS:")?;
            Some(holder(stat.id.pid(), &stat.comm, "bytes", bytes))
        });
        most(resident)
    }
}
