use proptest::prelude::*;

use super::*;
use crate::model::{
    diff::sample::{any_report, finding, report},
    escape::{is_unsafe, width},
    sample,
};

fn text(diff: &Diff, all: bool) -> String {
    let options = TextOptions {
        all,
        ..TextOptions::default()
    };
    sample::text(|out| write(diff, &options, out))
}

#[test]
fn the_text_says_what_is_new_with_its_stack() {
    let base = report(&[finding("server", &["open_b", "main"])], "v1");
    let mut worse = finding("server", &["open_b", "main"]);
    worse.growth_per_second = 50.0;
    worse.outstanding = 500;
    let mut fresh = finding("server", &["open_c", "main"]);
    fresh.verdict = Verdict::Suspect;
    let mut quiet = finding("server", &["load_settings", "main"]);
    quiet.verdict = Verdict::Steady;
    let diff = Diff::between(&base, &report(&[worse, fresh, quiet], "v2"));
    assert_eq!(
        text(&diff, false),
        "\
More leaks: of the sites 2 new, 1 grew, 0 shrank, 0 gone, 0 the same.
base: web1, 10s until 2026-01-02T03:04:15Z; 1 finding
new:  web1, 10s until 2026-01-02T03:04:15Z; 3 findings

NEW file in server: suspect
    new   50 of 60 held, +5.0/s, 6.0/s acquired
    acquired at
    > #0  open_c  (server)
    > #1  main  (server)

GREW file in server: leak
    base  50 of 60 held, +5.0/s, 6.0/s acquired
    new   500 of 60 held, +50/s, 6.0/s acquired
    acquired at
    > #0  open_b  (server)
    > #1  main  (server)

1 steady site changed and is not shown (--all shows them).
"
    );
    assert!(text(&diff, true).contains("NEW file in server: steady"));
}

#[test]
fn what_makes_the_comparison_less_sure_is_said() {
    let mut base = sample::leaking();
    base.health.lost = 3;
    let new = sample::empty();
    let text = text(&Diff::between(&base, &new), false);
    assert!(
        text.contains("base: 3 records were lost: a site may be missing there."),
        "{text}"
    );
    assert!(text.contains("The windows differ much:"), "{text}");
}

proptest! {
    #[test]
    fn the_text_fits_and_holds_nothing_a_terminal_obeys(a in any_report(), b in any_report()) {
        let text = text(&Diff::between(&a, &b), true);
        for line in text.lines() {
            prop_assert!(width(line) <= 80, "{line}");
            prop_assert!(!line.chars().any(is_unsafe), "{line:?}");
        }
    }
}
