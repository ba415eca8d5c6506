//! What the sections about loops, servers and leaktrace itself say, as tables of medians.

use std::fmt::Write as _;

use super::own::{self, Ends, Own};
use super::rounds::{Rounds, median};

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
    let (processes, descriptors) = own::LOOKED_AT;
    let watched = format!("{descriptors} descriptors opened in {processes} processes before");
    for (figures, what) in [
        (&own.counts_cpu, "counting descriptors"),
        (&own.last_uses_cpu, "looking at last uses"),
        (&own.watching_cpu, "all of leaktrace, nothing happening"),
    ] {
        row(
            &format!("processor time for {what}, {watched}"),
            format!("{:.2} % of one processor", median(figures) * 100.0),
        );
    }
    let crowd = format!("{} descriptors open before the start", own::PREEXISTING);
    for (ends, when) in [
        (&own.quiet, "host as it is"),
        (&own.crowded, crowd.as_str()),
    ] {
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
