//! The functions of a file and the rules of their rows.

use std::collections::HashMap;

use gimli::{BaseAddresses, CommonInformationEntry, FrameDescriptionEntry, UnwindSection};
use leak_common::unwind::{MAX_RULES, Row, Rule};

use super::code_segments::{CodeSegments, Span};
use super::columns::{self, Columns, Malformed, Reader};
use super::cover::Run;
use super::elf::entry_size;
use super::machine::Machine;
use super::table::Statistics;
use super::translate::{self, Translator};

/// Most functions of a file. Browsers have half a million.
const MAX_FUNCTIONS: usize = 1 << 21;
/// Most rows of a file; all files together have less room in the kernel.
const MAX_ROWS: usize = 1 << 23;
/// Most common entries of a section: linkers merge them to a few, but compilers
/// write one to each object of `.debug_frame`.
const MAX_COMMON_ENTRIES: usize = 1 << 16;
/// Most bytes of a common entry: it may be far away from where it is used, so its
/// size counts once per use.
const MAX_COMMON_BYTES: u64 = 1 << 10;

/// Which of all rows are those of a function.
#[derive(Clone, Copy, Debug)]
struct RowsOf {
    first: u32,
    count: u32,
}

/// From a byte on (counted from the first page), a rule holds.
#[derive(Clone, Copy, Debug)]
struct Start {
    place: u32,
    rule: u16,
}

/// All functions of a file.
pub(super) struct Functions<'a> {
    machine: Machine,
    code: &'a CodeSegments,
    /// The code of each function.
    spans: Vec<Span>,
    /// The rows of each function, in the order of `spans`.
    rows_of: Vec<RowsOf>,
    rows: Vec<Start>,
    rules: Rules,
    pub(super) statistics: Statistics,
}

/// A common entry, and the columns its functions begin with.
struct Common<'a> {
    entry: CommonInformationEntry<Reader<'a>>,
    columns: Option<Columns>,
}

impl<'f> Functions<'f> {
    pub(super) fn new(machine: Machine, code: &'f CodeSegments) -> Functions<'f> {
        Functions {
            machine,
            code,
            spans: Vec::new(),
            rows_of: Vec::new(),
            rows: Vec::new(),
            rules: Rules::new(),
            statistics: Statistics::default(),
        }
    }

    /// The code of each function, in bytes from the first page.
    pub(super) fn spans(&self) -> &[Span] {
        &self.spans
    }

    pub(super) fn into_rules(self) -> Vec<Rule> {
        self.rules.list
    }

    /// Calls `row` with the start and the rule of each row in a run.
    pub(super) fn for_each_row(&self, run: &Run, mut row: impl FnMut(u32, u16)) {
        let own = self.rows_of[run.function as usize];
        let first = own.first as usize;
        let rows = &self.rows[first..first + own.count as usize];
        let after = rows.partition_point(|row| row.place <= run.start);
        let (before, rows) = rows.split_at(after);
        row(
            run.start,
            before.last().map_or(Row::UNKNOWN, |row| row.rule),
        );
        for next in rows.iter().take_while(|row| row.place < run.end) {
            row(next.place, next.rule);
        }
    }

    /// Adds the functions of a section whose beginning is not `covered`.
    ///
    /// Entries are walked by their length: gimli's own iterator ends with the first
    /// entry that it cannot read.
    pub(super) fn collect<'a, S: UnwindSection<Reader<'a>>>(
        &mut self,
        section: &S,
        bytes: &'a [u8],
        bases: &BaseAddresses,
        covered: &[Run],
    ) {
        self.statistics.frame_bytes += bytes.len() as u64;
        let mut common = HashMap::new();
        let mut offset = 0;
        while let Some(size) = entry_size(bytes, offset) {
            let entry = section.partial_fde_from_offset(bases, S::Offset::from(offset as usize));
            let Some(next) = offset.checked_add(size) else {
                return;
            };
            offset = next;
            // Common entries are read when they are needed.
            let Ok(partial) = entry else { continue };
            let at = gimli::UnwindOffset::into(partial.cie_offset());
            if !common.contains_key(&at) && common.len() < MAX_COMMON_ENTRIES {
                common.insert(at, self.common(section, bytes, bases, at));
            }
            let Some(Some(common)) = common.get(&at) else {
                continue;
            };
            if let Ok(entry) = partial.parse(|_, _, _| Ok(common.entry.clone())) {
                self.add(section, bases, common, &entry, covered);
            }
        }
    }

    fn common<'a, S: UnwindSection<Reader<'a>>>(
        &self,
        section: &S,
        bytes: &[u8],
        bases: &BaseAddresses,
        offset: usize,
    ) -> Option<Common<'a>> {
        if entry_size(bytes, offset as u64)? > MAX_COMMON_BYTES {
            return None;
        }
        let entry = section
            .cie_from_offset(bases, S::Offset::from(offset))
            .ok()?;
        let mut columns = Columns::default();
        let ran = self.context(&entry, None).run(
            entry.instructions(section, bases),
            0,
            &mut columns,
            |_, _| {},
        );
        let usual = entry.return_address_register() == self.machine.return_address();
        let columns = (usual && ran.is_ok()).then_some(columns);
        Some(Common { entry, columns })
    }

    fn context<'c>(
        &self,
        entry: &CommonInformationEntry<Reader<'_>>,
        initial: Option<&'c Columns>,
    ) -> columns::Context<'c> {
        columns::Context {
            frame_pointer: self.machine.frame_pointer(),
            return_address: self.machine.return_address(),
            code_factor: entry.code_alignment_factor(),
            data_factor: entry.data_alignment_factor(),
            initial,
        }
    }

    fn add<'a, S: UnwindSection<Reader<'a>>>(
        &mut self,
        section: &S,
        bases: &BaseAddresses,
        common: &Common<'a>,
        entry: &FrameDescriptionEntry<Reader<'a>>,
        covered: &[Run],
    ) {
        let Some(span) = self.uncovered(entry, covered) else {
            return;
        };
        if self.spans.len() == MAX_FUNCTIONS || self.rows.len() == MAX_ROWS {
            self.statistics.dropped += 1;
            return;
        }
        let first_row = self.rows.len();
        if entry.is_signal_trampoline() {
            let rule = self.rules.number(translate::signal(self.machine));
            let place = span.start;
            self.rows.push(Start { place, rule });
        } else if self.add_rows(section, bases, common, entry, span).is_err() {
            self.statistics.malformed += 1;
            self.rows.truncate(first_row);
        }
        self.statistics.functions += 1;
        self.spans.push(span);
        self.rows_of.push(RowsOf {
            first: first_row as u32,
            count: (self.rows.len() - first_row) as u32,
        });
    }

    /// Adds code that returns from signals.
    pub(super) fn add_signal_return(&mut self, span: Span) {
        if self.spans.len() == MAX_FUNCTIONS || self.rows.len() == MAX_ROWS {
            return;
        }
        let rule = self.rules.number(translate::signal(self.machine));
        self.spans.push(span);
        self.rows_of.push(RowsOf {
            first: self.rows.len() as u32,
            count: 1,
        });
        let place = span.start;
        self.rows.push(Start { place, rule });
    }

    /// The function's code, if there is any that is not covered.
    fn uncovered(
        &self,
        entry: &FrameDescriptionEntry<Reader<'_>>,
        covered: &[Run],
    ) -> Option<Span> {
        // Linkers leave the information of functions that they discarded, at address
        // 0: nothing but headers can be there.
        let address = Some(entry.initial_address()).filter(|&address| address != 0)?;
        let (start, room) = self.code.place(address)?;
        let length = entry.len().min(u64::from(room)) as u32;
        let mut end = start + length;
        let after = covered.partition_point(|run| run.start <= start);
        let (before, after) = covered.split_at(after);
        if before.last().is_some_and(|run| run.end > start) {
            return None;
        }
        if let Some(next) = after.first() {
            end = end.min(next.start);
        }
        (start < end).then_some(Span { start, end })
    }

    fn add_rows<'a, S: UnwindSection<Reader<'a>>>(
        &mut self,
        section: &S,
        bases: &BaseAddresses,
        common: &Common<'a>,
        entry: &FrameDescriptionEntry<Reader<'a>>,
        code: Span,
    ) -> Result<(), Malformed> {
        let initial = common.columns.as_ref().ok_or(Malformed)?;
        let translator = Translator {
            machine: self.machine,
            section,
            encoding: common.entry.encoding(),
        };
        let first_row = self.rows.len();
        let begin = entry.initial_address();
        let mut columns = initial.clone();
        let mut full = false;
        let go = common.entry.data_alignment_factor() == translate::GO_DATA_FACTOR;
        self.context(&common.entry, Some(initial)).run(
            entry.instructions(section, bases),
            begin,
            &mut columns,
            |address, columns| {
                let skip = (address - begin).min(u64::from(u32::MAX)) as u32;
                let place = code.start.saturating_add(skip);
                if place >= code.end {
                    return;
                }
                let rule = match translator.rule(columns) {
                    Some(rule) if go => {
                        let rule = translate::with_go_frame(self.machine, rule);
                        self.rules.number(rule)
                    }
                    Some(rule) => self.rules.number(rule),
                    None => {
                        self.statistics.unsupported += 1;
                        Row::UNKNOWN
                    }
                };
                full |= !self.push_row(first_row, Start { place, rule });
            },
        )?;
        if full { Err(Malformed) } else { Ok(()) }
    }

    /// Adds a row to the function whose rows begin with `first_row`. False: there
    /// are too many.
    fn push_row(&mut self, first_row: usize, row: Start) -> bool {
        let full = self.rows.len() == MAX_ROWS;
        match self.rows[first_row..].last_mut() {
            Some(last) if last.place == row.place => last.rule = row.rule,
            Some(last) if last.rule == row.rule => {}
            _ if full => return false,
            _ => self.rows.push(row),
        }
        true
    }
}

/// Rules that were met last, by [`Rules::slot`].
const RECENT: usize = 256;

/// The distinct rules.
struct Rules {
    list: Vec<Rule>,
    numbers: HashMap<Rule, u16>,
    /// Spares most lookups in `numbers`, a quarter of the time of building a table.
    recent: [Option<(Rule, u16)>; RECENT],
}

impl Rules {
    fn new() -> Rules {
        Rules {
            list: Vec::new(),
            numbers: HashMap::new(),
            recent: [None; RECENT],
        }
    }

    fn slot(rule: &Rule) -> usize {
        let offsets = rule.cfa_offset >> 3 ^ rule.frame_pointer_offset;
        (offsets as usize ^ usize::from(rule.cfa) << 7) % RECENT
    }

    /// The number of a rule; unknown if there are too many.
    fn number(&mut self, rule: Rule) -> u16 {
        let slot = Rules::slot(&rule);
        if let Some((recent, number)) = self.recent[slot]
            && recent == rule
        {
            return number;
        }
        let number = match self.numbers.get(&rule) {
            Some(&number) => number,
            None if self.list.len() == MAX_RULES => return Row::UNKNOWN,
            None => {
                let number = self.list.len() as u16;
                self.list.push(rule);
                self.numbers.insert(rule, number);
                number
            }
        };
        self.recent[slot] = Some((rule, number));
        number
    }
}
