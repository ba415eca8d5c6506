#![allow(clippy::unwrap_used, reason = "tests")]

use proptest::prelude::*;

use super::*;
use crate::model::{escape::is_unsafe, sample};

fn written(report: &Report) -> (String, Value) {
    let text = sample::text(|out| write(report, out));
    let value = serde_json::from_str(&text).unwrap();
    (text, value)
}

/// The events of a phase, after a check of what the form demands of every event.
fn of_phase<'a>(document: &'a Value, phase: &str) -> Vec<&'a Value> {
    let events = document["traceEvents"].as_array().unwrap();
    for event in events {
        assert!(event["name"].is_string(), "{event}");
        for key in ["ts", "pid", "tid"] {
            assert!(event[key].is_i64() || event[key].is_u64(), "{event}");
        }
        match event["ph"].as_str().unwrap() {
            "M" => assert!(event["args"]["name"].is_string(), "{event}"),
            "X" => assert!(event["dur"].as_i64().unwrap() >= 0, "{event}"),
            "C" => {
                let values = event["args"].as_object().unwrap().values();
                assert!(values.clone().count() > 0 && values.clone().all(Value::is_number));
            }
            other => panic!("{other}: {event}"),
        }
    }
    events.iter().filter(|event| event["ph"] == phase).collect()
}

#[test]
fn a_resource_is_a_slice_on_the_track_of_its_process_and_kind() {
    let (_, document) = written(&sample::leaking());
    let names: Vec<(&Value, &Value, &Value, &Value)> = of_phase(&document, "M")
        .into_iter()
        .map(|name| {
            (
                &name["name"],
                &name["pid"],
                &name["tid"],
                &name["args"]["name"],
            )
        })
        .collect();
    let shown = serde_json::to_string(&names).unwrap();
    assert_eq!(
        shown,
        r#"[["process_name",77,0,"worker (77)"],["process_name",1234,0,"nginx (1234)"],"#
            .to_owned()
            + r#"["thread_name",77,1,"mapping"],["thread_name",1234,1,"socket"],"#
            + r#"["thread_name",1234,2,"file"]]"#
    );
    let slices = of_phase(&document, "X");
    assert_eq!(slices.len(), 6);
    let first = slices[0];
    let end = 1_767_323_055_000_000_i64;
    assert_eq!(first["ts"], end - 200_000_000);
    assert_eq!(first["dur"], 200_000_000);
    assert_eq!(first["name"], "fd 12 socket:[4711]");
    assert_eq!(first["args"]["socket"]["state"], "CLOSE_WAIT");
    assert_eq!(first["args"]["stack"][0], "__accept4");
    let of_worker: Vec<_> = slices.iter().filter(|slice| slice["pid"] == 77).collect();
    assert_eq!(of_worker.len(), 1);
    assert_eq!(of_worker[0]["args"]["held_at_exit"], true);
}

#[test]
fn history_is_a_counter_of_its_process() {
    let mut report = sample::leaking();
    let history = |counts: [u64; 2]| {
        let point = |(seconds, outstanding)| Point {
            seconds,
            outstanding,
        };
        [(0.0, counts[0]), (1.5, counts[1])].map(point).to_vec()
    };
    report.processes[0].history = history([17, 433]);
    report.findings[0].history = history([0, 412]);
    let (_, document) = written(&report);
    let start = 1_767_322_815_000_000_i64;
    let counters: Vec<(&str, i64, u64)> = of_phase(&document, "C")
        .into_iter()
        .map(|counter| {
            assert_eq!(counter["pid"], 1234);
            let name = counter["name"].as_str().unwrap();
            let value = &counter["args"]["outstanding"];
            (
                name,
                counter["ts"].as_i64().unwrap() - start,
                value.as_u64().unwrap(),
            )
        })
        .collect();
    assert_eq!(
        counters,
        [
            ("held", 0, 17),
            ("held", 1_500_000, 433),
            ("socket #1 __accept4", 0, 0),
            ("socket #1 __accept4", 1_500_000, 412)
        ]
    );
}

#[test]
fn two_processes_of_one_pid_have_tracks_of_their_own() {
    let mut report = sample::leaking();
    report.processes[1].pid = 1234;
    report.findings[1].pid = 1234;
    report.findings[1].start_time = 6000;
    let (_, document) = written(&report);
    let names: Vec<&Value> = of_phase(&document, "M")
        .into_iter()
        .filter(|name| name["name"] == "process_name")
        .collect();
    assert_eq!(names.len(), 2);
    assert_ne!(names[0]["pid"], names[1]["pid"]);
    let slices = of_phase(&document, "X");
    let mapping = slices
        .iter()
        .find(|slice| slice["args"]["held_at_exit"] == true);
    assert_eq!(mapping.unwrap()["pid"], names[1]["pid"]);
}

#[test]
fn what_a_process_held_ends_with_it() {
    let mut report = sample::leaking();
    let seen = |seconds, outstanding| Point {
        seconds,
        outstanding,
    };
    report.processes[1].history = vec![seen(100.0, 20)];
    report.findings[1].history = vec![seen(99.0, 17), seen(100.5, 20)];
    let (_, document) = written(&report);
    let slices = of_phase(&document, "X");
    let of_worker = slices.iter().find(|slice| slice["pid"] == 77).unwrap();
    let end = of_worker["ts"].as_i64().unwrap() + of_worker["dur"].as_i64().unwrap();
    assert_eq!(end, 1_767_322_815_000_000 + 100_500_000);
}

#[test]
fn a_quiet_report_is_a_valid_trace() {
    let (_, document) = written(&sample::empty());
    assert_eq!(document["traceEvents"], json!([]));
    assert_eq!(document["otherData"]["host"], "web1");
}

proptest! {
    #[test]
    fn hostile_reports_are_valid_traces_whose_slices_nest(
        name in any::<String>(),
        ages in prop::collection::vec(any::<f64>(), 4),
        seconds in any::<f64>(),
    ) {
        let mut report = sample::named(&name);
        report.processes[0].history = vec![Point { seconds, outstanding: u64::MAX }];
        for (example, age) in report.findings[0].examples.iter_mut().zip(ages) {
            example.age_seconds = age;
        }
        let (text, document) = written(&report);
        prop_assert!(!text.chars().any(|c| c != '\n' && is_unsafe(c)));
        prop_assert_eq!(of_phase(&document, "C").len(), 1);
        for slice in of_phase(&document, "X") {
            let end = slice["ts"].as_i64().unwrap() + slice["dur"].as_i64().unwrap();
            prop_assert_eq!(end, 1_767_323_055_000_000);
        }
    }
}
