//! Why the kernel refuses a resource.

use leak_common::Class;

/// Why the kernel refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Refusal {
    /// `EAGAIN` of a call that makes a thread or process.
    Tasks,
    /// `ENOMEM`.
    Memory,
    /// `ENFILE`: too many open files on the host.
    HostFiles,
    /// `EMFILE`: too many of the process.
    Files,
    /// `ENOSPC` of a call that adds a watch or a segment: not that a disk is full.
    Room,
}

impl Refusal {
    /// Every reason, in the order of its error's number.
    pub const ALL: [Refusal; 5] = [
        Refusal::Tasks,
        Refusal::Memory,
        Refusal::HostFiles,
        Refusal::Files,
        Refusal::Room,
    ];

    /// The error's number, as in include/uapi/asm-generic/errno-base.h.
    #[must_use]
    pub const fn number(self) -> u32 {
        match self {
            Refusal::Tasks => 11,
            Refusal::Memory => 12,
            Refusal::HostFiles => 23,
            Refusal::Files => 24,
            Refusal::Room => 28,
        }
    }

    /// The reason with an error's number, if it is one.
    #[must_use]
    pub fn from_number(number: u32) -> Option<Refusal> {
        Self::ALL.into_iter().find(|one| one.number() == number)
    }

    /// The reason with an error's name, if it is one.
    #[must_use]
    pub fn from_name(name: &str) -> Option<Refusal> {
        Self::ALL.into_iter().find(|one| one.name() == name)
    }

    /// Whether one who is refused for this reason can acquire no more of a class.
    #[must_use]
    pub const fn bounds(self, class: Class) -> bool {
        match self {
            Refusal::Files | Refusal::HostFiles => matches!(class, Class::Descriptor),
            Refusal::Memory => matches!(class, Class::Mapping),
            // Watches are of no class.
            Refusal::Room => matches!(class, Class::Shm),
            Refusal::Tasks => matches!(class, Class::Thread | Class::Process),
        }
    }

    /// What it means where no more is known, one sentence.
    #[must_use]
    pub const fn meaning(self) -> &'static str {
        match self {
            Refusal::Tasks => "the kernel refused to make another process or thread",
            Refusal::Memory => "the kernel had no memory, or the process may not have more",
            Refusal::HostFiles => "the host has no room for another open file",
            Refusal::Room => "the user has no room for another one",
            Refusal::Files => "the process has no room for another descriptor",
        }
    }

    /// The error as the kernel calls it.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Refusal::Tasks => "EAGAIN",
            Refusal::Memory => "ENOMEM",
            Refusal::HostFiles => "ENFILE",
            Refusal::Files => "EMFILE",
            Refusal::Room => "ENOSPC",
        }
    }
}
