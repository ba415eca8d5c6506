//! Two unwinders on one stack: whether they agree, and if not, whether it is known
//! why the other one is wrong or blind.

use leak_common::wire::StackEnd;

use crate::processes::{Process, Reference};
use crate::stack_sample::StackSample;

/// What the comparison of one stack came to.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Verdict {
    /// The same frames.
    Identical,
    /// Alike up to a signal's frame, which the other one does not cross.
    PastSignal,
    /// Alike up to the end of the memory that the other one had.
    PastCopy,
    /// In vfork, whose return address the other one looks for in the wrong place.
    InVfork,
    /// Alike for as many frames as are kept.
    Kept,
    /// Alike up to code that the process made itself, which has no tables.
    Generated,
    /// It ended because a table was missing, and was right once it was finished.
    Finished,
    /// Alike up to code whose tables were not there yet, or not soon enough.
    NoTable,
    /// Alike up to code whose tables have made room for others.
    Evicted,
    /// Alike up to code that could not be looked up, since mappings were being changed.
    Locked,
    /// Ours stops and should not.
    Shorter,
    /// Ours goes on and it is not known why the other one does not.
    Longer,
    /// They part.
    Different,
    /// The process was gone before it could be looked at: what it ran is not known.
    Gone,
}

impl Verdict {
    pub(crate) const ALL: [Verdict; 14] = [
        Verdict::Identical,
        Verdict::PastSignal,
        Verdict::PastCopy,
        Verdict::InVfork,
        Verdict::Kept,
        Verdict::Generated,
        Verdict::Finished,
        Verdict::NoTable,
        Verdict::Evicted,
        Verdict::Locked,
        Verdict::Shorter,
        Verdict::Longer,
        Verdict::Different,
        Verdict::Gone,
    ];

    /// Whether our stack is right as far as that can be known.
    pub(crate) fn is_right(self) -> bool {
        match self {
            Verdict::Identical
            | Verdict::PastSignal
            | Verdict::PastCopy
            | Verdict::InVfork
            | Verdict::Kept
            | Verdict::Generated
            | Verdict::Finished => true,
            Verdict::NoTable
            | Verdict::Evicted
            | Verdict::Locked
            | Verdict::Shorter
            | Verdict::Longer
            | Verdict::Different
            | Verdict::Gone => false,
        }
    }

    /// Whether our stack is other than it should be, and does not say so.
    pub(crate) fn is_wrong(self) -> bool {
        matches!(
            self,
            Verdict::Shorter | Verdict::Longer | Verdict::Different
        )
    }

    /// Heading of its column.
    pub(crate) fn heading(self) -> &'static str {
        match self {
            Verdict::Identical => "identical",
            Verdict::PastSignal => "past a signal frame",
            Verdict::PastCopy => "past the copy",
            Verdict::InVfork => "in vfork",
            Verdict::Kept => "deeper than kept",
            Verdict::Generated => "to generated code",
            Verdict::Finished => "finished later",
            Verdict::NoTable => "no table",
            Verdict::Evicted => "evicted",
            Verdict::Locked => "locked",
            Verdict::Shorter => "ours shorter",
            Verdict::Longer => "ours longer",
            Verdict::Different => "different",
            Verdict::Gone => "process gone",
        }
    }
}

/// What is special about code.
pub(crate) trait Landmarks {
    /// Whether signal handlers return here.
    fn is_signal_return(&self, address: u64) -> bool;
    /// Whether the instruction before is vfork's system call.
    fn is_vfork(&self, address: u64) -> bool;
    /// Whether the process made the code itself.
    fn is_generated(&self, address: u64) -> bool;
    /// Whether it is known what code is there.
    fn is_known(&self, address: u64) -> bool;
}

impl Landmarks for Process {
    fn is_signal_return(&self, address: u64) -> bool {
        // mov $15,%rax; syscall
        self.code(address) == Some([0x48, 0xc7, 0xc0, 0x0f, 0, 0, 0, 0x0f, 0x05])
    }

    fn is_vfork(&self, address: u64) -> bool {
        // mov $58,%eax; syscall
        self.code(address.wrapping_sub(7)) == Some([0xb8, 0x3a, 0, 0, 0, 0x0f, 0x05])
    }

    fn is_generated(&self, address: u64) -> bool {
        self.is_generated(address)
    }

    fn is_known(&self, address: u64) -> bool {
        self.covers(address)
    }
}

/// Compares what was found in the kernel with what the other unwinder found.
pub(crate) fn compare(
    sample: &StackSample,
    reference: &Reference,
    code: &impl Landmarks,
) -> Verdict {
    let (ours, theirs) = (&sample.frames, &reference.frames);
    let alike = ours.iter().zip(theirs).take_while(|(a, b)| a == b).count();
    if alike == ours.len() && alike == theirs.len() {
        return Verdict::Identical;
    }
    if alike == 1 && ours.get(1) == Some(&sample.link) && code.is_vfork(ours[0]) {
        return Verdict::InVfork;
    }
    if alike == ours.len() {
        match sample.end {
            StackEnd::TooDeep => return Verdict::Kept,
            StackEnd::NoTable => return Verdict::NoTable,
            StackEnd::Evicted => return Verdict::Evicted,
            StackEnd::Locked => return Verdict::Locked,
            _ => {}
        }
    }
    let common = &ours[..alike];
    if !common.iter().all(|frame| code.is_known(*frame)) {
        return Verdict::Gone;
    }
    if common.iter().any(|frame| code.is_generated(*frame)) {
        return Verdict::Generated;
    }
    if alike == ours.len() {
        return Verdict::Shorter;
    }
    if alike > 0 && code.is_signal_return(ours[alike - 1]) {
        return Verdict::PastSignal;
    }
    if alike < theirs.len() {
        return Verdict::Different;
    }
    if reference.ran_out {
        Verdict::PastCopy
    } else {
        Verdict::Longer
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use leak_common::ProcessId;

    /// Signal handlers return to 0x500; vfork's call ends at 0x600; 0x700 is
    /// generated; what is at 0x800 is not known.
    struct Code;

    impl Landmarks for Code {
        fn is_signal_return(&self, address: u64) -> bool {
            address == 0x500
        }
        fn is_vfork(&self, address: u64) -> bool {
            address == 0x600
        }
        fn is_generated(&self, address: u64) -> bool {
            address == 0x700
        }
        fn is_known(&self, address: u64) -> bool {
            address != 0x800
        }
    }

    fn verdict(ours: &[u64], theirs: &[u64], ran_out: bool, end: StackEnd) -> Verdict {
        let sample = StackSample {
            time: 0,
            process: ProcessId::new(1, 1),
            tid: 1,
            instruction: ours[0],
            stack_pointer: 0,
            frame_pointer: 0,
            link: 0x77,
            frames: ours.into(),
            end,
            memory: Box::default(),
        };
        let reference = Reference {
            frames: theirs.to_vec(),
            ran_out,
            error: None,
        };
        compare(&sample, &reference, &Code)
    }

    #[test]
    fn equal_stacks_are_identical_however_they_end() {
        for ran_out in [false, true] {
            for end in StackEnd::ALL {
                assert_eq!(
                    verdict(&[1, 2, 3], &[1, 2, 3], ran_out, end),
                    Verdict::Identical
                );
            }
        }
    }

    #[test]
    fn a_longer_stack_needs_an_explanation() {
        let longer = |theirs: &[u64], ran_out| {
            verdict(&[1, 0x500, 3, 4], theirs, ran_out, StackEnd::Complete)
        };
        assert_eq!(longer(&[1, 0x500], false), Verdict::PastSignal);
        // It may as well go on with nonsense.
        assert_eq!(longer(&[1, 0x500, 9], false), Verdict::PastSignal);
        assert_eq!(longer(&[1, 0x500, 3], true), Verdict::PastCopy);
        assert_eq!(longer(&[1, 0x500, 3], false), Verdict::Longer);
        assert_eq!(longer(&[1], false), Verdict::Longer);
        assert_eq!(longer(&[], false), Verdict::Longer);
    }

    #[test]
    fn a_shorter_stack_is_right_only_where_no_more_is_kept() {
        let shorter = |end| verdict(&[1, 2], &[1, 2, 3], false, end);
        assert_eq!(shorter(StackEnd::TooDeep), Verdict::Kept);
        for end in [StackEnd::Complete, StackEnd::Broken] {
            assert_eq!(shorter(end), Verdict::Shorter);
            assert!(!shorter(end).is_right());
        }
        let known = [
            (StackEnd::NoTable, Verdict::NoTable),
            (StackEnd::Evicted, Verdict::Evicted),
            (StackEnd::Locked, Verdict::Locked),
        ];
        for (end, verdict) in known {
            assert_eq!(shorter(end), verdict);
            assert!(!verdict.is_right() && !verdict.is_wrong());
        }
        // Even if it ends there: nothing was lost but a signal's frame was seen last.
        assert_eq!(
            verdict(&[1, 0x500], &[1, 0x500, 3], false, StackEnd::Broken),
            Verdict::Shorter
        );
    }

    #[test]
    fn generated_code_counts_up_to_its_first_frame() {
        let generated =
            |ours: &[u64], theirs: &[u64]| verdict(ours, theirs, false, StackEnd::Complete);
        assert_eq!(
            generated(&[1, 0x700, 3], &[1, 0x700, 4]),
            Verdict::Generated
        );
        assert_eq!(generated(&[1, 0x700], &[1, 0x700, 4]), Verdict::Generated);
        assert_eq!(
            generated(&[1, 2, 0x700], &[1, 3, 0x700]),
            Verdict::Different
        );
        assert_eq!(generated(&[1, 0x700], &[1, 4]), Verdict::Different);
    }

    #[test]
    fn code_that_is_not_known_can_not_be_compared() {
        let unknown =
            |ours: &[u64], theirs: &[u64]| verdict(ours, theirs, false, StackEnd::Complete);
        assert_eq!(unknown(&[1, 0x800, 3], &[1, 0x800]), Verdict::Gone);
        assert_eq!(unknown(&[1, 0x800, 3], &[1, 0x800, 3]), Verdict::Identical);
        // It is ours alone that goes there.
        assert_eq!(unknown(&[1, 0x800, 3], &[1, 2, 3]), Verdict::Different);
    }

    #[test]
    fn vfork_is_believed_only_with_its_register() {
        let parted = |ours: &[u64]| verdict(ours, &[0x600, 9], false, StackEnd::Complete);
        assert_eq!(parted(&[0x600, 0x77, 3]), Verdict::InVfork);
        assert_eq!(parted(&[0x600, 0x78, 3]), Verdict::Different);
        let elsewhere = verdict(&[0x601, 0x77], &[0x601, 9], false, StackEnd::Complete);
        assert_eq!(elsewhere, Verdict::Different);
    }

    #[test]
    fn stacks_that_part_are_different_even_if_memory_ran_out() {
        assert_eq!(
            verdict(&[1, 2, 3], &[1, 4], true, StackEnd::Complete),
            Verdict::Different
        );
    }
}
