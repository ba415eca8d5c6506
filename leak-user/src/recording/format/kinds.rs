//! Numbers of the kinds of records that state their length. They are part of the
//! format: a number is never used again for something else.

/// Constants, and the list of them all.
macro_rules! kinds {
    ($($(#[$comment:meta])* $name:ident = $number:literal,)+) => {
        $($(#[$comment])* pub(super) const $name: u8 = $number;)+

        /// All of them, in ascending order.
        pub(super) const ALL: &[(&str, u8)] = &[$((stringify!($name), $number)),+];
    };
}

kinds! {
    /// A fragment of a record that is too long for a segment.
    FRAGMENT = 1,

    // Events.
    SITE = 2,
    RANGE_RELEASED = 3,
    REMAPPED = 4,
    FORKED = 5,
    EXECUTED = 6,
    EXITED = 7,
    UNCOVERED = 8,
    CODE_MAPPED = 9,
    INTERPRETED = 10,
    STACK_SAMPLE = 11,
    UNFINISHED = 12,
    FAILED = 13,

    // Other inputs.
    BASELINE = 32,
    COMPARED = 33,
    GONE = 34,
    LOST = 35,
    HORIZON = 36,
    COUNTED = 37,
    SAMPLE = 38,
    FACTS = 39,
    STACK = 40,
    DESCRIBED = 41,
    LIMITS = 42,
    SHARED_LIMITS = 43,
    HEALTH = 44,
    ENDED = 45,
    FIRST_FAILURE = 46,
    SHARED = 47,
    OBSERVED = 48,
    RESTORED = 49,
    LAST_USES = 50,
    FULL = 51,
    GENERATED_CODE = 52,
    POOL_USES = 53,
}

// A number that two kinds have would be read as the first of them. From 128 on a first
// byte is that of a compact record.
const _: () = {
    let mut at = 0;
    while at < ALL.len() {
        assert!(ALL[at].1 < 128 && (at == 0 || ALL[at - 1].1 < ALL[at].1));
        at += 1;
    }
};
