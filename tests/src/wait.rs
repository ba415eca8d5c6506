//! Waiting: for a condition until a deadline, and for what was acquired to grow old.
//! Tests wait here and nowhere else.

use std::thread::sleep;
use std::time::{Duration, Instant};

/// How long anything may take that should be a matter of moments: generous,
/// since a loaded machine is no failure.
pub const PATIENCE: Duration = Duration::from_secs(120);

/// How often a condition is looked at.
const LOOK: Duration = Duration::from_millis(10);

/// Waits until the condition holds; whether it came to that within [`PATIENCE`].
#[must_use]
pub fn eventually(mut condition: impl FnMut() -> bool) -> bool {
    within(PATIENCE, || condition().then_some(())).is_some()
}

/// Waits until there is an answer, and returns it; `None` where there is none in time.
/// It asks at least once.
pub fn within<T>(patience: Duration, mut ask: impl FnMut() -> Option<T>) -> Option<T> {
    let deadline = Instant::now() + patience;
    loop {
        let answer = ask();
        if answer.is_some() || Instant::now() > deadline {
            return answer;
        }
        sleep(LOOK);
    }
}

/// The age from which on a resource counts, in tests that say nothing of that age.
const NURSERY: Duration = Duration::from_millis(200);

/// Options for that age. [`grow_old`] goes with them.
pub const BRIEF_NURSERY: [&str; 2] = ["--nursery", "200ms"];

/// Lets what was acquired before this call grow old: a report that is asked for from now
/// on has it. For a report the tracer looks through what is young once more,
/// so no time is needed for that.
pub fn grow_old() {
    sleep(NURSERY);
}

/// Lets what was acquired before this call grow old, and the tracer take it over, for
/// tests in which something happens to it afterwards. The tracer looks for what has
/// grown old every 100 ms. Nothing outside shows when it has done so: a tracer that comes
/// late must get everything right as well, it is only tested less.
pub fn be_taken_over() {
    sleep(NURSERY + Duration::from_millis(500));
}
