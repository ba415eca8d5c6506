//! What the checks read in a JSON report, by its documented keys.

use serde_json::Value;

/// A finding of a report.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Finding<'a> {
    pub(crate) value: &'a Value,
}

impl<'a> Finding<'a> {
    /// All of a report.
    pub(crate) fn all(report: &'a Value) -> impl Iterator<Item = Finding<'a>> {
        let findings = report["findings"].as_array();
        findings
            .into_iter()
            .flatten()
            .map(|value| Finding { value })
    }

    pub(crate) fn kind(&self) -> &'a str {
        self.value["kind"].as_str().unwrap_or("?")
    }

    pub(crate) fn is_leak(&self) -> bool {
        self.value["verdict"] == "leak"
    }

    /// Whether it is said to grow: the trace is too short for more.
    pub(crate) fn grows(&self) -> bool {
        self.value["verdict"] != "steady"
    }

    pub(crate) fn outstanding(&self) -> u64 {
        self.value["outstanding"].as_u64().unwrap_or(0)
    }

    /// Name and module of each function that has a frame of its own, innermost first.
    pub(crate) fn functions(&self) -> impl Iterator<Item = (&'a str, &'a str)> {
        let frames = self.value["stack"].as_array();
        let own_frame = |frame: &&Value| frame["inlined"] != true;
        frames.into_iter().flatten().filter(own_frame).map(|frame| {
            // Without a symbol its address is all there is.
            let name = frame["symbol"].as_str().filter(|name| !name.is_empty());
            let name = name.or(frame["address"].as_str());
            (name.unwrap_or("?"), frame["module"].as_str().unwrap_or(""))
        })
    }
}

/// The process with this id.
pub(crate) fn process(report: &Value, pid: u32) -> Option<&Value> {
    let processes = report["processes"].as_array()?;
    processes.iter().find(|process| process["pid"] == pid)
}
