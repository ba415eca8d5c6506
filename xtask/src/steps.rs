//! Steps of a task that takes minutes: each says what it is and how long that usually takes, and in the end how long it
//! took. A quiet minute looks like a hang.

use std::time::{Duration, Instant};

/// The steps of one task.
pub(crate) struct Steps {
    all: usize,
    begun: usize,
    start: Instant,
    step: Instant,
}

impl Steps {
    /// As many steps as there will be.
    pub(crate) fn new(all: usize) -> Steps {
        let now = Instant::now();
        Steps {
            all,
            begun: 0,
            start: now,
            step: now,
        }
    }

    /// Begins the next step. `usually`: how long it takes the first time on two idle cores.
    pub(crate) fn next(&mut self, what: &str, usually: &str) {
        self.took();
        self.begun += 1;
        self.step = Instant::now();
        eprintln!(
            "xtask: step {} of {}: {what} ({usually})",
            self.begun, self.all
        );
    }

    /// Ends the last step.
    pub(crate) fn done(mut self) {
        self.took();
        eprintln!("xtask: ready after {}", shown(self.start.elapsed()));
    }

    fn took(&mut self) {
        if self.begun > 0 {
            eprintln!(
                "xtask: step {} took {}",
                self.begun,
                shown(self.step.elapsed())
            );
        }
    }
}

/// A duration as `0.4 s`, `48 s` or `3 min 2 s`.
fn shown(duration: Duration) -> String {
    let seconds = duration.as_secs_f64().round() as u64;
    match seconds {
        0..3 => format!("{:.1} s", duration.as_secs_f64()),
        3..60 => format!("{seconds} s"),
        _ => format!("{} min {} s", seconds / 60, seconds % 60),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_are_read_at_a_glance() {
        for (milliseconds, text) in [(400, "0.4 s"), (47_600, "48 s"), (182_000, "3 min 2 s")] {
            assert_eq!(shown(Duration::from_millis(milliseconds)), text);
        }
    }
}
