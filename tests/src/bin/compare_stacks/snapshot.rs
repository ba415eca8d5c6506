//! Where the stacks come from: the kernel walks them, and hands out with each the
//! registers and memory it was walked from.

use std::time::Duration;

pub(crate) use leak_user::event::StackSnapshot as Snapshot;

/// A source of snapshots. Their frames are expected as they are in memory: the
/// instruction pointer, which is behind the `syscall`, then return addresses.
pub(crate) trait Snapshots {
    /// The next one, or nothing if none came within `patience`.
    ///
    /// # Errors
    /// Where no more will come.
    fn next(&mut self, patience: Duration) -> Result<Option<Snapshot>, String>;

    /// How many were lost since the last time this was asked.
    fn lost(&mut self) -> u64;
}

/// Snapshots of all acquisitions in descendants of this process, from now on.
///
/// # Errors
/// Where the tracer does not load or attach.
// TO FILL: open `leak_user::bpf::Tracer` with `Options { snapshots: true, by_pid: true,
// follow_own_children: true, all_events: true, prompt: true, .. }`, keep the unwind
// tables of the traced up to date as `trace` does, and hand out each
// `Event::Snapshot` that is decoded.
pub(crate) fn of_descendants() -> Result<Box<dyn Snapshots>, String> {
    Err("the kernel side hands out no snapshots yet".to_owned())
}
