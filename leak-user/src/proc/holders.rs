//! Who else holds an open file: dup, fork and messages make several descriptors of
//! one, and it stays open until the last of them is closed.
//!
//! Candidates are descriptors with the same inode. Files that were opened twice, and
//! most anonymous ones, have that in common without being one: kcmp(2) decides. Where
//! it is refused only a socket is sure, which nobody can open a second time.

use std::{
    collections::{BTreeMap, BTreeSet, HashMap, HashSet},
    time::Instant,
};

use super::{Proc, descriptor::asked::is_same_file, file_state::file_state, numbers_in};
use crate::model::report::Holder;

/// Processes named of one file.
const MAX_HOLDERS: usize = 16;

/// Which file it is: device and inode.
type Identity = (u64, u64);

/// Who holds open files, beside those who were asked about.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Sharing {
    /// In the order in which they were asked about; at most 16 processes each, the
    /// asked one first.
    pub holders: Vec<Vec<Holder>>,
    /// Time was up before all descriptors of the host were looked at.
    pub cut_short: bool,
}

/// A descriptor that is asked about.
struct Wanted {
    pid: u32,
    descriptor: u32,
    is_socket: bool,
    /// Descriptors of the same open file, by process.
    found: BTreeMap<u32, Vec<u32>>,
}

impl Proc {
    /// Who else holds the open files behind descriptors, given as process and number.
    /// Looks at every descriptor of the host, once for all of them, until `deadline`.
    #[must_use]
    pub fn sharing(&self, wanted: &[(u32, u32)], deadline: Instant) -> Sharing {
        let mut index: HashMap<Identity, Vec<usize>> = HashMap::new();
        let mut asked: Vec<Wanted> = Vec::new();
        for &(pid, descriptor) in wanted {
            let path = self.of(self.memory_of(pid), &format!("fd/{descriptor}"));
            let state = file_state(&path).ok();
            if let Some(state) = state {
                index.entry(state.identity).or_default().push(asked.len());
            }
            asked.push(Wanted {
                pid,
                descriptor,
                is_socket: state.is_some_and(|state| state.mode & libc::S_IFMT == libc::S_IFSOCK),
                found: BTreeMap::new(),
            });
        }
        let cut_short = !index.is_empty() && !self.look_around(&index, &mut asked, deadline);
        Sharing {
            holders: asked.into_iter().map(|asked| self.holders(asked)).collect(),
            cut_short,
        }
    }

    /// Looks at all descriptors of all processes; false where time was up before.
    fn look_around(
        &self,
        index: &HashMap<Identity, Vec<usize>>,
        asked: &mut [Wanted],
        deadline: Instant,
    ) -> bool {
        for pid in self.likely_first(asked) {
            let directory = self.of(pid, "fd");
            let Ok(numbers) = numbers_in(&directory) else {
                continue;
            };
            for number in numbers {
                if Instant::now() >= deadline {
                    return false;
                }
                let Ok(state) = file_state(&directory.join(number.to_string())) else {
                    continue;
                };
                for &one in index.get(&state.identity).into_iter().flatten() {
                    asked[one].compare(pid, number);
                }
            }
        }
        true
    }

    /// All processes: those that are asked about and their families before the others.
    fn likely_first(&self, asked: &[Wanted]) -> Vec<u32> {
        let own: BTreeSet<u32> = asked.iter().map(|asked| asked.pid).collect();
        let mut pids: Vec<u32> = own.iter().copied().collect();
        for &pid in &own {
            pids.extend(self.children(pid).iter().map(|child| child.id.pid()));
            pids.extend(self.stat(pid).map(|stat| stat.parent));
        }
        pids.extend(numbers_in(self.root()).into_iter().flatten());
        let mut seen = HashSet::new();
        pids.retain(|pid| seen.insert(*pid));
        pids
    }

    fn holders(&self, asked: Wanted) -> Vec<Holder> {
        let Wanted { pid, found, .. } = asked;
        let mut holders: Vec<Holder> = found
            .into_iter()
            .map(|(pid, numbers)| Holder {
                pid,
                comm: self.comm(pid),
                handle: numbers
                    .first()
                    .map(|number| format!("fd {number}"))
                    .unwrap_or_default(),
                count: numbers.len() as u64,
                ..Holder::default()
            })
            .collect();
        holders.sort_by_key(|holder| holder.pid != pid);
        holders.truncate(MAX_HOLDERS);
        holders
    }
}

impl Wanted {
    /// Takes note of a descriptor with the same inode, if it is of the same open file.
    fn compare(&mut self, pid: u32, number: u32) {
        if (pid, number) == (self.pid, self.descriptor) {
            return;
        }
        let same = is_same_file((self.pid, self.descriptor), (pid, number));
        if same.unwrap_or(self.is_socket) {
            self.found.entry(pid).or_default().push(number);
        }
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "tests")]
    use std::{
        fs::File,
        net::UdpSocket,
        os::fd::{AsRawFd, OwnedFd},
        process::{Command, Stdio},
        time::Duration,
    };

    use super::*;

    const OWN: fn() -> u32 = std::process::id;

    fn sharing(descriptors: &[&dyn AsRawFd]) -> Vec<Vec<Holder>> {
        let wanted: Vec<(u32, u32)> = descriptors
            .iter()
            .map(|descriptor| (OWN(), descriptor.as_raw_fd() as u32))
            .collect();
        let sharing = Proc::default().sharing(&wanted, Instant::now() + Duration::from_secs(60));
        assert!(!sharing.cut_short);
        assert_eq!(sharing.holders.len(), wanted.len());
        sharing.holders
    }

    /// The same within this process: other tests' children have copies of everything
    /// until they begin their programs.
    fn within(descriptors: &[&dyn AsRawFd]) -> Vec<Vec<Holder>> {
        let mut holders = sharing(descriptors);
        for holders in &mut holders {
            holders.retain(|holder| holder.pid == OWN());
        }
        holders
    }

    #[test]
    fn a_duplicate_is_the_same_file_and_a_second_open_is_not() {
        let one = File::open("/proc/self/maps").unwrap();
        let again = File::open("/proc/self/maps").unwrap();
        let passwd = [
            File::open("/etc/passwd").unwrap(),
            File::open("/etc/passwd").unwrap(),
        ];
        let duplicate = passwd[0].try_clone().unwrap();
        let holders = within(&[&one, &again, &passwd[0], &passwd[1], &duplicate]);
        assert_eq!(holders[0], []);
        assert_eq!(holders[1], []);
        assert_eq!(holders[3], []);
        let only = |holders: &[Holder]| match holders {
            [holder] => (holder.pid, holder.handle.clone(), holder.count),
            other => panic!("{other:?}"),
        };
        let descriptor = |file: &File| format!("fd {}", file.as_raw_fd());
        assert_eq!(only(&holders[2]), (OWN(), descriptor(&duplicate), 1));
        assert_eq!(only(&holders[4]), (OWN(), descriptor(&passwd[0]), 1));
    }

    #[test]
    fn anonymous_files_share_an_inode_without_being_one() {
        // SAFETY: no pointers; the result is ours.
        let eventfd =
            || unsafe { std::os::fd::FromRawFd::from_raw_fd(libc::eventfd(0, libc::EFD_CLOEXEC)) };
        let (one, other): (OwnedFd, OwnedFd) = (eventfd(), eventfd());
        let duplicates = [one.try_clone().unwrap(), one.try_clone().unwrap()];
        let holders = within(&[&one, &other]);
        assert_eq!(holders[0].len(), 1, "{holders:?}");
        assert_eq!(
            (
                holders[0][0].pid,
                holders[0][0].count,
                holders[0][0].handle.as_str()
            ),
            (
                OWN(),
                2,
                format!("fd {}", duplicates[0].as_raw_fd()).as_str()
            )
        );
        assert_eq!(holders[1], []);
    }

    #[test]
    fn a_child_that_inherited_a_socket_holds_it() {
        let socket = UdpSocket::bind("127.0.0.1:0").unwrap();
        let inherited = Stdio::from(OwnedFd::from(socket.try_clone().unwrap()));
        let mut child = Command::new("sleep")
            .arg("60")
            .stdin(inherited)
            .spawn()
            .unwrap();
        let holders = sharing(&[&socket]).remove(0);
        child.kill().unwrap();
        child.wait().unwrap();
        let holder = holders
            .iter()
            .find(|holder| holder.pid == child.id())
            .unwrap();
        assert_eq!((holder.handle.as_str(), holder.count), ("fd 0", 1));
        let left = sharing(&[&socket]).remove(0);
        assert!(left.iter().all(|holder| holder.pid != child.id()));
    }

    #[test]
    fn time_that_is_up_is_said() {
        let file = File::open("/etc/passwd").unwrap();
        let wanted = [(OWN(), file.as_raw_fd() as u32), (u32::MAX, 3)];
        let sharing = Proc::default().sharing(&wanted, Instant::now());
        assert_eq!(
            sharing,
            Sharing {
                holders: vec![vec![], vec![]],
                cut_short: true
            }
        );
        let nothing = Proc::default().sharing(&[(u32::MAX, 3)], Instant::now());
        assert_eq!(
            nothing,
            Sharing {
                holders: vec![vec![]],
                cut_short: false
            }
        );
    }
}
