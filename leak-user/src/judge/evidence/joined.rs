//! Sites that are counted as one, because their stacks differ in what says nothing of the place in
//! the program:
//!
//! * **generated code**: a line is elsewhere each time that it is compiled again, and inlining changes
//!   how many frames it has. So all frames in generated code that follow each other are one
//!   placeholder. Where one of the stacks is not whole, what lies behind the placeholder does not
//!   count either: compiled code may hide its callers, which it did not before it was compiled;
//! * **stacks that could not be read**, as the process was changing its mappings: they are counted at
//!   the site whose innermost frames are the same, if there is one.
//!
//! The site that holds the most speaks for all.

use std::cmp::Reverse;
use std::collections::{BTreeMap, HashMap};

use leak_common::{Kind, ProcessId, wire::StackEnd};

use super::generated::is_in;
use super::last_use::LastUses;
use super::series::Series;
use crate::judge::Judge;
use crate::ledger::{Ledger, SiteKey, SiteRecord};
use crate::model::address::AddressRange;
use crate::model::time::Nanos;

/// What stands for generated code.
const PLACEHOLDER: u64 = 0;

/// Several sites as one.
pub(in crate::judge) struct Joined {
    pub(in crate::judge) record: SiteRecord,
    pub(in crate::judge) series: Option<Series>,
    pub(in crate::judge) last_uses: Option<LastUses>,
    /// All but the one that speaks, those that hold the most first.
    pub(in crate::judge) others: Vec<SiteKey>,
    /// Of these, how many have a stack that could not be read.
    unread: usize,
}

impl Joined {
    fn of(judge: &Judge, ledger: &Ledger, now: Nanos, mut sites: Vec<SiteKey>) -> Option<Joined> {
        sites.sort_by_key(|&key| Reverse(rank(ledger, key)));
        let (&first, others) = sites.split_first()?;
        let mut record = ledger.site(first)?.clone();
        let mut unread = 0;
        for other in others.iter().filter_map(|&key| ledger.site(key)) {
            record.join(other);
            unread += usize::from(is_unread(other));
        }
        let series = sites.iter().filter_map(|key| judge.series.get(key));
        let uses = sites.iter().filter_map(|&key| judge.last_uses.at(key, now));
        Some(Joined {
            record,
            series: Series::joined(&series.collect::<Vec<_>>()),
            last_uses: LastUses::joined(uses),
            others: others.to_vec(),
            unread,
        })
    }

    /// What a finding says of it.
    pub(in crate::judge) fn sentences(&self) -> Vec<String> {
        let stacks = |number: usize| match number {
            1 => "1 other stack".to_owned(),
            many => format!("{many} other stacks"),
        };
        let mut sentences = Vec::new();
        match self.others.len() - self.unread {
            0 => {}
            generated => sentences.push(format!(
                "counted together with {} of the same calls: the rest of them is code that the process \
                 generates, which moves",
                stacks(generated)
            )),
        }
        match self.unread {
            0 => {}
            unread => sentences.push(format!(
                "counted together with {} that could not be read to the end, and begin as this one",
                stacks(unread)
            )),
        }
        sentences
    }
}

/// All that are counted as one.
#[derive(Default)]
pub(in crate::judge) struct AllJoined {
    /// By the site that speaks for them.
    sites: HashMap<SiteKey, Joined>,
    /// Who speaks for the others.
    speakers: HashMap<SiteKey, SiteKey>,
}

impl AllJoined {
    pub(in crate::judge) fn of(judge: &Judge, ledger: &Ledger, now: Nanos) -> AllJoined {
        let mut groups = of_generated_code(judge, ledger);
        add_unread(ledger, &mut groups);
        let mut all = AllJoined::default();
        for group in groups.into_iter().filter(|group| group.len() > 1) {
            let speaker = group.iter().copied().max_by_key(|&key| rank(ledger, key));
            let joined = Joined::of(judge, ledger, now, group);
            if let (Some(speaker), Some(joined)) = (speaker, joined) {
                let others = joined.others.iter().map(|&other| (other, speaker));
                all.speakers.extend(others);
                all.sites.insert(speaker, joined);
            }
        }
        all
    }

    pub(in crate::judge) fn get(&self, key: SiteKey) -> Option<&Joined> {
        self.sites.get(&key)
    }

    /// The site that a site is counted at: itself, mostly.
    pub(in crate::judge) fn speaker(&self, key: SiteKey) -> SiteKey {
        self.speakers.get(&key).copied().unwrap_or(key)
    }
}

/// What makes a site the one that speaks: its stack, what it holds, what it has held.
fn rank(ledger: &Ledger, key: SiteKey) -> (bool, u64, u64, Reverse<SiteKey>) {
    let of = |record: &SiteRecord| {
        let held = record.outstanding.saturating_add(record.held_at_exit());
        (!is_unread(record), held, record.promoted)
    };
    let (is_read, held, promoted) = ledger.site(key).map_or((false, 0, 0), of);
    (is_read, held, promoted, Reverse(key))
}

/// Whether the stack of a site could not be read to its end.
pub(in crate::judge) fn is_unread(record: &SiteRecord) -> bool {
    record.end == StackEnd::Locked
}

/// Process, kind, and the frames up to generated code.
type Call<'a> = (ProcessId, u32, &'a [u64]);

/// A site that is called from generated code.
struct Caller<'a> {
    key: SiteKey,
    record: &'a SiteRecord,
    /// Its first frame in generated code.
    from: usize,
    ranges: &'a [AddressRange],
}

impl Caller<'_> {
    /// Its frames from the generated code on, with one placeholder for each run of such frames.
    fn callers(&self) -> Vec<u64> {
        let frames = self.record.frames[self.from..].iter();
        let mut callers: Vec<u64> = frames
            .map(|&frame| match is_in(self.ranges, frame) {
                true => PLACEHOLDER,
                false => frame,
            })
            .collect();
        callers.dedup_by(|a, b| *a == PLACEHOLDER && *b == PLACEHOLDER);
        callers
    }
}

/// Sites that differ in generated code only.
fn of_generated_code(judge: &Judge, ledger: &Ledger) -> Vec<Vec<SiteKey>> {
    let mut calls: BTreeMap<Call<'_>, Vec<Caller<'_>>> = BTreeMap::new();
    for (key, record) in ledger.sites() {
        let Some(ranges) = judge.generated.of(record.process) else {
            continue;
        };
        let mut frames = record.frames.iter();
        if let Some(from) = frames.position(|&frame| is_in(ranges, frame)) {
            let call = (record.process, record.kind as u32, &record.frames[..from]);
            let caller = Caller {
                key,
                record,
                from,
                ranges,
            };
            calls.entry(call).or_default().push(caller);
        }
    }
    let mut groups = Vec::new();
    for callers in calls.into_values() {
        let is_whole = |caller: &Caller<'_>| caller.record.end == StackEnd::Complete;
        if !callers.iter().all(is_whole) {
            groups.push(callers.iter().map(|caller| caller.key).collect());
            continue;
        }
        let mut apart: BTreeMap<Vec<u64>, Vec<SiteKey>> = BTreeMap::new();
        for caller in &callers {
            apart.entry(caller.callers()).or_default().push(caller.key);
        }
        groups.extend(apart.into_values());
    }
    groups
}

/// A site whose stack could not be read, and what is known of the stack.
type Unread<'a> = (SiteKey, &'a [u64]);

/// Adds sites whose stack could not be read to those that begin as they do: where there are
/// several, to the one that acquired the most.
fn add_unread(ledger: &Ledger, groups: &mut Vec<Vec<SiteKey>>) {
    let mut unread: HashMap<(ProcessId, Kind), Vec<Unread<'_>>> = HashMap::new();
    for (key, record) in ledger.sites() {
        if is_unread(record) && !record.frames.is_empty() {
            let of = unread.entry((record.process, record.kind)).or_default();
            of.push((key, &record.frames));
        }
    }
    if unread.is_empty() {
        return;
    }
    let mut best: BTreeMap<SiteKey, (u64, Reverse<SiteKey>)> = BTreeMap::new();
    for (key, record) in ledger.sites().filter(|(_, record)| !is_unread(record)) {
        let of = unread.get(&(record.process, record.kind));
        for (site, frames) in of.into_iter().flatten() {
            if record.frames.starts_with(frames) {
                let fits = (record.promoted, Reverse(key));
                let found = best.entry(*site).or_insert(fits);
                *found = fits.max(*found);
            }
        }
    }
    let mut places: HashMap<SiteKey, usize> = HashMap::new();
    for (place, group) in groups.iter().enumerate() {
        places.extend(group.iter().map(|&key| (key, place)));
    }
    for (site, (_, Reverse(fits))) in best {
        // It may have ended in generated code, and be with those that begin so already.
        if places.contains_key(&site) {
            continue;
        }
        let place = *places.entry(fits).or_insert_with(|| {
            groups.push(vec![fits]);
            groups.len() - 1
        });
        groups[place].push(site);
    }
}
