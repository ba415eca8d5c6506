//! Whom the kernel counts inotify and tasks for: a user in a user name space, and the owner of
//! that name space in the one above, up to the first (kernel/ucount.c). Each of them has a limit
//! of its own, so the smallest on the way is met first.

use std::{
    collections::{HashMap, HashSet},
    ffi::CString,
    fs::File,
    os::{
        fd::{AsRawFd as _, FromRawFd as _, OwnedFd},
        unix::{ffi::OsStrExt as _, fs::MetadataExt as _},
    },
    path::Path,
};

use super::{Proc, field, link_text, number_in_link, read_number};

/// Name spaces that are remembered, and levels that are gone up: the kernel allows 33.
const MAX_NAMESPACES: usize = 1024;
const MAX_LEVELS: usize = 33;

/// Bytes of a number in a file of `/proc/sys/user`.
const NUMBER: usize = 32;

/// include/uapi/linux/nsfs.h.
const NS_GET_PARENT: libc::Ioctl = 0xb702;
const NS_GET_OWNER_UID: libc::Ioctl = 0xb704;

/// A user in a user name space.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Ucounts {
    /// Inode of the name space, 0 for the tracer's own.
    pub(super) namespace: u64,
    /// As the tracer's name space numbers users.
    pub(super) user: u32,
}

impl Ucounts {
    /// As limits name it.
    pub(super) fn scope(self) -> String {
        match self.namespace {
            0 => format!("user:{}", self.user),
            namespace => format!("user:{} in userns:[{namespace}]", self.user),
        }
    }
}

/// What a user may have in a name space; `None` where it cannot be read.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct InotifyLimits {
    pub(super) instances: Option<u64>,
    pub(super) watches: Option<u64>,
}

#[derive(Clone, Copy, Debug)]
struct Namespace {
    limits: InotifyLimits,
    /// Whom its use is counted for too. `None` for the tracer's own.
    above: Option<Ucounts>,
}

/// User name spaces, as they were when they were met first.
#[derive(Clone, Debug, Default)]
pub(super) struct UserNamespaces {
    own: Option<u64>,
    known: HashMap<u64, Namespace>,
    /// Those that were read since limits were to be read anew.
    fresh: HashSet<u64>,
}

impl UserNamespaces {
    /// Limits are read anew from then on.
    pub(super) fn forget(&mut self) {
        self.fresh.clear();
    }

    /// Whom a process with an effective user is counted for, the nearest first.
    pub(super) fn counted_for(&mut self, proc: &Proc, pid: u32, user: u32) -> Vec<Ucounts> {
        let own = *self.own.get_or_insert_with(|| proc.own_user_namespace());
        let namespace = proc.user_namespace(pid, own);
        if !self.fresh.contains(&namespace) {
            self.learn(proc, pid, namespace, own);
        }
        let mut all = vec![Ucounts { namespace, user }];
        for _ in 0..MAX_LEVELS {
            let last = all.last().map_or(0, |last| last.namespace);
            let Some(above) = self.known.get(&last).and_then(|known| known.above) else {
                break;
            };
            all.push(above);
        }
        all
    }

    /// What is allowed there.
    pub(super) fn limits(&self, namespace: u64) -> InotifyLimits {
        let known = self.known.get(&namespace);
        known.map_or_else(InotifyLimits::default, |known| known.limits)
    }

    /// Reads a name space and those above it.
    fn learn(&mut self, proc: &Proc, pid: u32, namespace: u64, own: u64) {
        if self.known.len() >= MAX_NAMESPACES {
            self.known.clear();
            self.fresh.clear();
        }
        let outermost = Namespace {
            limits: proc.own_inotify_limits(),
            above: None,
        };
        self.known.insert(0, outermost);
        self.fresh.insert(0);
        let mut next = match namespace {
            0 => None,
            _ => File::open(proc.of(pid, "ns/user")).ok().map(OwnedFd::from),
        };
        let mut namespace = namespace;
        for _ in 0..MAX_LEVELS {
            let Some(file) = next.take().filter(|_| namespace != 0) else {
                break;
            };
            let parent = parent_of(&file);
            let number = parent.as_ref().and_then(inode).unwrap_or(0);
            let number = if number == own { 0 } else { number };
            let known = Namespace {
                limits: limits_inside(&file, proc.root()),
                above: owner_of(&file).map(|user| Ucounts {
                    namespace: number,
                    user,
                }),
            };
            self.known.insert(namespace, known);
            self.fresh.insert(namespace);
            namespace = number;
            next = parent;
        }
    }
}

impl Proc {
    /// The tracer's user name space, 0 where that is not known.
    pub(super) fn own_user_namespace(&self) -> u64 {
        let link = link_text(&self.root.join("self/ns/user")).unwrap_or_default();
        number_in_link(&link, "user").unwrap_or(0)
    }

    /// A process's user name space; 0 is the tracer's own, or one that cannot be read.
    pub(super) fn user_namespace(&self, pid: u32, own: u64) -> u64 {
        let link = link_text(&self.of(pid, "ns/user")).unwrap_or_default();
        let namespace = number_in_link(&link, "user").unwrap_or(0);
        if namespace == own { 0 } else { namespace }
    }

    /// The effective user of a process.
    pub(super) fn effective_user(&self, pid: u32) -> Option<u32> {
        let status = self.text_of(pid, "status")?;
        let mut users = field(&status, "Uid:")?.split_ascii_whitespace();
        users.nth(1)?.parse().ok()
    }

    /// Limits of the tracer's own name space.
    fn own_inotify_limits(&self) -> InotifyLimits {
        let limit = |here: &str, everywhere: &str| {
            let here = read_number(&self.root.join("sys/user").join(here));
            here.or_else(|| self.sysctl(everywhere))
        };
        InotifyLimits {
            instances: limit("max_inotify_instances", "fs/inotify/max_user_instances"),
            watches: limit("max_inotify_watches", "fs/inotify/max_user_watches"),
        }
    }
}

fn inode(file: &OwnedFd) -> Option<u64> {
    let file = File::from(file.try_clone().ok()?);
    Some(file.metadata().ok()?.ino())
}

/// The name space above one; the kernel shows it only below the tracer's own.
fn parent_of(namespace: &OwnedFd) -> Option<OwnedFd> {
    // SAFETY: NS_GET_PARENT takes no argument.
    let parent = unsafe { libc::ioctl(namespace.as_raw_fd(), NS_GET_PARENT) };
    // SAFETY: the kernel has just made this descriptor for us.
    (parent >= 0).then(|| unsafe { OwnedFd::from_raw_fd(parent) })
}

fn owner_of(namespace: &OwnedFd) -> Option<u32> {
    let mut owner: libc::uid_t = 0;
    // SAFETY: the kernel writes one uid_t.
    let result = unsafe { libc::ioctl(namespace.as_raw_fd(), NS_GET_OWNER_UID, &raw mut owner) };
    (result == 0).then_some(owner)
}

/// Limits of another name space. `/proc/sys/user` shows its reader's, so a child enters it to
/// read; a process with threads cannot.
fn limits_inside(namespace: &OwnedFd, root: &Path) -> InotifyLimits {
    let path = |name: &str| CString::new(root.join("sys/user").join(name).as_os_str().as_bytes());
    let (Ok(instances), Ok(watches)) = (path("max_inotify_instances"), path("max_inotify_watches"))
    else {
        return InotifyLimits::default();
    };
    let mut ends = [0; 2];
    // SAFETY: the kernel writes two descriptors.
    if unsafe { libc::pipe2(ends.as_mut_ptr(), libc::O_CLOEXEC) } != 0 {
        return InotifyLimits::default();
    }
    // SAFETY: the kernel has just made both for us.
    let [from, to] = ends.map(|end| unsafe { OwnedFd::from_raw_fd(end) });
    // SAFETY: the child calls nothing but what is safe after fork in a process with threads, and
    // ends without a return.
    let child = unsafe { libc::fork() };
    if child == 0 {
        // SAFETY: as above.
        unsafe {
            tell_numbers(
                namespace.as_raw_fd(),
                [&instances, &watches],
                to.as_raw_fd(),
            )
        };
    }
    drop(to);
    let mut answer = Vec::new();
    if child > 0 {
        let _ = std::io::Read::read_to_end(&mut File::from(from), &mut answer);
        // SAFETY: waits for our own child, and wants no status.
        unsafe { libc::waitpid(child, std::ptr::null_mut(), 0) };
    }
    let number = |index: usize| {
        let bytes = answer.get(index * NUMBER..(index + 1) * NUMBER)?;
        let text = std::str::from_utf8(bytes).ok()?;
        text.trim_end_matches('\0').trim().parse().ok()
    };
    InotifyLimits {
        instances: number(0),
        watches: number(1),
    }
}

/// The child's part: enters the name space and writes what the files say, each in [`NUMBER`] bytes.
///
/// # Safety
/// Only for a child that has just been forked: it ends.
unsafe fn tell_numbers(namespace: i32, paths: [&CString; 2], to: i32) -> ! {
    // SAFETY: every pointer is to a live buffer of the given length; the paths end in a zero byte.
    unsafe {
        if libc::setns(namespace, libc::CLONE_NEWUSER) == 0 {
            for path in paths {
                let mut text = [0_u8; NUMBER];
                let file = libc::open(path.as_ptr(), libc::O_RDONLY | libc::O_CLOEXEC);
                libc::read(file, text.as_mut_ptr().cast(), text.len());
                libc::write(to, text.as_ptr().cast(), text.len());
            }
        }
        libc::_exit(0)
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "tests")]
    use std::process::{Command, Stdio};

    use super::*;

    #[test]
    fn the_limit_of_a_process_in_another_user_name_space_is_that_name_spaces() {
        let script = "echo 7 > /proc/sys/user/max_inotify_instances; echo ready; read _";
        let Ok(mut child) = Command::new("unshare")
            .args(["-Ur", "sh", "-c", script])
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
        else {
            eprintln!("skipped: no unshare here");
            return;
        };
        let mut line = String::new();
        let out = child.stdout.take().unwrap();
        std::io::BufRead::read_line(&mut std::io::BufReader::new(out), &mut line).unwrap();
        let proc = Proc::default();
        let mut namespaces = UserNamespaces::default();
        let user = proc.effective_user(child.id()).unwrap();
        let counted_for = namespaces.counted_for(&proc, child.id(), user);
        let mine = namespaces.counted_for(&proc, std::process::id(), user);
        drop(child.stdin.take());
        child.wait().unwrap();
        if line.trim() != "ready" {
            eprintln!("skipped: no user name spaces here");
            return;
        }
        assert_eq!(mine, [Ucounts { namespace: 0, user }]);
        assert_eq!(counted_for.len(), 2, "{counted_for:?}");
        assert_eq!(counted_for[1], mine[0]);
        assert_ne!(counted_for[0].namespace, 0);
        assert_eq!(
            namespaces.limits(counted_for[0].namespace).instances,
            Some(7)
        );
        assert_eq!(namespaces.limits(0), proc.own_inotify_limits());
    }
}
