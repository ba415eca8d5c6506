//! What processes have mapped, and an unwinder for each that was written by others.

use std::cell::{OnceCell, RefCell};
use std::collections::HashMap;
use std::fs::{self, File};
use std::os::unix::fs::{FileExt, MetadataExt};
use std::path::Path;
use std::rc::Rc;
use std::sync::Arc;

use framehop::Unwinder as _;
use framehop::x86_64::{CacheX86_64, UnwindRegsX86_64, UnwinderX86_64};
use leak_common::ProcessId;
use leak_user::event::CodeMapped;

use crate::elf::{Bytes, Elf};
use crate::stack_sample::StackSample;

/// Most frames that are looked for: more than the kernel keeps.
const MAX_FRAMES: usize = 1024;

/// A stack as the other unwinder sees it.
#[derive(Clone, Debug, Default)]
pub(crate) struct Reference {
    pub(crate) frames: Vec<u64>,
    /// It wanted memory beyond what was copied.
    pub(crate) ran_out: bool,
    /// Why it stopped, where it was not at the end.
    pub(crate) error: Option<String>,
}

/// A mapping that can be executed.
#[derive(Clone, Debug)]
pub(crate) struct Mapping {
    start: u64,
    end: u64,
    offset: u64,
    name: String,
    /// Nothing where it is memory without a file, or no file of code.
    elf: Option<Arc<Elf>>,
}

/// A process's code as far as it is known.
pub(crate) struct Process {
    mappings: Vec<Mapping>,
    /// Made when it is first needed: most processes have more mappings than stacks.
    unwinder: OnceCell<UnwinderX86_64<Bytes>>,
    cache: RefCell<CacheX86_64>,
}

/// Processes seen so far.
#[derive(Default)]
pub(crate) struct Processes {
    /// A child is what its parent was until it is looked at.
    known: HashMap<ProcessId, Rc<Process>>,
    /// By inode and time of its last change; nothing where it is no ELF file.
    files: HashMap<(u64, i64, i64), Option<Arc<Elf>>>,
    vdso: Option<Arc<Elf>>,
}

impl Processes {
    /// A process has a child: it may be gone before there is time to look at it.
    pub(crate) fn forked(&mut self, parent: ProcessId, child: ProcessId) {
        if let Some(process) = self.known.get(&parent) {
            self.known.insert(child, Rc::clone(process));
        }
    }

    /// A process runs another program.
    pub(crate) fn executed(&mut self, id: ProcessId) {
        self.known.remove(&id);
        self.look_again(id);
    }

    /// A process has mapped more code. It may be gone as well, but files are known.
    pub(crate) fn mapped(&mut self, mapped: &CodeMapped) {
        let file = mapped.file;
        let key = (
            file.inode,
            file.changed_seconds,
            i64::from(file.changed_nanoseconds),
        );
        let elf = self.files.get(&key).cloned();
        match (elf, self.known.get(&mapped.process)) {
            (Some(elf), Some(process)) if mapped.end > 0 => {
                let mut mappings = process.mappings.clone();
                mappings.retain(|old| old.end <= mapped.start || old.start >= mapped.end);
                mappings.push(Mapping {
                    start: mapped.start,
                    end: mapped.end,
                    offset: mapped.offset,
                    name: elf.as_ref().map(|elf| elf.name()).unwrap_or_default(),
                    elf,
                });
                let process = Rc::new(Process::new(mappings));
                self.known.insert(mapped.process, process);
            }
            _ => self.look_again(mapped.process),
        }
    }

    fn look_again(&mut self, id: ProcessId) {
        if let Some(process) = self.look_at(id.pid()) {
            self.known.insert(id, Rc::new(process));
        }
    }

    /// The process of a sample, looked at again where it has frames in what was
    /// not mapped last time. Nothing if it is gone, or runs another program by now.
    pub(crate) fn of(&mut self, sample: &StackSample) -> Option<Rc<Process>> {
        let id = sample.process;
        let covers = |process: &Rc<Process>| {
            let mut frames = sample.frames.iter();
            frames.all(|frame| process.covers(*frame))
        };
        if !self.known.get(&id).is_some_and(covers)
            && let Some(process) = self.look_at(id.pid())
            && process.covers(sample.instruction)
        {
            self.known.insert(id, Rc::new(process));
        }
        let process = self.known.get(&id)?;
        process
            .covers(sample.instruction)
            .then(|| Rc::clone(process))
    }

    fn look_at(&mut self, pid: u32) -> Option<Process> {
        let maps = fs::read_to_string(format!("/proc/{pid}/maps")).ok()?;
        let mut mappings: Vec<Mapping> = maps.lines().filter_map(executable).collect();
        for mapping in &mut mappings {
            mapping.elf = self.elf(pid, mapping)?;
        }
        (!mappings.is_empty()).then(|| Process::new(mappings))
    }

    /// The file of a mapping, if it has one and that is code; nothing at all if the
    /// process is gone meanwhile.
    fn elf(&mut self, pid: u32, mapping: &Mapping) -> Option<Option<Arc<Elf>>> {
        if mapping.name == "[vdso]" {
            return self.vdso(pid, mapping).map(Some);
        }
        if !mapping.name.starts_with('/') {
            return Some(None);
        }
        // The very file, whatever has its name by now.
        let path = format!(
            "/proc/{pid}/map_files/{:x}-{:x}",
            mapping.start, mapping.end
        );
        let data = fs::metadata(&path).ok()?;
        let key = (data.ino(), data.ctime(), data.ctime_nsec());
        let file = self.files.entry(key);
        let elf = file.or_insert_with(|| Elf::open(Path::new(&path), &mapping.name).map(Arc::new));
        Some(elf.clone())
    }

    /// The kernel's code, the same in all processes.
    fn vdso(&mut self, pid: u32, mapping: &Mapping) -> Option<Arc<Elf>> {
        if self.vdso.is_none() {
            let mut image = vec![0; (mapping.end - mapping.start) as usize];
            let memory = File::open(format!("/proc/{pid}/mem")).ok()?;
            memory.read_exact_at(&mut image, mapping.start).ok()?;
            self.vdso = Elf::parse(&image, &mapping.name).ok().map(Arc::new);
        }
        self.vdso.clone()
    }
}

/// A line of `/proc/PID/maps`, if the mapping can be executed.
fn executable(line: &str) -> Option<Mapping> {
    let mut fields = line.splitn(6, ' ');
    let (start, end) = fields.next()?.split_once('-')?;
    if !fields.next()?.contains('x') {
        return None;
    }
    let number = |text| u64::from_str_radix(text, 16).ok();
    Some(Mapping {
        start: number(start)?,
        end: number(end)?,
        offset: number(fields.next()?)?,
        name: fields.nth(2).unwrap_or_default().trim().to_owned(),
        elf: None,
    })
}

impl Process {
    fn new(mappings: Vec<Mapping>) -> Process {
        Process {
            mappings,
            unwinder: OnceCell::new(),
            cache: RefCell::default(),
        }
    }

    fn unwinder(&self) -> &UnwinderX86_64<Bytes> {
        self.unwinder.get_or_init(|| {
            let mut unwinder = UnwinderX86_64::new();
            for mapping in &self.mappings {
                if let Some(elf) = &mapping.elf
                    && let Some(bias) = elf.bias(mapping.start, mapping.offset)
                {
                    unwinder.add_module(framehop::Module::new(
                        mapping.name.clone(),
                        mapping.start..mapping.end,
                        bias,
                        elf.sections(),
                    ));
                }
            }
            unwinder
        })
    }

    pub(crate) fn covers(&self, address: u64) -> bool {
        self.mapping(address).is_some()
    }

    fn mapping(&self, address: u64) -> Option<&Mapping> {
        self.mappings
            .iter()
            .find(|mapping| (mapping.start..mapping.end).contains(&address))
    }

    /// An address as a file and where in it.
    pub(crate) fn place(&self, address: u64) -> String {
        match self.mapping(address) {
            None => format!("{address:#x}"),
            Some(mapping) => {
                let offset = address - mapping.start + mapping.offset;
                format!("{}+{offset:#x}", mapping.name)
            }
        }
    }

    /// Code of a file at an address.
    pub(crate) fn code<const LENGTH: usize>(&self, address: u64) -> Option<[u8; LENGTH]> {
        let mapping = self.mapping(address)?;
        let offset = address - mapping.start + mapping.offset;
        mapping.elf.as_ref()?.read(offset)
    }

    /// Whether there is memory of no file at an address.
    pub(crate) fn is_generated(&self, address: u64) -> bool {
        self.mapping(address)
            .is_some_and(|mapping| mapping.elf.is_none())
    }

    /// Unwinds a sample anew.
    pub(crate) fn unwind(&self, sample: &StackSample) -> Reference {
        let mut reference = Reference::default();
        let mut read = |address: u64| {
            let word = address
                .checked_sub(sample.stack_pointer)
                .and_then(|offset| usize::try_from(offset).ok())
                .and_then(|offset| sample.memory.get(offset..)?.first_chunk());
            reference.ran_out |= word.is_none() && address >= sample.stack_pointer;
            word.map(|word| u64::from_le_bytes(*word)).ok_or(())
        };
        let registers = UnwindRegsX86_64::new(
            sample.instruction,
            sample.stack_pointer,
            sample.frame_pointer,
        );
        let mut cache = self.cache.borrow_mut();
        let mut frames =
            self.unwinder()
                .iter_frames(sample.instruction, registers, &mut cache, &mut read);
        let mut found = Vec::new();
        let mut error = None;
        while found.len() < MAX_FRAMES {
            match frames.next() {
                Ok(Some(frame)) => found.push(frame.address()),
                Ok(None) => break,
                Err(failed) => {
                    error = Some(failed.to_string());
                    break;
                }
            }
        }
        reference.frames = found;
        reference.error = error;
        reference
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "tests")]
mod tests {
    use super::*;
    use leak_common::wire::StackEnd;

    #[test]
    fn only_what_can_be_executed_is_a_mapping() {
        let line = "7f00a000-7f00c000 r-xp 00026000 fe:00 1234                       /lib/a b.so";
        let mapping = executable(line).unwrap();
        assert_eq!((mapping.start, mapping.end), (0x7f00_a000, 0x7f00_c000));
        assert_eq!(
            (mapping.offset, &mapping.name[..]),
            (0x26000, "/lib/a b.so")
        );
        assert!(executable("7f00a000-7f00c000 rw-p 0 fe:00 0 ").is_none());
        let anonymous = executable("7f00a000-7f00c000 r-xp 00000000 00:00 0 ").unwrap();
        assert_eq!(anonymous.name, "");
    }

    /// A child that waits in a system call, and what `/proc` shows of it.
    #[test]
    fn a_waiting_program_is_unwound_to_its_start() {
        let mut child = std::process::Command::new("sleep")
            .arg("60")
            .spawn()
            .unwrap();
        let pid = child.id();
        let mut sample = None;
        assert!(harness::eventually(|| {
            sample = waiting(pid);
            sample.is_some()
        }));
        let sample = sample.unwrap();
        let mut processes = Processes::default();
        let reference = processes.of(&sample).unwrap().unwind(&sample);
        let last = *reference.frames.last().unwrap();
        let place = processes.of(&sample).unwrap().place(last);
        child.kill().unwrap();
        child.wait().unwrap();
        assert!(reference.frames.len() > 3, "{reference:?}");
        assert!(place.contains("sleep+"), "it ends in {place}");
        assert_eq!(reference.error, None);
    }

    fn waiting(pid: u32) -> Option<StackSample> {
        let exe = fs::read_link(format!("/proc/{pid}/exe")).ok()?;
        let text = fs::read_to_string(format!("/proc/{pid}/syscall")).ok()?;
        let fields: Vec<&str> = text.split_whitespace().collect();
        // clock_nanosleep; the registers are there only while it waits.
        if !exe.ends_with("sleep") || fields.first() != Some(&"230") {
            return None;
        }
        let number = |text: &&str| u64::from_str_radix(&text[2..], 16).ok();
        let (sp, ip) = (
            fields.get(7).and_then(number)?,
            fields.get(8).and_then(number)?,
        );
        let mut stack = vec![0; 32 << 10];
        let memory = File::open(format!("/proc/{pid}/mem")).ok()?;
        let length = memory.read_at(&mut stack, sp).ok()?;
        stack.truncate(length);
        Some(StackSample {
            time: 0,
            process: ProcessId::new(pid, 0),
            tid: pid,
            instruction: ip,
            stack_pointer: sp,
            frame_pointer: 0,
            link: 0,
            frames: [ip].into(),
            end: StackEnd::Complete,
            memory: stack.into(),
        })
    }
}
