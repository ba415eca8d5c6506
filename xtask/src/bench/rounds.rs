//! Rounds: every load under every tracer, in turn; and the medians over them.

use std::fmt::Write as _;

use anyhow::{Context as _, Result};

use super::load::Load;
use super::options::Options;
use super::tables::Figures;
use super::tracer::{STACK_TRACERS, Tracer};

/// The figures of several loads: `figures[load][tracer][round]`.
pub(super) struct Rounds {
    pub(super) names: Vec<&'static str>,
    figures: Vec<[Vec<f64>; STACK_TRACERS.len()]>,
    /// What leaktrace said of its unwind tables, round by round.
    pub(super) tables: Vec<Figures>,
}

impl Rounds {
    pub(super) fn new(loads: &[Load]) -> Rounds {
        Rounds {
            names: loads.iter().map(|load| load.name).collect(),
            figures: loads.iter().map(|_| Default::default()).collect(),
            tables: Vec::new(),
        }
    }

    pub(super) fn add(&mut self, load: usize, tracer: Tracer, figure: f64) {
        self.figures[load][column(tracer)].push(figure);
    }

    pub(super) fn median(&self, load: usize, tracer: Tracer) -> f64 {
        median(&self.figures[load][column(tracer)])
    }

    /// Median over the rounds of traced to untraced in the same round.
    fn ratio(&self, load: usize, tracer: Tracer) -> f64 {
        let traced = &self.figures[load][column(tracer)];
        let untraced = &self.figures[load][column(Tracer::None)];
        let ratios: Vec<f64> = traced.iter().zip(untraced).map(|(t, u)| t / u).collect();
        median(&ratios)
    }

    /// Median over the rounds of what one figure is above another of the same round.
    pub(super) fn difference(&self, load: usize, more: Tracer, less: Tracer) -> f64 {
        let more = &self.figures[load][column(more)];
        let less = &self.figures[load][column(less)];
        let differences: Vec<f64> = more.iter().zip(less).map(|(m, l)| m - l).collect();
        median(&differences)
    }

    /// A table with a row for each load: untraced, then each tracer and its ratio.
    pub(super) fn table(&self, unit: &str, digits: usize) -> String {
        let mut table = format!(
            "| {unit} | untraced | leaktrace | ratio | bpftrace | ratio |\n|---|---:|---:|---:|---:|---:|\n"
        );
        for (load, name) in self.names.iter().enumerate() {
            let _ = write!(
                table,
                "| {name} | {:.digits$} |",
                self.median(load, Tracer::None)
            );
            for tracer in [Tracer::Leaktrace, Tracer::Bpftrace] {
                let _ = write!(
                    table,
                    " {:.digits$} | {:.2} |",
                    self.median(load, tracer),
                    self.ratio(load, tracer)
                );
            }
            table.push('\n');
        }
        table
    }
}

/// The middle figure; of an even number the mean of the two in the middle.
pub(super) fn median(figures: &[f64]) -> f64 {
    let mut sorted = figures.to_vec();
    sorted.sort_by(f64::total_cmp);
    let middle = sorted.len() / 2;
    match sorted.len() {
        0 => f64::NAN,
        odd if odd % 2 == 1 => sorted[middle],
        _ => (sorted[middle - 1] + sorted[middle]) / 2.0,
    }
}

/// Takes every load under every tracer, round by round.
pub(super) fn interleaved(
    options: &Options,
    what: &str,
    loads: &[Load],
    tracers: &[Tracer],
) -> Result<Rounds> {
    let mut rounds = Rounds::new(loads);
    for round in 0..options.rounds() {
        eprintln!("xtask: {what}, round {} of {}", round + 1, options.rounds());
        for turn in 0..tracers.len() {
            // Each tracer is first, second and last in turn.
            let tracer = tracers[(round + turn) % tracers.len()];
            let attached = tracer.attach(options)?;
            if let Some(attached) = &attached {
                attached.settle()?;
            }
            for (index, load) in loads.iter().enumerate() {
                let figure = load
                    .measure()
                    .with_context(|| format!("{} under {}", load.name, tracer.name()))?;
                rounds.add(index, tracer, figure);
            }
            if let Some(attached) = attached {
                let stopped = attached.stop()?;
                if tracer == Tracer::Leaktrace {
                    rounds.tables.extend(stopped.tables);
                }
            }
        }
    }
    Ok(rounds)
}

/// The position of a tracer's figures.
fn column(tracer: Tracer) -> usize {
    tracer as usize
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_median_is_the_middle() {
        assert_eq!(median(&[3.0, 1.0, 2.0]), 2.0);
        assert_eq!(median(&[4.0, 1.0, 2.0, 3.0]), 2.5);
        assert!(median(&[]).is_nan());
    }

    #[test]
    fn a_ratio_compares_within_a_round() {
        let mut rounds = Rounds::new(&[Load::new("load", || Ok(0.0))]);
        // The machine became twice as slow after the first round, whatever watched.
        for (untraced, traced) in [(100.0, 150.0), (200.0, 300.0), (200.0, 300.0)] {
            rounds.add(0, Tracer::None, untraced);
            rounds.add(0, Tracer::Leaktrace, traced);
            rounds.add(0, Tracer::Bpftrace, traced);
        }
        assert_eq!(rounds.ratio(0, Tracer::Leaktrace), 1.5);
    }

    #[test]
    fn a_difference_is_taken_within_a_round() {
        let mut rounds = Rounds::new(&[Load::new("load", || Ok(0.0))]);
        for (without, with) in [(100.0, 150.0), (200.0, 251.0), (300.0, 352.0)] {
            rounds.add(0, Tracer::LeaktraceWithout, without);
            rounds.add(0, Tracer::Leaktrace, with);
        }
        assert_eq!(
            rounds.difference(0, Tracer::Leaktrace, Tracer::LeaktraceWithout),
            51.0
        );
    }
}
