//! What processes have mapped, and an unwinder for each that was written by others.

use std::cell::RefCell;
use std::collections::HashMap;
use std::fs::{self, File};
use std::os::unix::fs::{FileExt, MetadataExt};
use std::sync::Arc;

use framehop::Unwinder as _;
use framehop::x86_64::{CacheX86_64, UnwindRegsX86_64, UnwinderX86_64};
use leak_common::ProcessId;

use crate::elf::{Bytes, Elf};
use crate::snapshot::Snapshot;

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
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Mapping {
    pub(crate) start: u64,
    pub(crate) end: u64,
    offset: u64,
    pub(crate) name: String,
}

/// A process as it was when it was last looked at.
pub(crate) struct Process {
    mappings: Vec<Mapping>,
    unwinder: UnwinderX86_64<Bytes>,
    cache: RefCell<CacheX86_64>,
    memory: Option<File>,
}

/// Processes seen so far.
#[derive(Default)]
pub(crate) struct Processes {
    known: HashMap<ProcessId, Process>,
    /// By device and inode; nothing where it is no ELF file.
    files: HashMap<(u64, u64), Option<Arc<Elf>>>,
}

impl Processes {
    /// The process of a snapshot, looked at again where it has frames in what was
    /// not mapped last time. Nothing if it is gone and was never seen.
    pub(crate) fn of(&mut self, snapshot: &Snapshot) -> Option<&Process> {
        let id = snapshot.process;
        let covered = self
            .known
            .get(&id)
            .is_some_and(|process| snapshot.frames.iter().all(|frame| process.covers(*frame)));
        if !covered && let Some(process) = self.look_at(id.pid()) {
            self.known.insert(id, process);
        }
        self.known.get(&id)
    }

    fn look_at(&mut self, pid: u32) -> Option<Process> {
        let maps = fs::read_to_string(format!("/proc/{pid}/maps")).ok()?;
        let mappings: Vec<Mapping> = maps.lines().filter_map(executable).collect();
        let memory = File::open(format!("/proc/{pid}/mem")).ok();
        let mut unwinder = UnwinderX86_64::new();
        for mapping in &mappings {
            let Some(elf) = self.elf(pid, mapping, memory.as_ref()) else {
                continue;
            };
            if let Some(bias) = elf.bias(mapping.start, mapping.offset) {
                unwinder.add_module(framehop::Module::new(
                    mapping.name.clone(),
                    mapping.start..mapping.end,
                    bias,
                    elf.sections(),
                ));
            }
        }
        (!mappings.is_empty()).then_some(Process {
            mappings,
            unwinder,
            cache: RefCell::default(),
            memory,
        })
    }

    fn elf(&mut self, pid: u32, mapping: &Mapping, memory: Option<&File>) -> Option<Arc<Elf>> {
        if mapping.name == "[vdso]" {
            let mut image = vec![0; (mapping.end - mapping.start) as usize];
            memory?.read_exact_at(&mut image, mapping.start).ok()?;
            return Elf::parse(&image).ok().map(Arc::new);
        }
        if !mapping.name.starts_with('/') {
            return None;
        }
        // The very file, whatever has its name by now.
        let path = format!(
            "/proc/{pid}/map_files/{:x}-{:x}",
            mapping.start, mapping.end
        );
        let data = fs::metadata(&path).ok()?;
        self.files
            .entry((data.dev(), data.ino()))
            .or_insert_with(|| Elf::parse(&fs::read(&path).ok()?).ok().map(Arc::new))
            .clone()
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
    })
}

impl Process {
    fn covers(&self, address: u64) -> bool {
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

    /// Code at an address, if the process is still there.
    pub(crate) fn code<const LENGTH: usize>(&self, address: u64) -> Option<[u8; LENGTH]> {
        let mut code = [0; LENGTH];
        let memory = self.memory.as_ref()?;
        memory.read_exact_at(&mut code, address).ok()?;
        Some(code)
    }

    /// Unwinds a snapshot anew.
    pub(crate) fn unwind(&self, snapshot: &Snapshot) -> Reference {
        let mut reference = Reference::default();
        let mut read = |address: u64| {
            let word = address
                .checked_sub(snapshot.stack_pointer)
                .and_then(|offset| usize::try_from(offset).ok())
                .and_then(|offset| snapshot.memory.get(offset..)?.first_chunk());
            reference.ran_out |= word.is_none() && address >= snapshot.stack_pointer;
            word.map(|word| u64::from_le_bytes(*word)).ok_or(())
        };
        let registers = UnwindRegsX86_64::new(
            snapshot.instruction,
            snapshot.stack_pointer,
            snapshot.frame_pointer,
        );
        let mut cache = self.cache.borrow_mut();
        let mut frames =
            self.unwinder
                .iter_frames(snapshot.instruction, registers, &mut cache, &mut read);
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
        assert_eq!(executable("7f00a000-7f00c000 rw-p 0 fe:00 0 "), None);
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
        let mut snapshot = None;
        assert!(harness::eventually(|| {
            snapshot = waiting(pid);
            snapshot.is_some()
        }));
        let snapshot = snapshot.unwrap();
        let mut processes = Processes::default();
        let reference = processes.of(&snapshot).unwrap().unwind(&snapshot);
        let last = *reference.frames.last().unwrap();
        let place = processes.of(&snapshot).unwrap().place(last);
        child.kill().unwrap();
        child.wait().unwrap();
        assert!(reference.frames.len() > 3, "{reference:?}");
        assert!(place.contains("sleep+"), "it ends in {place}");
        assert_eq!(reference.error, None);
    }

    fn waiting(pid: u32) -> Option<Snapshot> {
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
        Some(Snapshot {
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
