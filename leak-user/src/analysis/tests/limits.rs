//! When limits are reached, of inputs that say what is used.

use super::*;
use crate::model::report::SharedLimit;

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
                ..Limit::default()
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
        ..Limit::default()
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

fn limit(resource: &str, scope: &str, used: u64) -> Limit {
    Limit {
        resource: resource.to_owned(),
        scope: scope.to_owned(),
        used,
        soft: 1000,
        ..Limit::default()
    }
}

/// [`a_life`], with more told after each sample, which is of the given second.
fn a_life_with(told: impl Fn(u64) -> Vec<Input>) -> Vec<Input> {
    let mut inputs = Vec::new();
    for input in a_life() {
        let sampled = match &input {
            Input::Sample(time) => told(time / SECOND),
            _ => Vec::new(),
        };
        inputs.extend([input].into_iter().chain(sampled));
    }
    inputs
}

/// When the child's limit will be reached, in seconds.
fn lasts(inputs: Vec<Input>, limit: Limit) -> Option<f64> {
    let last = Input::Limits(CHILD, vec![limit]);
    let analysis = analysed(inputs.into_iter().chain([last]).chain(ended()));
    let report = analysis.report(analysis.whole());
    let found = report.processes.iter().find(|p| p.pid == CHILD.pid());
    found.unwrap().limits[0].exhaustion_seconds
}

#[test]
fn what_a_process_shares_is_reached_by_what_all_of_them_use() {
    for (resource, scope) in [
        ("pids", "/web"),
        ("memory", "/web"),
        ("nproc", "user:1000"),
        ("threads-max", "host"),
    ] {
        let shared = |scope: &'static str| {
            move |second: u64| {
                vec![Input::SharedLimits(vec![SharedLimit {
                    scope: scope.to_owned(),
                    resource: resource.to_owned(),
                    used: 3 * second,
                    limit: 1000,
                    ..SharedLimit::default()
                }])]
            }
        };
        let found = lasts(a_life_with(shared(scope)), limit(resource, scope, 700));
        assert_eq!(found, Some(100.0), "{resource}");
        let found = lasts(a_life_with(shared("other")), limit(resource, scope, 700));
        assert_eq!(found, None, "{resource}");
    }
}

#[test]
fn mappings_are_those_that_the_kernel_counts() {
    let counted = |used: fn(u64) -> u64| {
        a_life_with(move |second| {
            let limit = limit("max_map_count", "", used(second));
            vec![Input::Limits(CHILD, vec![limit])]
        })
    };
    let grows = lasts(
        counted(|second| 5 * second),
        limit("max_map_count", "", 500),
    );
    assert_eq!(grows, Some(100.0));
    let space = a_life_with(|second| {
        let limit = limit("as", "", 5 * second);
        vec![Input::Limits(CHILD, vec![limit])]
    });
    assert_eq!(lasts(space, limit("as", "", 500)), Some(100.0));
    let flat = lasts(counted(|_| 30), limit("max_map_count", "", 30));
    assert_eq!(flat, None);
}

#[test]
fn findings_tell_no_pace_where_others_give_back_as_much() {
    let files = |used: fn(u64) -> u64| {
        a_life_with(move |second| {
            vec![Input::SharedLimits(vec![SharedLimit {
                scope: "host".to_owned(),
                resource: "file-max".to_owned(),
                used: used(second),
                limit: 1000,
                ..SharedLimit::default()
            }])]
        })
    };
    let limit = || limit("file-max", "host", 500);
    // The child leaks ten files a second, and is all that is known.
    let leak = lasts(a_life_with(|_| Vec::new()), limit()).unwrap();
    assert!((leak / 50.0 - 1.0).abs() < 0.1, "{leak}");
    assert_eq!(lasts(files(|_| 500), limit()), None);
    assert_eq!(lasts(files(|second| 900 - second), limit()), None);
}
