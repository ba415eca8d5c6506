//! Deleted files that are held open: they keep their space on disk, or in memory.

use leak_common::Kind;

use super::Rule;
use crate::judge::Judged;
use crate::judge::evidence::named::Named;
use crate::model::report::Verdict;

/// Tells growth of open files that are deleted.
#[derive(Default)]
pub(super) struct DeletedFiles;

impl Rule for DeletedFiles {
    fn name() -> &'static str {
        "deleted-files"
    }

    fn add_names(named: &Named<'_>, judged: &mut Judged) {
        if judged.kind != Kind::File || named.deleted == 0 {
            return;
        }
        if judged.verdict != Verdict::Steady && named.deleted * 2 > named.described {
            judged.rule = Self::name();
        }
        let space = match named.in_memory {
            0 => "space on disk",
            all if all == named.deleted => "memory",
            _ => "memory or space on disk",
        };
        judged.evidence.push(format!(
            "{} of {} that were looked at are deleted files: their {space} comes back when they are closed",
            named.deleted, named.described
        ));
    }
}
