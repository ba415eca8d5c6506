//! Counts per program, and their table.

use std::collections::BTreeMap;
use std::fmt::Write;

use crate::verdict::Verdict;

/// What the stacks of one program came to.
#[derive(Clone, Debug, Default)]
pub(crate) struct Counts {
    verdicts: BTreeMap<Verdict, u64>,
    /// Frames of all stacks together.
    frames: u64,
    /// Stacks that did not arrive.
    pub(crate) lost: u64,
}

impl Counts {
    pub(crate) fn add(&mut self, verdict: Verdict, frames: usize) {
        *self.verdicts.entry(verdict).or_default() += 1;
        self.frames += frames as u64;
    }

    pub(crate) fn of(&self, verdict: Verdict) -> u64 {
        self.verdicts.get(&verdict).copied().unwrap_or(0)
    }

    fn stacks(&self) -> u64 {
        self.verdicts.values().sum()
    }

    /// Of the stacks that could be compared, the share with such a verdict, in percent.
    fn share(&self, of: fn(Verdict) -> bool) -> Option<f64> {
        let chosen: u64 = Verdict::ALL
            .into_iter()
            .filter(|verdict| of(*verdict))
            .map(|verdict| self.of(verdict))
            .sum();
        let compared = self.stacks() - self.of(Verdict::Gone);
        (compared > 0).then(|| chosen as f64 * 100.0 / compared as f64)
    }
}

/// What the columns mean.
const LEGEND: &str = "\
Each stack was taken at the end of a system call that acquires something (one in four, at random),
walked in the kernel, and walked again by framehop from the same registers and a copy of the stack
(32 KiB). The tables of installed files were built before, as far as they fit.

- Right: the stacks are identical, or they differ only where framehop is known to stop: it does not
  cross a signal frame, has only the copied memory, and looks on the stack for the return address of
  vfork, which is in a register. Deeper than kept: equal in all frames that the kernel keeps. To
  generated code: equal up to code that the process generated, which neither knows.
- Finished later (right): the kernel had no table yet, and user space finished the walk from the
  registers and the memory once it had built one, as in a trace. These are newly built programs.
- No table, evicted, locked (not right): equal up to the place where the stack itself says that it ends
  early, because the table was not built in time, had made room for others, or the process was
  changing its mappings.
- Wrong: shorter, longer or different without such a reason.
- Process gone (not counted): it exited, or executed another program, before its mappings were read.
";

/// The table of all programs, in Markdown.
pub(crate) fn markdown(programs: &[(String, Counts)]) -> String {
    let mut text = String::from("| program | stacks | frames each |");
    for verdict in Verdict::ALL {
        let _ = write!(text, " {} |", verdict.heading());
    }
    text.push_str(" lost | right | wrong |\n|---|");
    text.push_str(&"---:|".repeat(Verdict::ALL.len() + 5));
    text.push('\n');
    for (name, counts) in programs {
        let stacks = counts.stacks();
        let each = counts.frames as f64 / stacks.max(1) as f64;
        let _ = write!(text, "| {name} | {stacks} | {each:.1} |");
        for verdict in Verdict::ALL {
            let _ = write!(text, " {} |", counts.of(verdict));
        }
        let percent = |share: Option<f64>| share.map_or("-".to_owned(), |n| format!("{n:.2} %"));
        let right = percent(counts.share(Verdict::is_right));
        let wrong = percent(counts.share(Verdict::is_wrong));
        let _ = writeln!(text, " {} | {right} | {wrong} |", counts.lost);
    }
    format!("{text}\n{LEGEND}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_share_regards_what_could_be_compared() {
        let mut counts = Counts::default();
        assert_eq!(counts.share(Verdict::is_right), None);
        for verdict in [Verdict::Identical, Verdict::PastCopy, Verdict::Gone] {
            counts.add(verdict, 10);
        }
        assert_eq!(counts.share(Verdict::is_right), Some(100.0));
        counts.add(Verdict::NoTable, 10);
        counts.add(Verdict::Different, 10);
        counts.add(Verdict::Shorter, 10);
        assert_eq!(counts.share(Verdict::is_right), Some(40.0));
        assert_eq!(counts.share(Verdict::is_wrong), Some(40.0));
    }

    #[test]
    fn every_row_has_every_column() {
        let mut counts = Counts::default();
        counts.add(Verdict::Identical, 12);
        let programs = [
            ("bash".to_owned(), counts),
            ("git".to_owned(), Counts::default()),
        ];
        let text = markdown(&programs);
        let rows: Vec<&str> = text.lines().filter(|line| line.starts_with('|')).collect();
        assert_eq!(rows.len(), 4);
        let columns = rows.iter().map(|row| row.matches('|').count());
        assert!(
            columns.eq([(); 4].map(|()| Verdict::ALL.len() + 7)),
            "{text}"
        );
        assert!(
            rows[2].starts_with("| bash | 1 | 12.0 | 1 |")
                && rows[2].ends_with("| 100.00 % | 0.00 % |")
        );
        assert!(rows[3].ends_with("| - | - |"));
    }
}
