//! Acquisitions that the kernel refused: what ran out, which processes held it, and which code was refused first.

use std::io;

use crate::{
    model::{
        escape::escape,
        report::{Failure, Holder, Report},
    },
    output::formats::{
        TextOptions,
        text::{
            amounts::{bytes, counted, duration},
            frames, names,
            page::{Ink, Page},
        },
    },
};

/// Holders that are named at most.
const HOLDERS: usize = 5;

pub(super) fn write(report: &Report, options: &TextOptions, page: &mut Page) -> io::Result<()> {
    let failures = &report.failures;
    for failure in failures.iter().take(options.top) {
        page.blank()?;
        write_one(report, failure, options, page)?;
    }
    match failures.len().saturating_sub(options.top) {
        0 => Ok(()),
        left => {
            page.blank()?;
            let left = counted(left as u64, "more failure", "more failures");
            page.paragraph(0, &format!("... and {left} (-n shows more)"))
        }
    }
}

fn write_one(
    report: &Report,
    failure: &Failure,
    options: &TextOptions,
    page: &mut Page,
) -> io::Result<()> {
    let times = match failure.count {
        0 | 1 => "once".to_owned(),
        count => format!("{count} times, first"),
    };
    let headline = format!(
        " {} in {}: {}, {times} after {}",
        escape(&failure.call),
        names::heading(report, (failure.pid, failure.start_time), &failure.comm),
        escape(&failure.error),
        duration(failure.after_seconds)
    );
    page.headline(Ink::Leak, "FAILED", &headline)?;
    if !failure.meaning.is_empty() {
        page.paragraph(4, &format!("- {}", escape(&failure.meaning)))?;
    }
    if !failure.holders.is_empty() {
        let most = holders(&failure.holders, HOLDERS);
        page.paragraph(4, &format!("- held most then: {most}"))?;
    }
    if failure.stack.is_empty() {
        return page.paragraph(4, "no stack: it was not seen");
    }
    page.line("    first failed at")?;
    frames::write(&failure.stack, options.stacks, page)
}

/// Holders as a list; the first few of them.
pub(super) fn holders(holders: &[Holder], most: usize) -> String {
    let mut list: Vec<String> = holders.iter().take(most).map(holder).collect();
    if let Some(left @ 1..) = holders.len().checked_sub(most) {
        list.push(counted(left as u64, "other", "others"));
    }
    list.join(", ")
}

fn holder(holder: &Holder) -> String {
    let name = format!("{} ({})", escape(&holder.comm), holder.pid);
    let handle = escape(&holder.handle);
    let count = match holder.what.as_str() {
        "" => holder.count.to_string(),
        "bytes" => bytes(holder.count),
        what => format!("{} {}", holder.count, escape(what)),
    };
    match (handle.as_str(), holder.count) {
        ("", 0) => name,
        ("", _) => format!("{name} {count}"),
        (handle, 0 | 1) => format!("{name} {handle}"),
        (handle, count) => format!("{name} {handle} and {} more", count - 1),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn holders_are_named_with_what_they_hold() {
        let of = |pid, handle: &str, what: &str, count| Holder {
            pid,
            comm: "a".to_owned(),
            handle: handle.to_owned(),
            what: what.to_owned(),
            count,
        };
        let all = [
            of(1, "fd 3", "", 1),
            of(2, "", "socket", 900),
            of(3, "", "bytes", 5 << 20),
            of(4, "fd 4", "", 3),
            of(5, "", "", 7),
        ];
        assert_eq!(
            holders(&all, 4),
            "a (1) fd 3, a (2) 900 socket, a (3) 5.0 MiB, a (4) fd 4 and 2 more, 1 other"
        );
        assert_eq!(holders(&all[4..], 4), "a (5) 7");
    }
}
