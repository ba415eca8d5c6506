//! Stacks of threads that ended: they stay mapped if nobody joins the thread.

use leak_common::Kind;

use super::Rule;
use crate::judge::Judged;
use crate::judge::evidence::named::Named;
use crate::model::report::Verdict;

/// Beginnings of the names of functions that map a thread's stack.
const THREAD_STACKS: &[&str] = &["pthread_create", "__pthread_create", "allocate_stack"];

/// Tells growth of thread stacks that have no thread.
#[derive(Default)]
pub(super) struct UnjoinedThreads;

impl Rule for UnjoinedThreads {
    fn name() -> &'static str {
        "unjoined-threads"
    }

    fn add_names(named: &Named<'_>, judged: &mut Judged) {
        let threads = named.threads;
        let fits = are_thread_stacks(judged.kind, named) && judged.outstanding > threads;
        if !fits || judged.verdict == Verdict::Steady {
            return;
        }
        judged.rule = Self::name();
        judged.evidence.push(format!(
            "{} stacks of threads are mapped, and the process has {threads} threads: those of the others \
             ended and were neither joined nor detached",
            judged.outstanding
        ));
    }
}

/// Whether a site maps the stacks of threads.
pub(super) fn are_thread_stacks(kind: Kind, named: &Named<'_>) -> bool {
    kind == Kind::Mapping && named.calls(THREAD_STACKS)
}
