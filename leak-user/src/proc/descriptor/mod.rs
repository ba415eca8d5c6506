//! Open descriptors: their numbers and kinds.

pub(super) mod asked;

use std::path::{Path, PathBuf};

use leak_common::Kind;

use super::{
    Proc,
    file_state::{file_state, is_on_file_system},
    link_text, numbers_in,
};

/// `mqueue` file systems (include/uapi/linux/magic.h).
const MQUEUE_MAGIC: u32 = 0x1980_0202;

/// What the inode behind a descriptor is, where the link is a path.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Inode {
    Directory,
    Pipe,
    /// A POSIX message queue: a regular file in the kernel's eyes.
    MessageQueue,
    /// Regular files and devices, and what could not be asked.
    File,
}

/// The kind of a descriptor by the target of its link in `/proc/PID/fd`. `inode`
/// is asked only where the link is a path that can be several things.
#[must_use]
pub fn classify(link: &str, inode: impl FnOnce() -> Inode) -> Kind {
    if let Some(name) = link.strip_prefix("anon_inode:") {
        return anonymous(name);
    }
    if !link.starts_with('/') {
        return match link.split_once(':') {
            Some(("socket", _)) => Kind::Socket,
            Some(("pipe", _)) => Kind::Pipe,
            Some(("pidfd", _)) => Kind::Pidfd,
            Some(("inotify", _)) => Kind::Inotify,
            // The name spaces of a process (`net:[4026531833]`) are opened as files.
            _ => Kind::File,
        };
    }
    // Both live on a mount that nobody sees, hence without a real path.
    if link.starts_with("/memfd:") && link.ends_with(" (deleted)") {
        return Kind::Memfd;
    }
    if link == "/secretmem (deleted)" || link == "/secretmem" {
        return Kind::Memfd;
    }
    match inode() {
        Inode::Directory => Kind::Directory,
        Inode::Pipe => Kind::Pipe,
        Inode::MessageQueue => Kind::Anon,
        Inode::File => Kind::File,
    }
}

fn anonymous(name: &str) -> Kind {
    // Some names have brackets, some do not, and it changed over time.
    match name.trim_start_matches('[').trim_end_matches(']') {
        "eventfd" => Kind::Eventfd,
        "eventpoll" => Kind::Epoll,
        "timerfd" => Kind::Timerfd,
        "signalfd" => Kind::Signalfd,
        "inotify" => Kind::Inotify,
        "io_uring" => Kind::Iouring,
        "pidfd" => Kind::Pidfd,
        // bpf-map, bpf-prog, perf_event, fanotify, userfaultfd, fscontext,
        // landlock-ruleset, seccomp notify, kvm-vm, ...
        _ => Kind::Anon,
    }
}

/// Asks what the inode behind a link in `/proc/PID/fd` is.
fn inode_behind(descriptor: &Path, link: &str) -> Inode {
    let Ok(state) = file_state(descriptor) else {
        return Inode::File;
    };
    match state.mode & libc::S_IFMT {
        libc::S_IFDIR => Inode::Directory,
        libc::S_IFIFO => Inode::Pipe,
        // A queue's path is its name below the root of a mount nobody sees.
        libc::S_IFREG
            if state.unnamed_device
                && link.rfind('/') == Some(0)
                && is_on_file_system(descriptor, MQUEUE_MAGIC) =>
        {
            Inode::MessageQueue
        }
        _ => Inode::File,
    }
}

impl Proc {
    /// The open descriptors of a process and their kinds, also when its first thread
    /// exited. `None` where it is gone, a zombie or may not be read.
    #[must_use]
    pub fn descriptors(&self, pid: u32) -> Option<Vec<(u32, Kind)>> {
        self.seen_by_a_thread(pid, |thread| self.descriptors_of(thread))
    }

    /// The same with the tables that some of its threads have of their own: a number stands there
    /// as often as it is open.
    #[must_use]
    pub fn descriptors_with(&self, pid: u32, threads: &[u32]) -> Option<Vec<(u32, Kind)>> {
        let mut descriptors = self.descriptors(pid)?;
        for &thread in threads {
            // It may have ended since: its descriptors with it.
            descriptors.extend(self.descriptors_of_thread(pid, thread).unwrap_or_default());
        }
        Some(descriptors)
    }

    fn descriptors_of_thread(&self, pid: u32, thread: u32) -> Option<Vec<(u32, Kind)>> {
        self.descriptors_in(self.of(pid, &format!("task/{thread}/fd")))
    }

    /// What is seen of descriptors by a thread that still has them all.
    fn seen_by_a_thread<T>(&self, pid: u32, see: impl Fn(u32) -> Option<T>) -> Option<T> {
        let seen = see(pid)?;
        if !self.is_ending(pid) {
            return Some(seen);
        }
        let thread = self.thread_with_memory(pid)?;
        let seen = see(thread)?;
        (!self.is_ending(thread)).then_some(seen)
    }

    fn descriptors_of(&self, pid: u32) -> Option<Vec<(u32, Kind)>> {
        self.descriptors_in(self.of(pid, "fd"))
    }

    fn descriptors_in(&self, directory: PathBuf) -> Option<Vec<(u32, Kind)>> {
        let numbers = numbers_in(&directory).ok()?;
        let mut descriptors = Vec::new();
        // One path for all: this runs once for each descriptor of the host.
        let mut path = directory.into_os_string();
        path.push("/");
        let prefix = path.len();
        let mut path = path.into_string().ok()?;
        for number in numbers {
            path.truncate(prefix);
            path.push_str(&number.to_string());
            let path = Path::new(&path);
            // Closed since the directory was read.
            let Ok(link) = link_text(path) else {
                continue;
            };
            descriptors.push((number, classify(&link, || inode_behind(path, &link))));
        }
        Some(descriptors)
    }

    /// The kind of one descriptor, `None` where it is closed.
    #[must_use]
    pub fn descriptor_kind(&self, pid: u32, number: u32) -> Option<Kind> {
        let name = format!("fd/{number}");
        let mut path = self.of(pid, &name);
        let link = link_text(&path).ok().or_else(|| {
            let thread = self.thread_with_memory(pid)?;
            path = self.of(thread, &name);
            (thread != pid).then(|| link_text(&path).ok())?
        })?;
        Some(classify(&link, || inode_behind(&path, &link)))
    }

    /// How many descriptors a process has open.
    #[must_use]
    pub fn count_descriptors(&self, pid: u32) -> Option<u64> {
        self.seen_by_a_thread(pid, |thread| self.count_descriptors_of(thread))
    }

    fn count_descriptors_of(&self, pid: u32) -> Option<u64> {
        let directory = self.of(pid, "fd");
        // Since Linux 6.2 the directory's size is their number.
        match std::fs::metadata(&directory).ok()?.len() {
            0 => Some(numbers_in(&directory).ok()?.count() as u64),
            _ if self.root != Path::new("/proc") => {
                Some(numbers_in(&directory).ok()?.count() as u64)
            }
            count => Some(count),
        }
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "tests")]
    use std::os::fd::{AsRawFd, FromRawFd, OwnedFd};

    use super::*;

    fn kind_of(link: &str) -> Kind {
        classify(link, || panic!("{link}: the inode is not needed"))
    }

    #[test]
    fn a_link_without_a_path_tells_the_kind() {
        let links = [
            ("socket:[15139]", Kind::Socket),
            ("pipe:[15143]", Kind::Pipe),
            ("anon_inode:[eventfd]", Kind::Eventfd),
            ("anon_inode:[eventpoll]", Kind::Epoll),
            ("anon_inode:[timerfd]", Kind::Timerfd),
            ("anon_inode:[signalfd]", Kind::Signalfd),
            ("anon_inode:inotify", Kind::Inotify),
            ("anon_inode:[io_uring]", Kind::Iouring),
            ("anon_inode:[pidfd]", Kind::Pidfd),
            ("pidfd:[77]", Kind::Pidfd),
            ("/memfd:my name (deleted)", Kind::Memfd),
            ("/memfd: (deleted)", Kind::Memfd),
            ("/secretmem (deleted)", Kind::Memfd),
            ("anon_inode:[perf_event]", Kind::Anon),
            ("anon_inode:bpf-map", Kind::Anon),
            ("anon_inode:bpf-prog", Kind::Anon),
            ("anon_inode:bpf_link", Kind::Anon),
            ("anon_inode:[fscontext]", Kind::Anon),
            ("anon_inode:[fanotify]", Kind::Anon),
            ("anon_inode:[userfaultfd]", Kind::Anon),
            ("anon_inode:[landlock-ruleset]", Kind::Anon),
            ("anon_inode:seccomp notify", Kind::Anon),
            ("anon_inode:", Kind::Anon),
            ("net:[4026531833]", Kind::File),
            ("", Kind::File),
        ];
        for (link, kind) in links {
            assert_eq!(kind_of(link), kind, "{link}");
        }
    }

    #[test]
    fn the_inode_decides_about_a_path() {
        assert_eq!(classify("/tmp", || Inode::Directory), Kind::Directory);
        assert_eq!(classify("/tmp/fifo", || Inode::Pipe), Kind::Pipe);
        assert_eq!(classify("/queue", || Inode::MessageQueue), Kind::Anon);
        assert_eq!(classify("/dev/null", || Inode::File), Kind::File);
        assert_eq!(classify("/memfd:not deleted", || Inode::File), Kind::File);
    }

    fn owned(result: libc::c_long) -> Option<OwnedFd> {
        // SAFETY: the descriptor was just made and nobody else has it.
        (result >= 0).then(|| unsafe { OwnedFd::from_raw_fd(result as i32) })
    }

    /// Descriptors of every kind this kernel and these privileges allow.
    fn one_of_each() -> Vec<(&'static str, Option<OwnedFd>, Kind)> {
        let zeros = [0u64; 32];
        let file = |path: &str| Some(OwnedFd::from(std::fs::File::open(path).unwrap()));
        // SAFETY: every pointer is to a zeroed buffer larger than the call reads
        // or writes, or to a constant string.
        unsafe {
            let zeros = zeros.as_ptr();
            let mut perf = [0u64; 16];
            perf[0] = 1 | 128 << 32;
            vec![
                (
                    "socket",
                    owned(libc::socket(libc::AF_INET, libc::SOCK_DGRAM, 0).into()),
                    Kind::Socket,
                ),
                ("eventfd", owned(libc::eventfd(0, 0).into()), Kind::Eventfd),
                ("epoll", owned(libc::epoll_create1(0).into()), Kind::Epoll),
                (
                    "timerfd",
                    owned(libc::timerfd_create(1, 0).into()),
                    Kind::Timerfd,
                ),
                (
                    "signalfd",
                    owned(libc::signalfd(-1, zeros.cast(), 0).into()),
                    Kind::Signalfd,
                ),
                (
                    "inotify",
                    owned(libc::inotify_init1(0).into()),
                    Kind::Inotify,
                ),
                (
                    "memfd",
                    owned(libc::memfd_create(c"a (b)".as_ptr(), 0).into()),
                    Kind::Memfd,
                ),
                (
                    "secretmem",
                    owned(libc::syscall(libc::SYS_memfd_secret, 0)),
                    Kind::Memfd,
                ),
                (
                    "pidfd",
                    owned(libc::syscall(libc::SYS_pidfd_open, std::process::id(), 0)),
                    Kind::Pidfd,
                ),
                (
                    "io_uring",
                    owned(libc::syscall(
                        libc::SYS_io_uring_setup,
                        4,
                        [0u64; 32].as_mut_ptr(),
                    )),
                    Kind::Iouring,
                ),
                (
                    "userfaultfd",
                    owned(libc::syscall(libc::SYS_userfaultfd, 1)),
                    Kind::Anon,
                ),
                (
                    "perf",
                    owned(libc::syscall(
                        libc::SYS_perf_event_open,
                        perf.as_ptr(),
                        0,
                        -1,
                        -1,
                        0,
                    )),
                    Kind::Anon,
                ),
                (
                    "mq",
                    owned(libc::syscall(
                        libc::SYS_mq_open,
                        c"leaktrace-test".as_ptr(),
                        libc::O_CREAT | libc::O_RDWR,
                        0o600,
                        0,
                    )),
                    Kind::Anon,
                ),
                ("directory", file("/tmp"), Kind::Directory),
                ("device", file("/dev/null"), Kind::File),
                ("program", file("/proc/self/exe"), Kind::File),
                ("name space", file("/proc/self/ns/net"), Kind::File),
            ]
        }
    }

    #[test]
    fn real_descriptors_have_their_kinds() {
        let held = one_of_each();
        let found = Proc::default().descriptors(std::process::id()).unwrap();
        for (name, descriptor, kind) in &held {
            let Some(descriptor) = descriptor else {
                continue; // The kernel or the privileges lack it.
            };
            let number = descriptor.as_raw_fd() as u32;
            assert!(
                found.contains(&(number, *kind)),
                "{name}: {number} in {found:?}"
            );
        }
        // SAFETY: a constant string.
        unsafe { libc::syscall(libc::SYS_mq_unlink, c"leaktrace-test".as_ptr()) };
    }

    #[test]
    fn the_count_is_that_of_the_list() {
        let proc = Proc::default();
        let mut child = std::process::Command::new("sleep")
            .arg("600")
            .spawn()
            .unwrap();
        let count = || proc.count_descriptors(child.id());
        let listed = || proc.descriptors(child.id()).map(|list| list.len() as u64);
        // The child closes and opens files until it sleeps.
        let deadline = std::time::Instant::now() + std::time::Duration::from_secs(60);
        while count() != listed() || count() == Some(0) {
            assert!(
                std::time::Instant::now() < deadline,
                "{:?} {:?}",
                count(),
                listed()
            );
        }
        child.kill().unwrap();
        child.wait().unwrap();
        assert_eq!(proc.descriptors(child.id()), None);
        assert_eq!(proc.count_descriptors(child.id()), None);
    }

    #[test]
    fn descriptors_are_seen_when_the_first_thread_exited() {
        let proc = Proc::default();
        let child = super::super::first_thread_gone::FirstThreadGone::start();
        let pid = child.pid();
        assert_eq!(proc.descriptors_of(pid), Some(Vec::new()));
        assert!(proc.descriptors(pid).unwrap().contains(&(1, Kind::Pipe)));
        assert_eq!(proc.descriptor_kind(pid, 1), Some(Kind::Pipe));
        assert_eq!(proc.descriptor_kind(pid, 999), None);
        let count = proc.descriptors(pid).map(|list| list.len() as u64);
        assert_eq!(proc.count_descriptors(pid), count);
        let facts = proc.status_facts(pid).unwrap();
        assert!(facts.exe.ends_with("/first_thread_gone"), "{facts:?}");
        assert_eq!(facts.cmdline.len(), 1);
        child.kill();
        // A zombie as a whole: it has none, but they were not closed one by one.
        assert!(proc.stat(pid).unwrap().is_zombie());
        assert_eq!(proc.descriptors(pid), None);
        assert_eq!(proc.mappings(pid), None);
    }
}
