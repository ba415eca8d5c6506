//! Keys of users, of add_key(2) and of file systems and tickets that make some for them.

use super::limit_of;
use crate::{
    model::report::SharedLimit,
    proc::{Proc, read_text},
};

/// Bytes read: some 60 for a user.
const MAX_TABLE: u64 = 64 * 1024;

impl Proc {
    /// How many keys each user has, and bytes in them: those users that the tracer's name space
    /// has.
    pub(super) fn key_limits(&self) -> Vec<SharedLimit> {
        let text = read_text(&self.root.join("key-users"), MAX_TABLE).unwrap_or_default();
        text.lines().filter_map(row).flatten().collect()
    }
}

/// `UID: USAGE KEYS/INSTANTIATED QUOTA_KEYS/MAX QUOTA_BYTES/MAX`, security/keys/proc.c.
fn row(line: &str) -> Option<[SharedLimit; 2]> {
    let (user, rest) = line.split_once(':')?;
    let user: u32 = user.trim().parse().ok()?;
    let mut fields = rest.split_ascii_whitespace().skip(2);
    let mut limit = |resource: &str| {
        let (used, most) = fields.next()?.split_once('/')?;
        let scope = format!("user:{user}");
        Some(limit_of(
            scope,
            resource,
            used.parse().ok()?,
            most.parse().ok()?,
        ))
    };
    Some([limit("keys.maxkeys")?, limit("keys.maxbytes")?])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_and_their_bytes_are_told_of_each_user() {
        let line = " 1000:    43 42/42 40/200 900/20000";
        let scope = || "user:1000".to_owned();
        let expected = [
            limit_of(scope(), "keys.maxkeys", 40, 200),
            limit_of(scope(), "keys.maxbytes", 900, 20_000),
        ];
        assert_eq!(row(line), Some(expected));
        for damaged in ["", "x: 1 2/2 3/4 5/6", "0: 1 2/2 3/4", "0: 1 2/2 3-4 5/6"] {
            assert_eq!(row(damaged), None, "{damaged}");
        }
    }
}
