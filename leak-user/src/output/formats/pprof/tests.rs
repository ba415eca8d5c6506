#![allow(clippy::unwrap_used, reason = "tests")]

use std::{collections::BTreeSet, io::Read as _};

use flate2::read::GzDecoder;
use proptest::prelude::*;

use super::{
    proto::{Function, Line, Location},
    *,
};
use crate::model::{escape::is_unsafe, hex::Hex, report::Frame, sample};

fn written(report: &Report, kind: Option<Kind>) -> Profile {
    let mut out = Vec::new();
    write(report, kind, &mut out).unwrap();
    let mut bytes = Vec::new();
    GzDecoder::new(out.as_slice())
        .read_to_end(&mut bytes)
        .unwrap();
    Profile::decode(bytes.as_slice()).unwrap()
}

fn text(profile: &Profile, number: i64) -> &str {
    &profile.string_table[usize::try_from(number).unwrap()]
}

fn location(profile: &Profile, id: u64) -> &Location {
    let location = &profile.location[id as usize - 1];
    assert_eq!(location.id, id);
    location
}

fn function<'a>(profile: &'a Profile, line: &Line) -> &'a Function {
    let function = &profile.function[line.function_id as usize - 1];
    assert_eq!(function.id, line.function_id);
    function
}

/// A sample's stack: functions and lines of each location.
fn stack(profile: &Profile, sample: &Sample) -> Vec<Vec<(String, i64)>> {
    let named = |line: &Line| {
        let name = text(profile, function(profile, line).name);
        (name.to_owned(), line.line)
    };
    sample
        .location_id
        .iter()
        .map(|id| location(profile, *id).line.iter().map(named).collect())
        .collect()
}

/// All that pprof demands of a profile (`CheckValid`), and of its strings.
fn check(profile: &Profile) {
    assert_eq!(profile.string_table[0], "");
    let distinct: BTreeSet<&String> = profile.string_table.iter().collect();
    assert_eq!(distinct.len(), profile.string_table.len());
    for string in &profile.string_table {
        assert!(!string.chars().any(is_unsafe), "{string:?}");
    }
    for sample in &profile.sample {
        assert_eq!(sample.value.len(), profile.sample_type.len());
        assert!(sample.value.iter().all(|value| *value >= 0));
        assert!(!stack(profile, sample).is_empty());
        for label in &sample.label {
            assert!(!text(profile, label.key).is_empty());
            text(profile, label.str);
        }
    }
    for (place, mapping) in profile.mapping.iter().enumerate() {
        assert_eq!(mapping.id, place as u64 + 1);
        assert!(mapping.memory_start < mapping.memory_limit);
    }
    for location in &profile.location {
        let Some(mapping) = location.mapping_id.checked_sub(1) else {
            continue;
        };
        let mapping = profile.mapping[mapping as usize];
        assert!((mapping.memory_start..=mapping.memory_limit).contains(&location.address));
    }
}

#[test]
fn a_finding_is_a_sample_with_its_values_labels_and_stack() {
    let profile = written(&sample::leaking(), None);
    check(&profile);
    let types: Vec<(&str, &str)> = profile
        .sample_type
        .iter()
        .map(|of| (text(&profile, of.r#type), text(&profile, of.unit)))
        .collect();
    assert_eq!(types, VALUES);
    assert_eq!(text(&profile, profile.default_sample_type), "outstanding");
    assert_eq!(profile.time_nanos, 1_767_322_815_000_000_000);
    assert_eq!(profile.duration_nanos, 240_000_000_000);
    assert_eq!(profile.sample.len(), 3);
    let leak = &profile.sample[0];
    assert_eq!(leak.value, [412, 0, 500]);
    let labels: Vec<(&str, &str, i64)> = leak
        .label
        .iter()
        .map(|label| {
            let (key, value) = (text(&profile, label.key), text(&profile, label.str));
            (key, value, label.num)
        })
        .collect();
    assert_eq!(
        labels,
        [
            ("pid", "", 1234),
            ("comm", "nginx", 0),
            ("kind", "socket", 0),
            ("verdict", "leak", 0)
        ]
    );
    let stack = stack(&profile, leak);
    let at = |name: &str, line| (name.to_owned(), line);
    assert_eq!(stack[0], [at("__accept4", 0)]);
    // The inlined function and the one it was inlined into are one place in the code.
    let caller = "ngx_event_accept_with_a_name_that_is_rather_long_for_a_function<T>";
    assert_eq!(stack[1], [at("take_connection", 88), at(caller, 291)]);
    assert_eq!(stack[2], [at("worker_process_cycle", 12)]);
    assert_eq!(stack[3..], [vec![], vec![]]);
    assert_eq!(profile.sample[1].value, [20, 20 << 20, 20]);
}

#[test]
fn a_mapping_lets_offsets_in_its_file_be_found() {
    let mut report = sample::empty();
    let frame = |address: u64, offset: u64| Frame {
        address: Hex(address),
        module: "/usr/bin/a".to_owned(),
        module_offset: Some(Hex(offset)),
        build_id: Some("ab12".to_owned()),
        ..Frame::default()
    };
    report.findings = vec![sample::socket_leak()];
    report.findings[0].stack = vec![
        frame(0x55d0_0000_2345, 0x1345),
        frame(0x55d0_0000_9345, 0x8345),
        frame(0x7f00_0000_2345, 0x1345),
    ];
    let profile = written(&report, None);
    check(&profile);
    let mappings: Vec<(u64, u64, u64)> = profile
        .mapping
        .iter()
        .map(|m| (m.memory_start, m.memory_limit, m.file_offset))
        .collect();
    assert_eq!(
        mappings,
        [
            (0x55d0_0000_2000, 0x55d0_0000_a000, 0x1000),
            (0x7f00_0000_2000, 0x7f00_0000_3000, 0x1000)
        ]
    );
    let mapping = profile.mapping[0];
    assert_eq!(text(&profile, mapping.filename), "/usr/bin/a");
    assert_eq!(text(&profile, mapping.build_id), "ab12");
    assert!(
        !mapping.has_functions,
        "pprof may look for names that we lack"
    );
}

#[test]
fn one_kind_can_be_had_alone() {
    let profile = written(&sample::leaking(), Some(Kind::Mapping));
    check(&profile);
    assert_eq!(profile.sample.len(), 1);
    assert_eq!(
        stack(&profile, &profile.sample[0]),
        [[(NO_STACK.to_owned(), 0)]]
    );
}

#[test]
fn a_quiet_report_is_a_profile_without_samples() {
    let profile = written(&sample::empty(), None);
    check(&profile);
    assert!(profile.sample.is_empty());
    let comments: Vec<&str> = profile.comment.iter().map(|c| text(&profile, *c)).collect();
    assert_eq!(
        comments,
        [
            "leaktrace on web1, Linux 6.18.0 x86_64",
            "12345 events seen; nothing was lost"
        ]
    );
}

proptest! {
    #[test]
    fn hostile_reports_are_valid_profiles(
        name in any::<String>(),
        address in any::<u64>(),
        offset in prop::option::of(any::<u64>()),
        number in any::<u64>(),
        seconds in any::<f64>(),
    ) {
        let mut report = sample::named(&name);
        report.window.start = name.clone();
        report.window.seconds = seconds;
        for finding in &mut report.findings {
            (finding.outstanding, finding.bytes, finding.acquired) = (number, number, number);
            for frame in &mut finding.stack {
                frame.address = Hex(address);
                frame.module_offset = offset.map(Hex);
                frame.build_id = Some(name.clone());
            }
        }
        let profile = written(&report, None);
        check(&profile);
        prop_assert_eq!(profile.sample.len(), report.findings.len());
    }
}
