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

    /// Of the stacks that could be compared, the share that is right, in percent.
    fn right(&self) -> Option<f64> {
        let right: u64 = Verdict::ALL
            .into_iter()
            .filter(|verdict| verdict.is_right())
            .map(|verdict| self.of(verdict))
            .sum();
        let compared = self.stacks() - self.of(Verdict::Gone);
        (compared > 0).then(|| right as f64 * 100.0 / compared as f64)
    }
}

/// What the columns mean.
const LEGEND: &str = "\
Each stack was taken at the end of a system call that acquires something, walked in the kernel, and
walked again by framehop from the same registers and a copy of the stack (32 KiB). Right are stacks that
are identical, and those that are known to be beyond framehop: it does not cross the frame of a signal,
has no more memory than the copy, and looks for the return address of vfork, which is in a register, on
the stack. Deeper than kept: alike for all the frames that the kernel keeps. Stacks of processes that
were gone before their mappings could be read cannot be compared and count neither way.
";

/// The table of all programs, in Markdown.
pub(crate) fn markdown(programs: &[(String, Counts)]) -> String {
    let mut text = String::from("| program | stacks | frames each |");
    for verdict in Verdict::ALL {
        let _ = write!(text, " {} |", verdict.heading());
    }
    text.push_str(" lost | right |\n|---|");
    text.push_str(&"---:|".repeat(Verdict::ALL.len() + 4));
    text.push('\n');
    for (name, counts) in programs {
        let stacks = counts.stacks();
        let each = counts.frames as f64 / stacks.max(1) as f64;
        let _ = write!(text, "| {name} | {stacks} | {each:.1} |");
        for verdict in Verdict::ALL {
            let _ = write!(text, " {} |", counts.of(verdict));
        }
        let right = counts
            .right()
            .map_or_else(|| "-".to_owned(), |share| format!("{share:.2} %"));
        let _ = writeln!(text, " {} | {right} |", counts.lost);
    }
    format!("{text}\n{LEGEND}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_share_regards_what_could_be_compared() {
        let mut counts = Counts::default();
        assert_eq!(counts.right(), None);
        for verdict in [Verdict::Identical, Verdict::PastCopy, Verdict::Gone] {
            counts.add(verdict, 10);
        }
        assert_eq!(counts.right(), Some(100.0));
        counts.add(Verdict::Different, 10);
        counts.add(Verdict::Shorter, 10);
        assert_eq!(counts.right(), Some(50.0));
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
            columns.eq([14 + 1; 4].into_iter().map(|_| Verdict::ALL.len() + 6)),
            "{text}"
        );
        assert!(
            rows[2].starts_with("| bash | 1 | 12.0 | 1 |") && rows[2].ends_with("| 100.00 % |")
        );
        assert!(rows[3].ends_with("| - |"));
    }
}
