//! The processors that leaktrace runs on, by the names that tools have for them.

use std::env::consts;

use clap::ValueEnum;

/// An architecture.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum Arch {
    #[value(name = "x86_64")]
    X86_64,
    #[value(name = "aarch64")]
    Aarch64,
}

impl Arch {
    /// `None` where leaktrace does not run on this machine.
    pub(crate) fn of_this_machine() -> Option<Arch> {
        Arch::from_str(consts::ARCH, false).ok()
    }

    /// Whether this machine is of another one.
    pub(crate) fn is_foreign(self) -> bool {
        Arch::of_this_machine() != Some(self)
    }

    /// Rust's and the kernel's name.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Arch::X86_64 => "x86_64",
            Arch::Aarch64 => "aarch64",
        }
    }

    /// Debian's name.
    pub(crate) fn debian(self) -> &'static str {
        match self {
            Arch::X86_64 => "amd64",
            Arch::Aarch64 => "arm64",
        }
    }

    /// GNU's name of the system, as in its compilers' names.
    pub(crate) fn gnu(self) -> String {
        format!("{}-linux-gnu", self.name())
    }

    /// Rust's name of the system.
    pub(crate) fn triple(self) -> String {
        format!("{}-unknown-linux-gnu", self.name())
    }

    /// The compilers' flag that distributions build with, so that a return or a jump cannot be turned elsewhere:
    /// aarch64 signs return addresses.
    pub(crate) fn branch_protection(self) -> &'static str {
        match self {
            Arch::X86_64 => "-fcf-protection=full",
            Arch::Aarch64 => "-mbranch-protection=standard",
        }
    }
}
