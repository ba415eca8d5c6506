//! The step that loads and attaches every program: what the verifier made of each, by `leaktrace doctor`.

use serde_json::Value;

use super::machine::Accelerator;
use super::plan::Step;
use super::trial::Findings;

/// The verifier gives up after a million instructions; newer kernels and compilers may need more than these.
const MOST_INSTRUCTIONS: u64 = 600_000;

/// What a program may take to load on a processor that is not emulated.
const MOST_MILLISECONDS: f64 = 500.0;

pub(crate) fn step(name: &str) -> Step {
    Step {
        name: name.to_owned(),
        command: ["/bin/leaktrace", "doctor", "-f", "json"]
            .map(str::to_owned)
            .into(),
        seconds: 180,
        victims: Vec::new(),
        settle: 0,
    }
}

/// Lists the programs, and what is wrong with them.
pub(crate) fn check(report: &Value, accelerator: Accelerator) -> Findings {
    let mut found = Findings::default();
    for check in entries(report, "checks") {
        let (name, status) = (text(check, "name"), text(check, "status"));
        // Hooks that the trace can do without are warnings; kernels that we test have them all.
        let hook = name.starts_with("hook ") || name.starts_with("filters");
        if status == "fail" || (hook && status != "pass") {
            found.fail(format!("{name}: {}", text(check, "detail")));
        }
    }
    let programs = entries(report, "programs");
    if programs.is_empty() {
        found.fail("the report of `leaktrace doctor` lists no programs".to_owned());
    }
    let mut most = 0;
    let mut all_milliseconds = 0.0;
    for program in programs {
        let name = format!("{} {}", text(program, "kind"), text(program, "name"));
        let instructions = program["verified_instructions"].as_u64();
        let milliseconds = program["load_ms"].as_f64();
        let or_dash = |value: Option<String>| value.unwrap_or_else(|| "-".to_owned());
        found.tell(format!(
            "{name:<44} {:>7} verified {:>7} ms",
            or_dash(instructions.map(|number| number.to_string())),
            or_dash(milliseconds.map(|time| format!("{time:.0}"))),
        ));
        most = most.max(instructions.unwrap_or(0));
        all_milliseconds += milliseconds.unwrap_or(0.0);
        if let Some(number) = instructions
            && number > MOST_INSTRUCTIONS
        {
            found.fail(format!(
                "{name}: {number} instructions verified, more than {MOST_INSTRUCTIONS}"
            ));
        }
        if let Some(time) = milliseconds
            && accelerator == Accelerator::Kvm
            && time >= MOST_MILLISECONDS
        {
            found.fail(format!(
                "{name}: loaded in {time:.0} ms, not {MOST_MILLISECONDS:.0}"
            ));
        }
    }
    found.summary = format!(
        "{} programs loaded in {:.1} s, at most {} instructions verified",
        programs.len(),
        all_milliseconds / 1000.0,
        if most == 0 {
            "-".to_owned()
        } else {
            most.to_string()
        },
    );
    found
}

fn entries<'a>(report: &'a Value, key: &str) -> &'a [Value] {
    report[key].as_array().map_or(&[], Vec::as_slice)
}

fn text<'a>(value: &'a Value, key: &str) -> &'a str {
    value[key].as_str().unwrap_or("?")
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn report(instructions: Option<u64>, milliseconds: f64) -> Value {
        json!({
            "checks": [
                {"name": "stacks", "status": "warn", "detail": "short"},
                {"name": "hook sys_exit", "status": "pass", "detail": "attaches"},
            ],
            "programs": [
                {"name": "sys_exit", "kind": "tp_btf", "verified_instructions": instructions,
                 "load_ms": milliseconds},
            ],
        })
    }

    #[test]
    fn what_the_verifier_nearly_refuses_fails() {
        let failures = |report: &Value, accelerator| check(report, accelerator).failures.len();
        assert_eq!(failures(&report(Some(600_000), 10.0), Accelerator::Tcg), 0);
        assert_eq!(failures(&report(Some(600_001), 10.0), Accelerator::Tcg), 1);
        assert_eq!(failures(&report(None, 10.0), Accelerator::Tcg), 0);
    }

    #[test]
    fn load_times_count_where_the_processor_is_real() {
        let slow = report(Some(1), 500.0);
        assert_eq!(check(&slow, Accelerator::Tcg).failures.len(), 0);
        assert_eq!(check(&slow, Accelerator::Kvm).failures.len(), 1);
    }

    #[test]
    fn a_hook_that_is_missing_fails() {
        let mut report = report(Some(1), 1.0);
        report["checks"][1]["status"] = json!("warn");
        assert_eq!(
            check(&report, Accelerator::Tcg).failures,
            ["hook sys_exit: attaches"]
        );
    }

    #[test]
    fn a_report_without_programs_fails() {
        assert_eq!(check(&json!({}), Accelerator::Tcg).failures.len(), 1);
    }
}
