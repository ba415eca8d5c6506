//! When limits are reached, of inputs that say what is used.

use super::*;
use crate::report::model::SharedLimit;

#[test]
fn limits_are_reached_by_measured_use_from_what_is_used_now() {
    let nofile = |process, used| {
        Input::Limits(
            process,
            vec![Limit {
                resource: "nofile".to_owned(),
                used,
                soft: 1024,
                exhaustion_seconds: None,
            }],
        )
    };
    let limits = [nofile(CHILD, 524), nofile(PARENT, 2)];
    let analysis = analysed(a_life().into_iter().chain(limits).chain(ended()));
    let report = analysis.report(analysis.whole());
    let of = |process: ProcessId| {
        let found = report.processes.iter().find(|p| p.pid == process.pid());
        found.unwrap().limits[0].exhaustion_seconds
    };
    // 500 left at 10 a second.
    let lasts = of(CHILD).unwrap();
    assert!((lasts / 50.0 - 1.0).abs() < 0.1, "{lasts}");
    assert_eq!(of(PARENT), None);
}

#[test]
fn shared_limits_grow_by_what_was_told_of_them_and_the_nearest_comes_first() {
    let limit = |scope: &str, used| SharedLimit {
        scope: scope.to_owned(),
        resource: "pids".to_owned(),
        used,
        limit: 100,
        ..SharedLimit::default()
    };
    let told = (1..=20).flat_map(|n| {
        let limits = vec![limit("/flat", 90), limit("/grows", 2 * n)];
        [Input::Sample(n * SECOND), Input::SharedLimits(limits)]
    });
    let analysis = analysed(told.chain(ended()));
    let report = analysis.report(analysis.whole());
    let [grows, flat] = report.shared_limits.as_slice() else {
        panic!("{:?}", report.shared_limits);
    };
    assert_eq!((grows.scope.as_str(), grows.used), ("/grows", 40));
    assert!((grows.growth_per_second - 2.0).abs() < 1e-9);
    assert_eq!(grows.exhaustion_seconds, Some(30.0));
    assert_eq!(*flat, limit("/flat", 90));
}

#[test]
fn forecasts_go_on_from_another_ones_checkpoint() {
    let nofile = Limit {
        resource: "nofile".to_owned(),
        used: 402,
        soft: 1024,
        exhaustion_seconds: None,
    };
    let shared = |used| SharedLimit {
        scope: "/grows".to_owned(),
        resource: "pids".to_owned(),
        used,
        limit: 1000,
        ..SharedLimit::default()
    };
    let mut inputs = Vec::new();
    for input in a_life() {
        let told = match &input {
            Input::Sample(time) => Some(Input::SharedLimits(vec![shared(time / SECOND * 2)])),
            _ => None,
        };
        inputs.extend([input].into_iter().chain(told));
    }
    inputs.push(Input::Limits(CHILD, vec![nofile]));
    inputs.extend(ended());
    let whole = analysed(inputs.clone());
    let report = whole.report(whole.whole());
    let child = report.processes.iter().find(|one| one.pid == CHILD.pid());
    assert!(child.unwrap().limits[0].exhaustion_seconds.is_some());
    assert!(report.shared_limits[0].exhaustion_seconds.is_some());
    for at in (0..=inputs.len()).step_by(31) {
        let (before, after) = inputs.split_at(at);
        let (beginning, state) = analysed(before.to_vec()).checkpoint(3);
        let mut second = Analysis::new(beginning);
        for input in state.iter().chain(after) {
            second.take(input);
        }
        let again = second.report(second.whole());
        assert_eq!(again.processes, report.processes, "at {at}");
        assert_eq!(again.shared_limits, report.shared_limits, "at {at}");
    }
}
