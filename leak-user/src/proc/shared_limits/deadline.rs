//! Until when a reading may work.

use std::time::Duration;

/// A moment by the processor time of this thread. Waiting for a processor uses none of it: on a busy host a deadline by
/// the clock would be over before anything was read.
#[derive(Clone, Copy, Debug)]
pub(super) struct Deadline(Duration);

impl Deadline {
    /// After this much more work.
    pub(super) fn after(work: Duration) -> Deadline {
        Deadline(worked().saturating_add(work))
    }

    pub(super) fn is_over(self) -> bool {
        worked() >= self.0
    }
}

/// What this thread has used of processors.
fn worked() -> Duration {
    let mut time = libc::timespec {
        tv_sec: 0,
        tv_nsec: 0,
    };
    // SAFETY: one live object. Every thread has this clock (Linux 2.6.12), so the call cannot fail.
    unsafe { libc::clock_gettime(libc::CLOCK_THREAD_CPUTIME_ID, &raw mut time) };
    let seconds = u64::try_from(time.tv_sec).unwrap_or(0);
    let nanos = u32::try_from(time.tv_nsec).unwrap_or(0);
    Duration::new(seconds, nanos)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn waiting_uses_no_time_and_working_does() {
        let deadline = Deadline::after(Duration::from_millis(20));
        std::thread::sleep(Duration::from_millis(25));
        assert!(!deadline.is_over());
        let begun = std::time::Instant::now();
        while !deadline.is_over() {
            assert!(begun.elapsed() < Duration::from_secs(60));
        }
        assert!(Deadline::after(Duration::ZERO).is_over());
    }
}
