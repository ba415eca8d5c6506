//! Which of the frames that were walked are frames of functions, and which of those native
//! code entered. Versions tell that in different ways:
//!
//! * to 3.10, each frame has a native frame of its own;
//! * in 3.11, a frame says itself whether native code entered it;
//! * from 3.12 on, a frame without a function follows the one that native code entered.

use leak_common::{
    config::ABSENT,
    unwind::{PythonFrame, PythonLayout},
};

/// The frames of functions among those that were walked, with [`PythonFrame::ENTRY`]
/// set on each that native code entered.
#[must_use]
pub fn function_frames(layout: &PythonLayout, walked: &[PythonFrame]) -> Vec<PythonFrame> {
    let mut frames: Vec<PythonFrame> = Vec::with_capacity(walked.len());
    for frame in walked {
        let entry = frame.place & PythonFrame::ENTRY != 0;
        if layout.entry_apart != 0 && entry {
            if let Some(entered) = frames.last_mut() {
                entered.place |= PythonFrame::ENTRY;
            }
            continue;
        }
        let mut frame = *frame;
        if layout.frame_entry == ABSENT {
            frame.place |= PythonFrame::ENTRY;
        }
        frames.push(frame);
    }
    frames
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::stacks::runtimes::python::layout::of_version;

    fn frame(entry: bool) -> PythonFrame {
        PythonFrame {
            code: 0x1000,
            place: if entry { PythonFrame::ENTRY | 7 } else { 7 },
        }
    }

    fn layout(frame_entry: u32, entry_apart: u32) -> PythonLayout {
        let (layout, _) = of_version(11).expect("it is known");
        PythonLayout {
            frame_entry,
            entry_apart,
            ..layout
        }
    }

    #[test]
    fn entries_apart_become_marks_of_the_frames_they_entered() {
        let walked = [false, false, true, false, true].map(frame);
        assert_eq!(
            function_frames(&layout(70, 1), &walked),
            [false, true, true].map(frame)
        );
        assert_eq!(function_frames(&layout(68, 0), &walked), walked);
    }

    #[test]
    fn each_frame_of_old_versions_is_an_entry() {
        let walked = [false, false].map(frame);
        assert_eq!(
            function_frames(&layout(ABSENT, 0), &walked),
            [true, true].map(frame)
        );
    }
}
