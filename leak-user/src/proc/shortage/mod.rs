//! What ran out when the kernel refused a call, and who has the most of it: read in
//! the moment after, since it says how it was then.

mod inotify;
mod memory;
mod tasks;
#[cfg(test)]
mod tests;

use std::cmp::Reverse;

use leak_common::Kind;

use super::Proc;
use crate::model::{refusal::Refusal, report::Holder};

/// Holders that are named.
const MAX_HOLDERS: usize = 5;

/// A call that the kernel refused.
#[derive(Clone, Copy, Debug)]
pub struct Refused<'a> {
    pub pid: u32,
    /// The call's name.
    pub call: &'a str,
    pub error: Refusal,
    /// Bytes of the mapping that was asked for, else 0.
    pub size: u64,
}

/// What ran out.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Shortage {
    /// One sentence without its full stop.
    pub meaning: String,
    /// Who had the most of it, most first.
    pub holders: Vec<Holder>,
}

impl Proc {
    /// What ran out when a call was refused just now.
    #[must_use]
    pub fn shortage(&self, refused: Refused<'_>) -> Shortage {
        match refused.error {
            Refusal::Files => self.out_of_descriptors(refused),
            Refusal::HostFiles => self.out_of_files(refused),
            Refusal::Tasks => self.out_of_tasks(refused.pid),
            Refusal::Memory => self.out_of_memory(refused),
            Refusal::Room => self.out_of_room(refused),
        }
    }

    fn out_of_descriptors(&self, refused: Refused<'_>) -> Shortage {
        let Refused { pid, call, .. } = refused;
        let soft = self.soft_limits(pid).files;
        let descriptors = self.descriptors(pid).unwrap_or_default();
        // Another thread may have closed some since.
        let is_full = soft.is_none_or(|soft| descriptors.len() as u64 + 2 >= soft);
        let number = |limit: Option<u64>| limit.map(|limit| format!("{limit} "));
        let sysctl = |name: &str| number(self.sysctl(name)).unwrap_or_default();
        let meaning = match (call, is_full) {
            ("inotify_init" | "inotify_init1", false) => return self.out_of_inotify(pid),
            ("fanotify_init", false) => format!(
                "the user reached the limit of {}fanotify groups (fs.fanotify.max_user_groups); \
                 every further fanotify_init fails",
                sysctl("fs/fanotify/max_user_groups")
            ),
            ("mq_open", false) => "the user reached the limit of bytes in message queues \
                                   (RLIMIT_MSGQUEUE); every further mq_open fails"
                .to_owned(),
            _ => format!(
                "the process reached its limit of {}open descriptors (RLIMIT_NOFILE); every \
                 further open, socket or accept fails until it closes some",
                number(soft).unwrap_or_default()
            ),
        };
        let mut kinds: Vec<(&str, u64)> = Vec::new();
        for (_, kind) in descriptors {
            match kinds.iter_mut().find(|(name, _)| *name == kind.name()) {
                Some((_, count)) => *count += 1,
                None => kinds.push((kind.name(), 1)),
            }
        }
        let comm = self.comm(pid);
        let of_kind = |(what, count): (&str, u64)| holder(pid, &comm, what, count);
        Shortage {
            meaning,
            holders: most(kinds.into_iter().map(of_kind)),
        }
    }

    /// Watches of inotify count for their user, and for each user name space that it is in.
    fn out_of_room(&self, Refused { pid, call, .. }: Refused<'_>) -> Shortage {
        let limit = |name: &str| {
            let limit = self.sysctl(name);
            limit.map_or_else(String::new, |limit| format!(", {limit} here"))
        };
        if call != "inotify_add_watch" {
            return Shortage {
                meaning: format!(
                    "the IPC name space has no room for another segment (kernel.shmmni{}, \
                     kernel.shmall)",
                    limit("kernel/shmmni")
                ),
                ..Shortage::default()
            };
        }
        let descriptors = self.descriptors(pid).unwrap_or_default().into_iter();
        let watches = descriptors
            .filter(|(_, kind)| *kind == Kind::Inotify)
            .map(|(number, _)| self.inotify_watches(pid, number).len() as u64)
            .sum();
        Shortage {
            meaning: format!(
                "the user reached the limit of inotify watches (fs.inotify.max_user_watches{}; \
                 user.max_inotify_watches of its user name space); every further \
                 inotify_add_watch fails until some are removed",
                limit("fs/inotify/max_user_watches")
            ),
            holders: most([holder(pid, &self.comm(pid), "inotify watch", watches)].into_iter()),
        }
    }

    fn out_of_files(&self, Refused { call, .. }: Refused<'_>) -> Shortage {
        let (used, max) = (self.host_files().unwrap_or(0), self.sysctl("fs/file-max"));
        let is_full = max.is_none_or(|max| used + max / 100 + 2 >= max);
        let meaning = if call.starts_with("pipe") && !is_full {
            "the user reached the limit of memory for pipes (fs.pipe-user-pages-hard); every \
             further pipe fails"
                .to_owned()
        } else {
            format!(
                "the host reached its limit of {}open files (fs.file-max); every further open, \
                 socket or accept of a process without privileges fails",
                max.map(|max| format!("{max} ")).unwrap_or_default()
            )
        };
        let processes = self.processes().unwrap_or_default();
        let open = processes.into_iter().filter_map(|stat| {
            let count = self.count_descriptors(stat.id.pid())?;
            Some(holder(stat.id.pid(), &stat.comm, "descriptor", count))
        });
        Shortage {
            meaning,
            holders: most(open),
        }
    }
}

fn holder(pid: u32, comm: &str, what: &str, count: u64) -> Holder {
    Holder {
        pid,
        comm: comm.to_owned(),
        handle: String::new(),
        what: what.to_owned(),
        count,
    }
}

/// Those with most, most first.
fn most(holders: impl Iterator<Item = Holder>) -> Vec<Holder> {
    let mut holders: Vec<Holder> = holders.filter(|holder| holder.count > 0).collect();
    holders.sort_by(|a, b| {
        let key = |holder: &Holder| (Reverse(holder.count), holder.pid);
        key(a).cmp(&key(b)).then_with(|| a.what.cmp(&b.what))
    });
    holders.truncate(MAX_HOLDERS);
    holders
}
