//! Inputs for tests of what reads and writes them.

use leak_common::{ProcessId, unwind::FileKey};

use super::Input;
use crate::event::{CodeMapped, Event, Notice, sample};

/// One of everything that happens, a millisecond apart, of pid 77: 10 of them have rows.
pub(crate) fn inputs() -> Vec<Input> {
    let process = ProcessId::new(77, 5);
    let mut inputs = Vec::new();
    for event in sample::events() {
        if matches!(event, Event::Exited { .. }) {
            inputs.push(Input::Failed(sample::failed()));
        }
        inputs.push(Input::Event(event));
    }
    let mapped = CodeMapped {
        time: 1_000_000,
        process,
        file: FileKey {
            inode: 1,
            changed_seconds: 0,
            changed_nanoseconds: 0,
            device: 0,
        },
        start: 0,
        end: 0,
        offset: 0,
        wanted: false,
    };
    inputs.insert(2, Input::Notice(Notice::CodeMapped(mapped)));
    inputs
}
