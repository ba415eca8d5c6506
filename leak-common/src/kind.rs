//! Kinds of resource and the name spaces their handles live in.

use crate::numbered::numbered;

numbered! {
    /// A kind of resource. The numbers are part of the wire format and of recordings: never
    /// reuse one.
    #[derive(PartialOrd, Ord)]
    pub enum Kind: u32 {
        File = 1,
        Directory = 2,
        Socket = 3,
        Pipe = 4,
        Eventfd = 5,
        Epoll = 6,
        Timerfd = 7,
        Signalfd = 8,
        Inotify = 9,
        Memfd = 10,
        Pidfd = 11,
        Iouring = 12,
        /// Any other descriptor.
        Anon = 13,
        Mapping = 14,
        /// A System V shared memory segment (the segment, not an attachment).
        Shm = 15,
        Heap = 16,
        Thread = 17,
        Process = 18,
    }
}

impl Kind {
    /// The name used on the command line and in every report.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Kind::File => "file",
            Kind::Directory => "directory",
            Kind::Socket => "socket",
            Kind::Pipe => "pipe",
            Kind::Eventfd => "eventfd",
            Kind::Epoll => "epoll",
            Kind::Timerfd => "timerfd",
            Kind::Signalfd => "signalfd",
            Kind::Inotify => "inotify",
            Kind::Memfd => "memfd",
            Kind::Pidfd => "pidfd",
            Kind::Iouring => "iouring",
            Kind::Anon => "anon",
            Kind::Mapping => "mapping",
            Kind::Shm => "shm",
            Kind::Heap => "heap",
            Kind::Thread => "thread",
            Kind::Process => "process",
        }
    }

    /// The kind with this name, if there is one.
    #[must_use]
    pub fn from_name(name: &str) -> Option<Kind> {
        Self::ALL.into_iter().find(|kind| kind.name() == name)
    }

    /// The name space of this kind's handles.
    #[must_use]
    pub const fn class(self) -> Class {
        match self {
            Kind::File
            | Kind::Directory
            | Kind::Socket
            | Kind::Pipe
            | Kind::Eventfd
            | Kind::Epoll
            | Kind::Timerfd
            | Kind::Signalfd
            | Kind::Inotify
            | Kind::Memfd
            | Kind::Pidfd
            | Kind::Iouring
            | Kind::Anon => Class::Descriptor,
            Kind::Mapping => Class::Mapping,
            Kind::Shm => Class::Shm,
            Kind::Heap => Class::Heap,
            Kind::Thread => Class::Thread,
            Kind::Process => Class::Process,
        }
    }

    /// This kind's bit in a [`KindSet`].
    #[must_use]
    pub const fn bit(self) -> u32 {
        1 << (self as u32)
    }
}

/// A set of kinds.
#[derive(Clone, Copy, PartialEq, Eq, Default)]
#[repr(transparent)]
pub struct KindSet(u32);

impl KindSet {
    /// Every kind there is.
    pub const ALL: KindSet = {
        let mut bits = 0;
        let mut index = 0;
        while index < Kind::ALL.len() {
            bits |= Kind::ALL[index].bit();
            index += 1;
        }
        KindSet(bits)
    };

    /// A set from its number in the programs' configuration or in a recording. Bits of kinds that do not exist here
    /// are dropped.
    #[must_use]
    pub const fn from_bits(bits: u32) -> KindSet {
        KindSet(bits & KindSet::ALL.0)
    }

    /// The set's number: the sum of [`Kind::bit`].
    #[must_use]
    pub const fn bits(self) -> u32 {
        self.0
    }

    #[must_use]
    pub const fn contains(self, kind: Kind) -> bool {
        self.0 & kind.bit() != 0
    }

    /// The set without one kind.
    #[must_use]
    pub const fn without(self, kind: Kind) -> KindSet {
        KindSet(self.0 & !kind.bit())
    }

    /// Whether all kinds of another set are in this one.
    #[must_use]
    pub const fn includes(self, other: KindSet) -> bool {
        other.0 & !self.0 == 0
    }

    /// The kinds, in the order of their numbers.
    pub fn iter(self) -> impl Iterator<Item = Kind> {
        Kind::ALL
            .into_iter()
            .filter(move |kind| self.contains(*kind))
    }
}

impl FromIterator<Kind> for KindSet {
    fn from_iter<I: IntoIterator<Item = Kind>>(kinds: I) -> KindSet {
        KindSet(kinds.into_iter().fold(0, |bits, kind| bits | kind.bit()))
    }
}

impl core::fmt::Debug for KindSet {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        f.debug_set().entries(self.iter()).finish()
    }
}

numbered! {
    /// The name space of a handle: two resources of one class and one owner never
    /// have the same handle at the same time.
    #[derive(PartialOrd, Ord)]
    pub enum Class: u32 {
        /// Handle: the descriptor's number.
        Descriptor = 1,
        /// Handle: the mapping's first address.
        Mapping = 2,
        /// Handle: IPC name space number and segment id; the owner is nobody, since
        /// a segment outlives its creator.
        Shm = 3,
        /// Handle: the block's address.
        Heap = 4,
        /// Handle: the thread's task identity.
        Thread = 5,
        /// Handle: the child's task identity; looked up without an owner, since it
        /// is released wherever its last reference goes.
        Process = 6,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_set_holds_what_was_put_in_and_no_unknown_kinds() {
        let set: KindSet = [Kind::Process, Kind::File].into_iter().collect();
        assert!(set.iter().eq([Kind::File, Kind::Process]));
        assert!(set.contains(Kind::File) && !set.contains(Kind::Socket));
        assert_eq!(KindSet::from_bits(set.bits()), set);
        assert_eq!(KindSet::from_bits(u32::MAX), KindSet::ALL);
        assert_eq!(KindSet::ALL.iter().count(), Kind::ALL.len());
        assert!(KindSet::ALL.includes(set) && !set.includes(KindSet::ALL));
        assert!(set.without(Kind::File).iter().eq([Kind::Process]));
    }

    #[test]
    fn every_kind_survives_the_wire_and_its_name() {
        for kind in Kind::ALL {
            assert_eq!(Kind::from_wire(kind as u32), Some(kind));
            assert_eq!(Kind::from_name(kind.name()), Some(kind));
            assert_eq!(Class::from_wire(kind.class() as u32), Some(kind.class()));
        }
        assert_eq!(Kind::from_wire(0), None);
        assert_eq!(Kind::from_wire(19), None);
        assert_eq!(Kind::from_name("nonsense"), None);
        assert_eq!(Class::from_wire(0), None);
        assert_eq!(Class::from_wire(7), None);
    }
}
