//! Processes that are full: at a limit of theirs, or near it, without growth. How they came
//! there is not known any more. What they hold says most of it, so it is put into groups: so
//! many of one path, of one peer, of one state. This is about descriptors; `mappings` and
//! `users` are about other limits.

mod mappings;
mod users;

use std::collections::{BTreeMap, HashMap};

use leak_common::{Class, Handle, Kind};

use super::{Proc, link_text, number_in_link};
use crate::model::{
    handle,
    refusal::Refusal,
    report::{Full, FullGroup, Socket},
};

/// From this share of a limit on a process is full, in hundredths.
const FULL: u64 = 90;

/// A lower limit than this is meant to be reached: programs that need no descriptors any more
/// give themselves one of 0 or 1.
const LEAST_LIMIT: u64 = 16;

/// Descriptors that are looked at.
const MAX_DESCRIPTORS: usize = 65_536;

/// Groups that are told.
const GROUPS: usize = 16;

/// From this many on, names in one directory that are there once or twice each are told as one.
const ALIKE: usize = 3;

/// One descriptor.
#[derive(Clone, Debug, Default)]
struct Held {
    number: u32,
    kind: &'static str,
    /// Path or name; untrusted.
    text: String,
    socket: Option<Socket>,
    deleted: bool,
    /// Grows with the time of its making: the inode of a socket or pipe, else its number.
    order: u64,
}

/// What the descriptors of a group have in common.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
struct Key {
    kind: &'static str,
    what: String,
    state: String,
}

/// Whether so much of a limit is used that there is hardly room for more. A process that was
/// refused something wants more, however low its limit is.
fn is_full(used: u64, limit: u64, refused: bool) -> bool {
    let full = used.saturating_mul(100) >= limit.saturating_mul(FULL);
    full && (refused || limit >= LEAST_LIMIT)
}

impl Proc {
    /// What a process holds that is full of descriptors, or else of mappings. `refused` is for want
    /// of what a call of it failed; `mappings` is how many it has, as far as is known without
    /// reading them.
    #[must_use]
    pub fn full(&self, pid: u32, refused: Option<Refusal>, mappings: u64) -> Option<Full> {
        let refused_files = refused == Some(Refusal::Files);
        let descriptors = self.full_of_descriptors(pid, refused_files);
        let ran_out = refused == Some(Refusal::Memory);
        let may_be = || ran_out || self.may_be_full_of_mappings(mappings);
        descriptors.or_else(|| may_be().then(|| self.full_of_mappings(pid)).flatten())
    }

    /// What a process holds that is full of descriptors: it has nine tenths of what its
    /// limit allows, or more. `refused` says that a call of it failed for want of one.
    fn full_of_descriptors(&self, pid: u32, refused: bool) -> Option<Full> {
        let stat = self.stat(pid)?;
        let used = self.count_descriptors(pid)?;
        if used < LEAST_LIMIT * FULL / 100 && !refused {
            return None;
        }
        let limit = self.soft_limits(pid).files?;
        if !is_full(used, limit, refused) {
            return None;
        }
        let mut descriptors = self.descriptors(pid)?;
        descriptors.truncate(MAX_DESCRIPTORS);
        let groups = groups(&self.held(pid, &descriptors));
        // It may be another process by now.
        if self.identity(pid) != Some(stat.id) {
            return None;
        }
        let told: u64 = groups.iter().take(GROUPS).map(|group| group.count).sum();
        Some(Full {
            pid,
            start_time: u64::from(stat.id.start_ticks()),
            comm: stat.comm,
            resource: "nofile".to_owned(),
            used,
            limit,
            others: used.saturating_sub(told),
            groups: groups.into_iter().take(GROUPS).collect(),
            ..Full::default()
        })
    }

    /// The inode of a socket or pipe: the kernel numbers them in the order of their making.
    fn inode_of(&self, pid: u32, number: u32, kind: &str) -> Option<u64> {
        let path = self.of(self.memory_of(pid), &format!("fd/{number}"));
        number_in_link(&link_text(&path).ok()?, kind)
    }

    fn held(&self, pid: u32, descriptors: &[(u32, Kind)]) -> Vec<Held> {
        let handle = |number: u32| Handle::new(Class::Descriptor, u64::from(number));
        let asked: Vec<(Handle, Kind)> = descriptors
            .iter()
            .map(|&(number, kind)| (handle(number), kind))
            .collect();
        let described = self.describe_many(pid, &asked);
        let all = descriptors.iter().zip(described);
        all.map(|(&(number, kind), description)| {
            let inode = matches!(kind, Kind::Socket | Kind::Pipe)
                .then(|| self.inode_of(pid, number, kind.name()))
                .flatten();
            Held {
                number,
                kind: kind.name(),
                text: match kind {
                    Kind::File | Kind::Directory | Kind::Memfd => description.text,
                    _ => String::new(),
                },
                socket: description.socket,
                deleted: description.deleted,
                order: inode.unwrap_or(u64::from(number)),
            }
        })
        .collect()
    }
}

/// All that is held, in groups: the largest first.
fn groups(held: &[Held]) -> Vec<FullGroup> {
    let ends = Ends::of(held);
    let mut groups: BTreeMap<Key, Vec<&Held>> = BTreeMap::new();
    for one in held {
        groups.entry(key(one, &ends)).or_default().push(one);
    }
    let groups = of_directories(groups);
    let mut groups: Vec<FullGroup> = groups
        .into_iter()
        .map(|(key, of)| group(key, &of))
        .collect();
    groups.sort_by(|a, b| {
        let name = |group: &FullGroup| (group.kind.clone(), group.what.clone());
        b.count.cmp(&a.count).then_with(|| name(a).cmp(&name(b)))
    });
    groups
}

fn group(key: Key, of: &[&Held]) -> FullGroup {
    let oldest = of.iter().min_by_key(|one| (one.order, one.number));
    // A name that all of them have is told as it is.
    let same = of.iter().all(|one| one.text == of[0].text);
    let what = match same && of[0].socket.is_none() && !of[0].text.is_empty() {
        true => name_of(of[0]),
        false => key.what,
    };
    FullGroup {
        kind: key.kind.to_owned(),
        what,
        state: key.state,
        count: of.len() as u64,
        oldest: oldest.map_or_else(String::new, |one| {
            let number = u64::from(one.number);
            handle::name(Handle::new(Class::Descriptor, number), 0)
        }),
    }
}

/// How many sockets have each peer, and each local address.
struct Ends<'a> {
    peers: HashMap<&'a str, usize>,
    locals: HashMap<&'a str, usize>,
}

impl<'a> Ends<'a> {
    fn of(held: &'a [Held]) -> Ends<'a> {
        let mut ends = Ends {
            peers: HashMap::new(),
            locals: HashMap::new(),
        };
        for socket in held.iter().filter_map(|one| one.socket.as_ref()) {
            *ends.peers.entry(&socket.peer).or_default() += 1;
            *ends.locals.entry(&socket.local).or_default() += 1;
        }
        ends
    }
}

fn key(one: &Held, ends: &Ends<'_>) -> Key {
    let (what, state) = match &one.socket {
        Some(socket) => (between(socket, ends), socket.state.clone()),
        None if one.deleted => (pattern(&name_of(one)), "deleted".to_owned()),
        None => (pattern(&name_of(one)), String::new()),
    };
    Key {
        kind: one.kind,
        what,
        state,
    }
}

/// A file's path; what is said of it behind that (its size) differs.
fn name_of(one: &Held) -> String {
    match one.text.rsplit_once(" (deleted)") {
        Some((path, _)) if one.deleted => path.to_owned(),
        _ => one.text.clone(),
    }
}

/// What the sockets of a group are between: to one peer from any port, or at one address
/// from any host.
fn between(socket: &Socket, ends: &Ends<'_>) -> String {
    let Socket {
        family,
        local,
        peer,
        ..
    } = socket;
    let many = |of: &HashMap<&str, usize>, end: &str| of.get(end).copied().unwrap_or(0);
    match (local.as_str(), peer.as_str()) {
        ("", "") => family.clone(),
        (local, "") if family == "unix" => pattern(local),
        (local, "") => local.to_owned(),
        ("", peer) => format!("-> {}", pattern(peer)),
        (local, peer) if many(&ends.peers, peer) >= many(&ends.locals, local) => {
            format!("-> {peer}")
        }
        (local, peer) => match peer.rsplit_once(':') {
            Some((host, _)) => format!("{local} <- {host}"),
            None => local.to_owned(),
        },
    }
}

/// A name without what differs from one to the next: numbers, and what is like a random
/// number in hexadecimal.
fn pattern(name: &str) -> String {
    let is_word = |c: char| c.is_ascii_alphanumeric();
    let mut out = String::with_capacity(name.len());
    let mut rest = name;
    while let Some(first) = rest.chars().next() {
        let end = match is_word(first) {
            true => rest.find(|c| !is_word(c)).unwrap_or(rest.len()),
            false => rest.find(is_word).unwrap_or(rest.len()),
        };
        let (word, after) = rest.split_at(end);
        let has_digit = word.contains(|c: char| c.is_ascii_digit());
        let hexadecimal = word.len() >= 8 && word.chars().all(|c| c.is_ascii_hexdigit());
        if has_digit && hexadecimal {
            out.push('*');
        } else {
            without_digits(word, &mut out);
        }
        rest = after;
    }
    out
}

/// Each run of digits becomes one `*`.
fn without_digits(word: &str, out: &mut String) {
    for c in word.chars() {
        match c.is_ascii_digit() {
            true if out.ends_with('*') => {}
            true => out.push('*'),
            false => out.push(c),
        }
    }
}

/// Makes one group of names that lie in one directory and have nothing else in common, such
/// as those of temporary files.
fn of_directories(groups: BTreeMap<Key, Vec<&Held>>) -> BTreeMap<Key, Vec<&Held>> {
    let directory = |key: &Key| {
        let (directory, _) = key.what.rsplit_once('/')?;
        Some(Key {
            what: format!("{directory}/*"),
            ..key.clone()
        })
    };
    let mut alike: HashMap<Key, usize> = HashMap::new();
    let is_rare = |of: &[&Held]| of.len() <= 2 && of[0].socket.is_none();
    for (key, of) in groups.iter().filter(|(_, of)| is_rare(of)) {
        if let Some(key) = directory(key) {
            *alike.entry(key).or_default() += of.len();
        }
    }
    let mut merged: BTreeMap<Key, Vec<&Held>> = BTreeMap::new();
    for (key, of) in groups {
        let to = is_rare(&of)
            .then(|| directory(&key))
            .flatten()
            .filter(|key| alike.get(key).is_some_and(|&many| many >= ALIKE));
        merged.entry(to.unwrap_or(key)).or_default().extend(of);
    }
    merged
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "tests")]
    use proptest::prelude::*;

    use super::*;

    fn file(number: u32, text: &str) -> Held {
        Held {
            number,
            kind: "file",
            text: text.to_owned(),
            order: u64::from(number),
            ..Held::default()
        }
    }

    fn socket(number: u32, local: &str, peer: &str, state: &str) -> Held {
        Held {
            number,
            kind: "socket",
            order: 1000 - u64::from(number),
            socket: Some(Socket {
                family: "inet".to_owned(),
                local: local.to_owned(),
                peer: peer.to_owned(),
                state: state.to_owned(),
            }),
            ..Held::default()
        }
    }

    fn told(held: &[Held]) -> Vec<(String, String, u64, String)> {
        let groups = groups(held).into_iter();
        groups
            .map(|group| (group.what, group.state, group.count, group.oldest))
            .collect()
    }

    fn of(what: &str, state: &str, count: u64, oldest: &str) -> (String, String, u64, String) {
        (what.to_owned(), state.to_owned(), count, oldest.to_owned())
    }

    #[test]
    fn files_of_one_path_or_of_one_pattern_are_a_group() {
        let mut held: Vec<Held> = (3..59).map(|n| file(n, "/etc/passwd")).collect();
        held.extend((100..110).map(|n| file(n, &format!("/var/log/app-{n}.log"))));
        held.extend(["k8sd", "zzab", "qwer"].map(|n| file(200, &format!("/tmp/tmp{n}"))));
        held.push(file(300, "/dev/null"));
        assert_eq!(
            told(&held),
            [
                of("/etc/passwd", "", 56, "fd 3"),
                of("/var/log/app-*.log", "", 10, "fd 100"),
                of("/tmp/*", "", 3, "fd 200"),
                of("/dev/null", "", 1, "fd 300"),
            ]
        );
    }

    #[test]
    fn sockets_are_grouped_by_the_end_that_they_share_and_by_state() {
        let mut held: Vec<Held> = (10..30)
            .map(|n| {
                socket(
                    n,
                    &format!("10.0.0.1:{}", 40_000 + n),
                    "10.0.0.9:5432",
                    "CLOSE_WAIT",
                )
            })
            .collect();
        held.extend((30..40).map(|n| {
            let peer = format!("10.0.0.7:{}", 50_000 + n);
            socket(n, "10.0.0.1:80", &peer, "ESTABLISHED")
        }));
        held.push(socket(3, "0.0.0.0:80", "", "LISTEN"));
        assert_eq!(
            told(&held),
            [
                of("-> 10.0.0.9:5432", "CLOSE_WAIT", 20, "fd 29"),
                of("10.0.0.1:80 <- 10.0.0.7", "ESTABLISHED", 10, "fd 39"),
                of("0.0.0.0:80", "LISTEN", 1, "fd 3"),
            ]
        );
    }

    #[test]
    fn a_process_is_full_at_nine_tenths_of_a_limit_that_was_not_meant_to_be_reached() {
        assert!(is_full(54, 60, false) && is_full(60, 60, false) && !is_full(53, 60, true));
        assert!(!is_full(3, 1, false) && !is_full(0, 0, false) && is_full(8, 8, true));
        // This one has room.
        let refused = Some(Refusal::Files);
        assert_eq!(Proc::default().full(std::process::id(), refused, 0), None);
        assert_eq!(Proc::default().full(u32::MAX, refused, 0), None);
    }

    proptest! {
        #[test]
        fn each_descriptor_is_in_one_group_and_the_largest_come_first(
            files in prop::collection::vec("/[a-c]/[a-z0-9*]{0,9}( \\(deleted\\))?|[\\x00-\\x7f]{0,6}", 0..40),
            peers in prop::collection::vec(("[1-3]\\.0\\.0\\.1:[0-9]{1,3}|", "[1-3]\\.0\\.0\\.2:[0-9]{1,3}|"), 0..40),
        ) {
            let mut held: Vec<Held> = files.iter().enumerate().map(|(n, text)| file(n as u32, text)).collect();
            held.extend(peers.iter().enumerate().map(|(n, (local, peer))| socket(100 + n as u32, local, peer, "X")));
            let groups = groups(&held);
            prop_assert_eq!(groups.iter().map(|group| group.count).sum::<u64>(), held.len() as u64);
            prop_assert!(groups.windows(2).all(|two| two[0].count >= two[1].count));
            // What has the same name is together.
            for text in &files {
                let same = files.iter().filter(|other| *other == text).count() as u64;
                let largest = groups.first().map_or(0, |group| group.count);
                prop_assert!(largest >= same);
            }
        }
    }
}
