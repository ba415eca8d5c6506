//! The part of the leaks' step that runs into a limit: one victim of tests/victims/failing.c does and its failure must
//! be in the report, its twin does not and must have none.

use serde_json::Value;

use super::plan::Held;

/// Where the victim is in the guest.
pub(crate) const PROGRAM: &str = "/vm/failing";

/// What it is told to do.
pub(crate) const WAYS: [&str; 2] = ["open", "twin"];

/// How often it fails.
pub(crate) const TIMES: u64 = 7;

/// What is wrong with a report's account of a victim.
pub(crate) fn complaint(report: &Value, way: &str, held: &Held) -> Option<String> {
    if let Some(code) = held.ended {
        return Some(format!("failing {way}: it ended with {code}"));
    }
    let failures: Vec<&Value> = report["failures"]
        .as_array()
        .into_iter()
        .flatten()
        .filter(|failure| failure["pid"] == held.pid)
        .collect();
    let right = match (way, failures.as_slice()) {
        ("twin", failures) => failures.is_empty(),
        (_, [failure]) => is_right(failure, held),
        _ => false,
    };
    (!right).then(|| format!("failing {way}: its failures are {failures:?}"))
}

fn is_right(failure: &Value, held: &Held) -> bool {
    let at = failure["stack"].as_array().into_iter().flatten();
    let most = &failure["holders"][0];
    failure["error"] == "EMFILE"
        && failure["call"] == "openat"
        && failure["count"] == TIMES
        && at.filter(|frame| frame["symbol"] == "fail_open").count() == 1
        && most["pid"] == held.pid
        && most["what"] == "file"
}

/// A victim that said its word and lives.
#[cfg(test)]
pub(crate) const HELD: Held = Held {
    pid: 7,
    ended: None,
    descriptors: 8,
};

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_failure_is_held_against_what_was_done() {
        let report = |count: u64, symbol: &str| {
            json!({"failures": [{"pid": 7, "error": "EMFILE", "call": "openat", "count": count,
                "stack": [{"symbol": symbol}], "holders": [{"pid": 7, "what": "file", "count": 9}]}]})
        };
        let right = report(TIMES, "fail_open");
        assert_eq!(complaint(&right, "open", &HELD), None);
        assert!(complaint(&right, "twin", &HELD).is_some());
        assert!(complaint(&report(1, "fail_open"), "open", &HELD).is_some());
        assert!(complaint(&report(TIMES, "other"), "open", &HELD).is_some());
        let none = json!({"failures": []});
        assert!(complaint(&none, "open", &HELD).is_some());
        assert_eq!(complaint(&none, "twin", &HELD), None);
    }
}
