//! Processes that have nearly as many mappings as the kernel allows (`vm.max_map_count`): then
//! malloc, mmap, and munmap of a part fail, with memory to spare.

use std::collections::BTreeMap;

use super::{FULL, GROUPS, pattern};
use crate::{
    model::report::{Full, FullGroup},
    proc::Proc,
};

impl Proc {
    /// Whether so many mappings may be nearly all that are allowed.
    pub(super) fn may_be_full_of_mappings(&self, mappings: u64) -> bool {
        // Usual processes are not worth a look at the limit.
        mappings >= 1000
            && self
                .sysctl("vm/max_map_count")
                .is_some_and(|limit| mappings.saturating_mul(100) >= limit.saturating_mul(FULL))
    }

    /// What is mapped, where it is nine tenths of what is allowed, or more.
    pub(super) fn full_of_mappings(&self, pid: u32) -> Option<Full> {
        let stat = self.stat(pid)?;
        let limit = self.sysctl("vm/max_map_count")?;
        let mappings = self.mappings(pid)?;
        let used = mappings.len() as u64;
        if used.saturating_mul(100) < limit.saturating_mul(FULL) {
            return None;
        }
        let mut groups: BTreeMap<(String, String), u64> = BTreeMap::new();
        for mapping in &mappings {
            let what = match mapping.path.as_str() {
                "" => "anonymous".to_owned(),
                path => pattern(path),
            };
            let key = (what, mapping.permissions().to_owned());
            *groups.entry(key).or_default() += 1;
        }
        let groups = groups
            .into_iter()
            .map(|((what, state), count)| FullGroup {
                kind: "mapping".to_owned(),
                what,
                state,
                count,
                oldest: String::new(),
            })
            .collect();
        // It may be another process by now.
        (self.identity(pid) == Some(stat.id))
            .then(|| with_groups(&stat, "max_map_count", (used, limit), groups))
    }
}

/// A process that is full, with the largest groups of what it holds.
pub(super) fn with_groups(
    stat: &crate::proc::Stat,
    resource: &str,
    (used, limit): (u64, u64),
    mut groups: Vec<FullGroup>,
) -> Full {
    groups.sort_by(|a, b| b.count.cmp(&a.count).then_with(|| a.what.cmp(&b.what)));
    groups.truncate(GROUPS);
    let told: u64 = groups.iter().map(|group| group.count).sum();
    Full {
        pid: stat.id.pid(),
        start_time: u64::from(stat.id.start_ticks()),
        comm: stat.comm.clone(),
        resource: resource.to_owned(),
        used,
        limit,
        others: used.saturating_sub(told),
        groups,
        ..Full::default()
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "tests")]
    use std::{fmt::Write as _, fs};

    use super::*;

    fn made(limit: u64, mappings: u64) -> (tempfile::TempDir, Proc) {
        let root = tempfile::tempdir().unwrap();
        fs::create_dir_all(root.path().join("sys/vm")).unwrap();
        fs::create_dir_all(root.path().join("7")).unwrap();
        fs::write(root.path().join("sys/vm/max_map_count"), limit.to_string()).unwrap();
        let mut stat = "7 (server) S 1".to_owned();
        stat += &" 0".repeat(15);
        stat += " 1 0 55 0 0";
        fs::write(root.path().join("7/stat"), stat).unwrap();
        let mut maps = String::new();
        for n in 0..mappings {
            let (start, end) = (n * 0x2000, n * 0x2000 + 0x1000);
            let rest = match n {
                0..2 => format!("r-xp 00000000 08:01 9    /lib/libx-{n}.so"),
                _ => "rw-p 00000000 00:00 0".to_owned(),
            };
            writeln!(maps, "{start:08x}-{end:08x} {rest}").unwrap();
        }
        fs::write(root.path().join("7/maps"), maps).unwrap();
        let proc = Proc::new(root.path());
        (root, proc)
    }

    #[test]
    fn what_is_mapped_is_told_by_path_and_permissions_once_it_is_nearly_all_that_may_be() {
        let (_root, proc) = made(1100, 1000);
        let full = proc.full(7, None, 1000).unwrap();
        assert_eq!(
            (full.resource.as_str(), full.used, full.limit, full.others),
            ("max_map_count", 1000, 1100, 0)
        );
        let groups: Vec<(&str, &str, u64)> = full
            .groups
            .iter()
            .map(|group| (group.what.as_str(), group.state.as_str(), group.count))
            .collect();
        assert_eq!(
            groups,
            [("anonymous", "rw-p", 998), ("/lib/libx-*.so", "r-xp", 2)]
        );
        // The ledger may know of more, which the kernel joined; and of a process that is not
        // near nothing is read.
        let (_root, proc) = made(1100, 20);
        assert_eq!(proc.full(7, None, 1000), None);
        let (_root, proc) = made(65_530, 1000);
        assert_eq!(proc.full(7, None, 1000), None);
    }
}
