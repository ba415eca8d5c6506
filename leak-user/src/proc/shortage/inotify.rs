//! Why no more inotify instances can be made: all processes of a user share them.

use super::{Shortage, holder, most};
use crate::{
    model::report::Limit,
    proc::{
        Proc,
        inotify_use::{INSTANCES, InotifyUse},
    },
};

impl Proc {
    pub(super) fn out_of_inotify(&self, pid: u32) -> Shortage {
        let all = self.inotify_use();
        let limits = all.limits_of(pid);
        let instances = limits.iter().find(|limit| limit.resource == INSTANCES);
        Shortage {
            meaning: format!(
                "{}; every further inotify_init fails",
                instances.map_or_else(
                    || "the user reached the limit of inotify instances".to_owned(),
                    reached
                )
            ),
            holders: self.most_inotify(pid, &all),
        }
    }

    fn most_inotify(&self, pid: u32, all: &InotifyUse) -> Vec<crate::model::report::Holder> {
        let beside = all.beside(pid).into_iter();
        most(beside.map(|(pid, instances, _)| holder(pid, &self.comm(pid), "inotify", instances)))
    }
}

/// Which user it was, and by which name the limit is set.
fn reached(limit: &Limit) -> String {
    let name = match limit.scope.contains("userns:") {
        true => "user.max_inotify_instances of its user name space",
        false => "fs.inotify.max_user_instances",
    };
    format!(
        "the user reached the limit of {} inotify instances ({name})",
        limit.soft
    )
}
