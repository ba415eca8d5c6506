//! The rules, one a file.

pub(super) mod close_wait;
pub(super) mod exit;
pub(super) mod growth;
pub(super) mod inherited;
pub(super) mod merged;
pub(super) mod watches;
pub(super) mod zombies;
