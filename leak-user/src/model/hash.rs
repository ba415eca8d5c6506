//! Hash tables on the way of each event. `std`'s own hash is built to withstand who
//! chooses all keys and watches what it takes; here that would be two fifths of the
//! time of reading a recording.

use std::collections::{HashMap, HashSet};

use foldhash::fast::RandomState;

/// A table of which nothing may depend on the order. Each process of ours hashes by a
/// seed of its own, each table differently: a traced process, which chooses descriptor
/// numbers and addresses, cannot know which of them collide.
pub(crate) type Map<K, V> = HashMap<K, V, RandomState>;

/// A set of the same sort.
pub(crate) type Set<K> = HashSet<K, RandomState>;
