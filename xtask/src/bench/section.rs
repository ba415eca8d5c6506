//! The sections of the document: each is a thing that can be measured by itself.

/// What can be measured by itself.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub(crate) enum Section {
    Loops,
    Servers,
    Stacks,
    Own,
    Capture,
    Record,
}

impl Section {
    /// All of them, in the order of the document.
    pub(super) const ALL: [Section; 6] = [
        Section::Loops,
        Section::Servers,
        Section::Stacks,
        Section::Own,
        Section::Capture,
        Section::Record,
    ];

    /// The word for it on the command line.
    pub(super) fn word(self) -> &'static str {
        match self {
            Section::Loops => "loops",
            Section::Servers => "servers",
            Section::Stacks => "stacks",
            Section::Own => "own",
            Section::Capture => "capture",
            Section::Record => "record",
        }
    }

    pub(super) fn heading(self) -> &'static str {
        match self {
            Section::Loops => "## One thread in a tight loop\n",
            Section::Servers => "## Servers under load\n",
            Section::Stacks => "## What a stack costs\n",
            Section::Own => "## What leaktrace takes for itself\n",
            Section::Capture => "## What an event takes in a recording\n",
            Section::Record => "## Recording all events\n",
        }
    }

    /// Programs that it needs, each with the package that has it.
    pub(super) fn programs(self) -> &'static [(&'static str, &'static str)] {
        match self {
            Section::Loops => &[("bpftrace", "bpftrace")],
            Section::Servers => &[
                ("bpftrace", "bpftrace"),
                ("nginx", "nginx-light"),
                ("wrk", "wrk"),
                ("redis-server", "redis-server"),
                ("redis-benchmark", "redis-tools"),
            ],
            Section::Stacks => &[("bpftrace", "bpftrace"), ("gcc", "gcc")],
            Section::Own | Section::Capture => &[],
            Section::Record => &[("perf", "linux-perf")],
        }
    }

    /// The section as it stands in the document.
    pub(super) fn with(self, text: &str) -> String {
        format!("{}\n{text}", self.heading())
    }
}
