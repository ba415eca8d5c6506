//! What makes a recording write its past: `nofile>80%`, `findings` or `EMFILE`, or
//! several of these separated by `|`. This is their text; whether one fires the trace
//! sees.

use crate::model::refusal::Refusal;

/// One reason to write the past.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Trigger {
    /// A process uses more than `percent` of a limit.
    Limit { resource: String, percent: u32 },
    /// There is a finding that is a leak.
    Findings,
    /// The kernel refuses something for this reason.
    Refused(Refusal),
}

/// Any of several triggers.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Triggers(pub Vec<Trigger>);

/// The limits that a trigger can name: those that the report has for a process, by the
/// same names.
const LIMITS: &[&str] = &[
    "nofile",
    "max_map_count",
    "nproc",
    "pids",
    "memory",
    "threads-max",
    "pid_max",
    "file-max",
];

impl std::fmt::Display for Trigger {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Trigger::Limit { resource, percent } => write!(f, "{resource}>{percent}%"),
            Trigger::Findings => f.write_str("findings"),
            Trigger::Refused(refusal) => f.write_str(refusal.name()),
        }
    }
}

impl Triggers {
    /// Reads them from the command line.
    ///
    /// # Errors
    /// One of them is no trigger; the message says what to write.
    pub fn parse(text: &str) -> Result<Triggers, String> {
        text.split('|')
            .map(trigger)
            .collect::<Result<_, _>>()
            .map(Triggers)
    }
}

fn trigger(text: &str) -> Result<Trigger, String> {
    let text = text.trim();
    if text.is_empty() {
        return Err("a trigger is missing: write one on each side of `|`".to_owned());
    }
    if text == "findings" {
        return Ok(Trigger::Findings);
    }
    if let Some(refusal) = Refusal::ALL.into_iter().find(|one| one.name() == text) {
        return Ok(Trigger::Refused(refusal));
    }
    let Some((resource, share)) = text.split_once('>') else {
        let errors: Vec<&str> = Refusal::ALL.into_iter().map(Refusal::name).collect();
        return Err(format!(
            "'{text}' is no trigger: write a limit and a share, for example nofile>80%, or `findings`, \
             or an error ({})",
            errors.join(", ")
        ));
    };
    let resource = resource.trim();
    if !LIMITS.contains(&resource) {
        return Err(format!(
            "'{resource}' is no limit that is watched: {}",
            LIMITS.join(", ")
        ));
    }
    let percent = share
        .trim()
        .strip_suffix('%')
        .and_then(|number| number.parse().ok());
    match percent {
        Some(percent @ 1..=99) => Ok(Trigger::Limit {
            resource: resource.to_owned(),
            percent,
        }),
        _ => Err(format!(
            "'{}' is no share of a limit: write 1% to 99%",
            share.trim()
        )),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn triggers_are_read_and_written_alike() {
        let text = "nofile>80%|findings|EMFILE|pids>1%";
        let read = Triggers::parse(" nofile > 80% |findings| EMFILE|pids>1%");
        let written = read.map(|triggers| {
            let words: Vec<String> = triggers.0.iter().map(Trigger::to_string).collect();
            words.join("|")
        });
        assert_eq!(written.as_deref(), Ok(text));
    }

    #[test]
    fn what_is_wrong_with_a_trigger_is_said() {
        for (text, message) in [
            ("", "a trigger is missing"),
            ("findings|", "a trigger is missing"),
            ("leaks", "'leaks' is no trigger"),
            ("emfile", "EAGAIN, ENOMEM, ENFILE, EMFILE"),
            ("files>80%", "'files' is no limit that is watched: nofile"),
            ("nofile>80", "'80' is no share"),
            ("nofile>0%", "write 1% to 99%"),
            ("nofile>100%", "write 1% to 99%"),
            ("nofile>-5%", "write 1% to 99%"),
        ] {
            let error = Triggers::parse(text).expect_err(text);
            assert!(error.contains(message), "{text}: {error}");
        }
    }
}
