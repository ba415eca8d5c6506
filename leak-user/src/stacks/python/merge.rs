//! One stack out of native frames and an interpreter's.

use leak_common::{
    config::ABSENT,
    unwind::{PythonFrame, PythonLayout},
};

/// A frame of the whole stack: which of the native ones or of the interpreter's.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Merged {
    Native(usize),
    Python(usize),
}

/// The frames of functions among those that were walked, with [`PythonFrame::ENTRY`]
/// set on each that native code entered: versions tell that in different ways.
#[must_use]
pub fn entries(layout: &PythonLayout, walked: &[PythonFrame]) -> Vec<PythonFrame> {
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

/// Puts the Python frames (from [`entries`]) in the place of the native frames that ran
/// them; all are innermost first. Each native frame of the interpreter's function
/// stands for the Python frames up to the next entry.
///
/// `complete` says that the native frames reach the outermost one. Where the numbers do
/// not fit, no Python frame and no other native frame is lost: native frames of the
/// interpreter stay when there are no Python frames for them, and left-over Python
/// frames are taken for the outermost one's, or follow at the end if `complete` is not
/// set or the interpreter's function is not among the native frames.
#[must_use]
pub fn merge(
    natives: usize,
    is_eval: impl Fn(usize) -> bool,
    complete: bool,
    python: &[PythonFrame],
) -> Vec<Merged> {
    let outermost = (0..natives)
        .rev()
        .find(|native| complete && is_eval(*native));
    let mut merged = Vec::with_capacity(natives + python.len());
    let mut next = 0;
    for native in 0..natives {
        if next == python.len() || !is_eval(native) {
            merged.push(Merged::Native(native));
            continue;
        }
        let entry = python[next..]
            .iter()
            .position(|frame| frame.place & PythonFrame::ENTRY != 0);
        let end = match entry {
            Some(entry) if outermost != Some(native) => next + entry + 1,
            _ => python.len(),
        };
        merged.extend((next..end).map(Merged::Python));
        next = end;
    }
    merged.extend((next..python.len()).map(Merged::Python));
    merged
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn frame(entry: bool) -> PythonFrame {
        PythonFrame {
            code: 0x1000,
            place: if entry { PythonFrame::ENTRY | 7 } else { 7 },
        }
    }

    /// A real stack, innermost first: a number is a native frame of the interpreter and
    /// how many Python frames it ran, `None` another native frame.
    fn real_stack() -> impl Strategy<Value = Vec<Option<usize>>> {
        prop::collection::vec(prop::option::of(1usize..4), 0..12)
    }

    /// The native frames that are the interpreter's, the Python frames, and the stack.
    fn walked(stack: &[Option<usize>]) -> (Vec<bool>, Vec<PythonFrame>, Vec<Merged>) {
        let (mut python, mut merged) = (Vec::new(), Vec::new());
        for (native, ran) in stack.iter().enumerate() {
            let Some(ran) = *ran else {
                merged.push(Merged::Native(native));
                continue;
            };
            for nth in 0..ran {
                merged.push(Merged::Python(python.len()));
                python.push(frame(nth + 1 == ran));
            }
        }
        (stack.iter().map(Option::is_some).collect(), python, merged)
    }

    proptest! {
        #[test]
        fn whole_walks_give_the_real_stack(stack in real_stack(), complete in any::<bool>()) {
            let (eval, python, expected) = walked(&stack);
            prop_assert_eq!(merge(eval.len(), |at| eval[at], complete, &python), expected);
        }

        #[test]
        fn cut_python_walks_give_the_inner_part_of_it(stack in real_stack(), kept in 0usize..20) {
            let (eval, mut python, expected) = walked(&stack);
            python.truncate(kept);
            let merged = merge(eval.len(), |at| eval[at], true, &python);
            let inner: Vec<_> = expected
                .iter()
                .copied()
                .take_while(|it| !matches!(it, Merged::Python(at) if *at >= python.len()))
                .collect();
            prop_assert_eq!(&merged[..inner.len()], &inner[..]);
        }

        #[test]
        fn nothing_is_lost_or_reordered(
            eval in prop::collection::vec(any::<bool>(), 0..20),
            entry in prop::collection::vec(any::<bool>(), 0..20),
            complete in any::<bool>(),
        ) {
            let python: Vec<_> = entry.iter().copied().map(frame).collect();
            let merged = merge(eval.len(), |at| eval[at], complete, &python);
            let kept = |wanted: fn(&Merged) -> Option<usize>| -> Vec<usize> {
                merged.iter().filter_map(wanted).collect()
            };
            let all_python: Vec<_> = (0..python.len()).collect();
            prop_assert_eq!(
                kept(|it| match it { Merged::Python(at) => Some(*at), Merged::Native(_) => None }),
                all_python
            );
            let natives = kept(|it| match it { Merged::Native(at) => Some(*at), Merged::Python(_) => None });
            prop_assert!(natives.is_sorted());
            for native in (0..eval.len()).filter(|at| !eval[*at]) {
                prop_assert!(natives.contains(&native));
            }
        }
    }

    #[test]
    fn left_over_frames_stay_inside_of_main() {
        // read, an unknown part of the interpreter, sort, the interpreter, main.
        let eval = [false, false, false, true, false];
        let python = [frame(true), frame(false), frame(true)];
        let expected = [
            Merged::Native(0),
            Merged::Native(1),
            Merged::Native(2),
            Merged::Python(0),
            Merged::Python(1),
            Merged::Python(2),
            Merged::Native(4),
        ];
        assert_eq!(merge(5, |at| eval[at], true, &python), expected);
    }

    #[test]
    fn left_over_frames_are_outside_of_a_cut_native_walk() {
        let eval = [false, true, false];
        let python = [frame(true), frame(true)];
        let expected = [
            Merged::Native(0),
            Merged::Python(0),
            Merged::Native(2),
            Merged::Python(1),
        ];
        assert_eq!(merge(3, |at| eval[at], false, &python), expected);
    }

    fn layout(frame_entry: u32, entry_apart: u32) -> PythonLayout {
        let (layout, _) = super::super::layout::of_version(11).expect("it is known");
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
            entries(&layout(70, 1), &walked),
            [false, true, true].map(frame)
        );
        assert_eq!(entries(&layout(68, 0), &walked), walked);
    }

    #[test]
    fn each_frame_of_old_versions_is_an_entry() {
        let walked = [false, false].map(frame);
        assert_eq!(
            entries(&layout(ABSENT, 0), &walked),
            [true, true].map(frame)
        );
    }
}
