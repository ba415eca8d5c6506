//! One stack out of native frames and a runtime's.

use std::sync::Arc;

use super::{Name, Runtime};
use crate::model::{hex::Hex, report::Frame};

/// The frames of a runtime in one stack, innermost first.
#[derive(Clone, Debug)]
pub struct RuntimeStack {
    pub runtime: Arc<Runtime>,
    pub frames: Vec<NamedFrame>,
}

/// A frame of a function of a runtime.
#[derive(Clone, Debug)]
pub struct NamedFrame {
    /// Tells it from others; what lies there is up to the runtime.
    pub address: u64,
    /// Native code entered it.
    pub entered: bool,
    pub name: Option<Name>,
}

/// The whole stack: a runtime's frames in the place of the native frames that ran them.
/// `complete` says that the native frames reach the outermost one.
#[must_use]
pub fn merge(stack: &RuntimeStack, native: Vec<Frame>, complete: bool) -> Vec<Frame> {
    let mut groups = with_inlined(native);
    let runs = |index: usize| {
        let outermost = groups.get(index).and_then(|group| group.last());
        outermost.is_some_and(|frame| stack.runtime.runs_in(frame))
    };
    let entered: Vec<bool> = stack.frames.iter().map(|frame| frame.entered).collect();
    let mut frames = Vec::new();
    for source in order(groups.len(), runs, complete, &entered) {
        match source {
            Source::Native(index) => frames.append(&mut groups[index]),
            Source::Runtime(index) => frames.push(shown(&stack.runtime, &stack.frames[index])),
        }
    }
    frames
}

/// Native frames, each with the functions inlined into it before it.
fn with_inlined(native: Vec<Frame>) -> Vec<Vec<Frame>> {
    let mut groups: Vec<Vec<Frame>> = Vec::new();
    let mut group = Vec::new();
    for frame in native {
        let ends = !frame.inlined;
        group.push(frame);
        if ends {
            groups.push(std::mem::take(&mut group));
        }
    }
    if !group.is_empty() {
        groups.push(group);
    }
    groups
}

/// What a report shows of a runtime's frame.
fn shown(runtime: &Runtime, frame: &NamedFrame) -> Frame {
    let mut shown = Frame {
        address: Hex(frame.address),
        module: runtime.name(),
        ..Frame::default()
    };
    if let Some(name) = &frame.name {
        shown.symbol.clone_from(&name.function);
        shown.file = Some(name.file.clone());
        shown.line = name.line;
    }
    shown
}

/// Where a frame of the whole stack comes from: which of the native frames, or of the
/// runtime's.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Source {
    Native(usize),
    Runtime(usize),
}

/// In which order native frames and a runtime's make one stack; all are innermost first. A
/// native frame of the function that runs the runtime's code (`runs`) is replaced by the
/// runtime's frames up to the next one that native code entered.
///
/// Example: native `open, run, sort, run, main`, and the runtime's frames `key*, by, top*`
/// (a star: native code entered it) become `open, key, sort, by, top, main`.
///
/// `complete` says that the native frames reach the outermost one. Where the numbers do not
/// fit, no frame of the runtime and no other native frame is lost. A native frame that runs
/// the runtime's code stays if no frame is left for it. Frames of the runtime that are left
/// over belong to the outermost native frame that runs its code; they follow at the end if
/// there is none, or `complete` is not set.
fn order(
    natives: usize,
    runs: impl Fn(usize) -> bool,
    complete: bool,
    entered: &[bool],
) -> Vec<Source> {
    let outermost = (0..natives).rev().find(|native| complete && runs(*native));
    let mut order = Vec::with_capacity(natives + entered.len());
    let mut next = 0;
    for native in 0..natives {
        if next == entered.len() || !runs(native) {
            order.push(Source::Native(native));
            continue;
        }
        let entry = entered[next..].iter().position(|entered| *entered);
        let end = match entry {
            Some(entry) if outermost != Some(native) => next + entry + 1,
            _ => entered.len(),
        };
        order.extend((next..end).map(Source::Runtime));
        next = end;
    }
    order.extend((next..entered.len()).map(Source::Runtime));
    order
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::stacks::runtimes::python::Interpreter;

    /// A real stack, innermost first: a number is a native frame of the interpreter and
    /// how many Python frames it ran, `None` another native frame.
    fn real_stack() -> impl Strategy<Value = Vec<Option<usize>>> {
        prop::collection::vec(prop::option::of(1usize..4), 0..12)
    }

    /// The native frames that are the interpreter's, the Python frames, and the stack.
    fn walked(stack: &[Option<usize>]) -> (Vec<bool>, Vec<bool>, Vec<Source>) {
        let (mut entered, mut merged) = (Vec::new(), Vec::new());
        for (native, ran) in stack.iter().enumerate() {
            let Some(ran) = *ran else {
                merged.push(Source::Native(native));
                continue;
            };
            for nth in 0..ran {
                merged.push(Source::Runtime(entered.len()));
                entered.push(nth + 1 == ran);
            }
        }
        (stack.iter().map(Option::is_some).collect(), entered, merged)
    }

    proptest! {
        #[test]
        fn whole_walks_give_the_real_stack(stack in real_stack(), complete in any::<bool>()) {
            let (eval, entered, expected) = walked(&stack);
            prop_assert_eq!(order(eval.len(), |at| eval[at], complete, &entered), expected);
        }

        #[test]
        fn cut_python_walks_give_the_inner_part_of_it(stack in real_stack(), kept in 0usize..20) {
            let (eval, mut entered, expected) = walked(&stack);
            entered.truncate(kept);
            let found = order(eval.len(), |at| eval[at], true, &entered);
            let inner: Vec<_> = expected
                .iter()
                .copied()
                .take_while(|it| !matches!(it, Source::Runtime(at) if *at >= entered.len()))
                .collect();
            prop_assert_eq!(&found[..inner.len()], &inner[..]);
        }

        #[test]
        fn nothing_is_lost_or_reordered(
            eval in prop::collection::vec(any::<bool>(), 0..20),
            entered in prop::collection::vec(any::<bool>(), 0..20),
            complete in any::<bool>(),
        ) {
            let found = order(eval.len(), |at| eval[at], complete, &entered);
            let kept = |wanted: fn(&Source) -> Option<usize>| -> Vec<usize> {
                found.iter().filter_map(wanted).collect()
            };
            let all_runtime: Vec<_> = (0..entered.len()).collect();
            prop_assert_eq!(
                kept(|it| match it { Source::Runtime(at) => Some(*at), Source::Native(_) => None }),
                all_runtime
            );
            let natives = kept(|it| match it { Source::Native(at) => Some(*at), Source::Runtime(_) => None });
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
        let entered = [true, false, true];
        let expected = [
            Source::Native(0),
            Source::Native(1),
            Source::Native(2),
            Source::Runtime(0),
            Source::Runtime(1),
            Source::Runtime(2),
            Source::Native(4),
        ];
        assert_eq!(order(5, |at| eval[at], true, &entered), expected);
    }

    #[test]
    fn left_over_frames_are_outside_of_a_cut_native_walk() {
        let eval = [false, true, false];
        let entered = [true, true];
        let expected = [
            Source::Native(0),
            Source::Runtime(0),
            Source::Native(2),
            Source::Runtime(1),
        ];
        assert_eq!(order(3, |at| eval[at], false, &entered), expected);
    }

    fn native(symbol: &str, inlined: bool) -> Frame {
        Frame {
            symbol: symbol.to_owned(),
            inlined,
            ..Frame::default()
        }
    }

    #[test]
    fn python_frames_take_the_place_of_the_interpreter_and_what_it_inlines() {
        let frame = |function: &str, entered| NamedFrame {
            address: 0x1000,
            entered,
            name: Some(Name {
                function: function.to_owned(),
                file: "x.py".to_owned(),
                line: Some(3),
            }),
        };
        let stack = RuntimeStack {
            runtime: Arc::new(Runtime::Python(Interpreter::of_version(12))),
            frames: vec![frame("inner", false), frame("outer", true)],
        };
        let natives = vec![
            native("open64", false),
            native("dispatch", true),
            native("_PyEval_EvalFrameDefault", false),
            native("main", false),
        ];
        let symbols: Vec<String> = merge(&stack, natives, true)
            .into_iter()
            .map(|frame| frame.symbol)
            .collect();
        assert_eq!(symbols, ["open64", "inner", "outer", "main"]);
    }
}
