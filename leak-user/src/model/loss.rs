//! What the causes of loss, and the reasons for unfinished stacks, mean to a person.

/// What a cause of loss means, and what to do: the names are those of
/// [`leak_common::Counter::loss`].
#[must_use]
pub fn meaning_of_loss(cause: &str) -> Option<&'static str> {
    Some(match cause {
        "ring_full" => "the ring buffer was full; a larger --ring-size or fewer kinds (-k) help",
        "sites_full" => "the table of sites was full; later sites have no stack",
        "failures_dropped" => "there were more failures than are kept; the oldest are left out",
        "failures_full" => "the table of failures was full",
        "borrows_full" => {
            "the table of who writes to connections was full; some uses of connections are not known"
        }
        "inflight_full" => "the table of calls in flight was full",
        "targets_full" => "the table of traced processes was full; some were not traced",
        "unreadable_memory" => "a caller's memory could not be read when its call ended",
        "too_many_received" => {
            "one message, or one read of events, carried more descriptors than are looked at"
        }
        "unknown_row" => {
            "the table of system calls has a row that the kernel side does not know; please report this"
        }
        "undecodable" => "records of the kernel side made no sense; please report this",
        "program_busy" => "the kernel skipped a program that was running on that CPU already",
        "log_overflow" => "more was released at once than is remembered for late acquisitions",
        "endings_refused" => {
            "more was closed at once than is remembered; what processes closed at their end may be missing"
        }
        "refusals_dropped" => {
            "more processes were refused calls than are remembered; growth that ended by it may be missing"
        }
        "last_uses_dropped" => {
            "more sites were looked at than are remembered; whether they use what they hold may be missing"
        }
        "full_untold" => "more processes were at their limit than are told",
        "late_facts_dropped" => {
            "there were more processes than the reader of the recording keeps names of"
        }
        "sites_refused" => "there were more sites than are kept; later ones have no stack",
        "processes_refused" => "there were more processes than are kept; some were not followed",
        "capture_damaged" => "a part of the recording is damaged; where, is told below",
        "capture_unknown" => "a newer leaktrace wrote records that this one does not know",
        "recording" => "the recording could not keep up; the trace itself has them",
        "not_read" => "the reader of the events did not keep up",
        _ => return None,
    })
}

/// What it means for a report that records of these causes were lost.
#[must_use]
pub fn meaning_of_losses<'a>(mut causes: impl Iterator<Item = &'a str>) -> &'static str {
    let of_file = ["capture_damaged", "capture_unknown", "late_facts_dropped"];
    match causes.all(|cause| of_file.contains(&cause)) {
        // Nobody can look into /proc of that time.
        true => {
            "What was in them is missing from this report, and where that was a release, something \
             that was given back is told as held."
        }
        false => {
            "Where that may hide a release, the process was compared with /proc before its verdict, \
             and the verdict is less sure; an acquisition among them is missing from this report."
        }
    }
}

/// What a reason for the end of a stack means, if it is one of ours.
#[must_use]
pub fn meaning_of_end(reason: &str) -> Option<&'static str> {
    Some(match reason {
        "broken" => "what should be the caller is no code; generated code without frame pointers",
        "unreadable" => "the stack's memory was not there",
        "too_deep" => "there were more frames than are kept; the innermost are",
        "not_taken" => "no registers were to be had",
        "no_table" => "first seen, before the file's unwind tables were built",
        "evicted" => "the file's unwind tables had made room for others; see --stack-memory",
        "locked" => "the process was changing its mappings at that moment",
        _ => return None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use leak_common::Counter;

    #[test]
    fn every_cause_of_loss_is_explained() {
        let others = [
            "capture_damaged",
            "capture_unknown",
            "recording",
            "not_read",
            "failures_dropped",
            "endings_refused",
            "refusals_dropped",
            "last_uses_dropped",
            "full_untold",
            "late_facts_dropped",
        ];
        for cause in Counter::ALL
            .into_iter()
            .filter_map(Counter::loss)
            .chain(others)
        {
            assert!(meaning_of_loss(cause).is_some(), "{cause}");
        }
    }
}
