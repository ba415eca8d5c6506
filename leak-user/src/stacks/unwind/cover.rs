//! Which function's rows hold where, when functions overlap.

use std::cmp::Reverse;

use super::code_segments::Span;

/// A stretch of code that one function's rows hold for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Run {
    /// First byte, from the first page on.
    pub(super) start: u32,
    /// First byte after it.
    pub(super) end: u32,
    /// Index of the function.
    pub(super) function: u32,
}

/// Disjoint runs in the order of the code. Of functions that overlap, the one that
/// begins later has the code up to its end; of those that begin together, the shorter
/// one; of equal ones, the last.
pub(super) fn runs(functions: &[Span]) -> Vec<Run> {
    let mut order: Vec<u32> = (0..functions.len() as u32).collect();
    let of = |index: u32| &functions[index as usize];
    order.sort_unstable_by_key(|&index| (of(index).start, Reverse(of(index).end), index));
    let mut cover = Cover {
        functions,
        open: Vec::new(),
        runs: Vec::with_capacity(functions.len()),
        position: 0,
    };
    for index in order {
        cover.begin(index);
    }
    cover.advance(u32::MAX);
    cover.runs
}

struct Cover<'a> {
    functions: &'a [Span],
    /// Functions that have begun, the one in force last. Some below it may have ended.
    open: Vec<u32>,
    runs: Vec<Run>,
    /// The code before this has its runs.
    position: u32,
}

impl Cover<'_> {
    fn begin(&mut self, function: u32) {
        let start = self.functions[function as usize].start;
        self.advance(start);
        self.position = start;
        self.open.push(function);
    }

    /// Makes the runs up to `to`.
    fn advance(&mut self, to: u32) {
        while let Some(&function) = self.open.last() {
            let ends = self.functions[function as usize].end;
            let end = ends.min(to);
            if self.position < end {
                self.runs.push(Run {
                    start: self.position,
                    end,
                    function,
                });
                self.position = end;
            }
            if ends > to {
                return;
            }
            self.open.pop();
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::collection::vec;
    use proptest::prelude::*;

    use super::*;

    /// The function of each byte: who begins later, is shorter, is last.
    fn painted(functions: &[Span]) -> Vec<Option<u32>> {
        let at = |byte: u32| {
            let covers = |function: &Span| (function.start..function.end).contains(&byte);
            let of = functions.iter().enumerate().filter(|(_, f)| covers(f));
            of.max_by_key(|&(index, f)| (f.start, Reverse(f.end), index))
                .map(|(index, _)| index as u32)
        };
        (0..80).map(at).collect()
    }

    proptest! {
        #[test]
        fn runs_are_the_painted_code(spans in vec((0u32..60, 1u32..20), 0..12)) {
            let functions: Vec<_> = spans
                .into_iter()
                .map(|(start, length)| Span { start, end: start + length })
                .collect();
            let mut found = vec![None; 80];
            let mut end = 0;
            for run in runs(&functions) {
                prop_assert!(end <= run.start && run.start < run.end);
                end = run.end;
                found[run.start as usize..run.end as usize].fill(Some(run.function));
            }
            prop_assert_eq!(found, painted(&functions));
        }
    }
}
