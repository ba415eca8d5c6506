//! From rounds to medians, and from medians to tables.

use std::fmt::Write as _;

use super::own::{self, Ends, Own};
use super::tables::Figures;
use super::tracer::{STACK_TRACERS, Tracer};
use super::{Load, column};

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
    fn table(&self, unit: &str, digits: usize) -> String {
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

/// What the section about loops says.
pub(super) fn loops(loops: &Rounds) -> String {
    format!(
        "The worst case: a program that does nothing else. Lower is better.\n\n{}",
        loops.table("nanoseconds per turn", 0)
    )
}

/// What the section about servers says.
pub(super) fn servers(servers: &Rounds) -> String {
    format!(
        "Server, client and tracer share the processors. Higher is better; the ratio is the share of the\n\
         throughput that remains.\n\n{}",
        servers.table("requests per second", 0)
    )
}

/// What the section about leaktrace itself says.
pub(super) fn own(own: &Own) -> String {
    let mut table = String::from("| | |\n|---|---:|\n");
    let mut row = |name: &str, value: String| {
        let _ = writeln!(table, "| {name} | {value} |");
    };
    row(
        &format!(
            "processor time at {:.0} open + close per second",
            median(&own.storm)
        ),
        format!("{:.1} % of one processor", median(&own.storm_cpu) * 100.0),
    );
    row(
        "events lost during this",
        format!("{:.0}", median(&own.storm_lost)),
    );
    let crowd = format!("{} descriptors open before the start", own::PREEXISTING);
    for (ends, when) in [(&own.quiet, "host as it is"), (&own.crowded, crowd.as_str())] {
        let Ends {
            start,
            resident,
            mapped,
            end,
        } = ends;
        row(
            &format!("from start to attached, {when}"),
            format!("{:.2} s", median(start)),
        );
        row(
            &format!("resident memory once attached, {when}"),
            format!("{:.0} MiB", median(resident)),
        );
        row(
            &format!("ring and unwind tables, mapped in addition, {when}"),
            format!("{:.0} MiB", median(mapped)),
        );
        row(
            &format!("from Ctrl-C to exit, {when}"),
            format!("{:.2} s", median(end)),
        );
    }
    table
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
