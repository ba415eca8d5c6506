//! Interpreters that run on this machine, against what they tell of themselves. Their
//! frames are walked here the way the programs do it.

use std::{
    collections::BTreeMap,
    fs,
    io::{BufRead, BufReader, Write},
    path::{Path, PathBuf},
    process::{Child, ChildStdout, Command, Stdio},
    time::{Duration, Instant},
};

use leak_common::{
    config::ABSENT,
    unwind::{PythonFrame, PythonLayout},
};

use proptest::{
    prelude::*,
    test_runner::{Config, TestRunner},
};

use super::{Interpreter, Names, detect, function_frames};
use crate::{
    proc::{Memory, ProcessMemory},
    stacks::runtimes::Name,
};

const SCRIPT: &str = include_str!("stacks.py");
/// How often the script stops.
const SCENES: usize = 24;
const MAX_FRAMES: usize = 256;

/// A stack as the script tells it.
struct Told {
    thread: u64,
    frames: Vec<Name>,
}

/// The script in an interpreter.
struct Victim {
    child: Child,
    output: BufReader<ChildStdout>,
}

impl Victim {
    fn start(python: &Path, script: &Path) -> Victim {
        let mut child = Command::new(python)
            .arg(script)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .expect("start the interpreter");
        let output = BufReader::new(child.stdout.take().expect("a pipe was asked for"));
        Victim { child, output }
    }

    /// The next place where it stops, `None` at its end.
    fn stopped(&mut self) -> Option<Told> {
        let mut lines = (&mut self.output)
            .lines()
            .map(|line| line.expect("read what the script tells"))
            .take_while(|line| !line.is_empty());
        let thread = lines.next()?.parse().expect("the thread's number");
        let frames = lines
            .map(|line| {
                let [function, file, line] = line.split('\t').collect::<Vec<_>>()[..] else {
                    panic!("not a frame: {line}");
                };
                Name {
                    function: function.into(),
                    file: file.into(),
                    line: Some(line.parse().expect("a line")),
                }
            })
            .collect();
        Some(Told { thread, frames })
    }

    fn go_on(&mut self) {
        let input = self.child.stdin.as_mut().expect("a pipe was asked for");
        input.write_all(b".").expect("wake the script");
    }

    /// The interpreter among the files whose code it maps, and where `_PyRuntime` is.
    fn interpreter(&self) -> (Interpreter, u64, PathBuf) {
        let maps = fs::read_to_string(format!("/proc/{}/maps", self.child.id())).expect("maps");
        maps.lines()
            .filter_map(|line| {
                let fields: Vec<&str> = line.split_ascii_whitespace().collect();
                let [range, protection, offset, _, _, path] = fields[..] else {
                    return None;
                };
                if !protection.contains('x') {
                    return None;
                }
                let number = |text| u64::from_str_radix(text, 16).expect("a number");
                let (start, _) = range.split_once('-').expect("a range");
                let interpreter = detect(&fs::read(path).ok()?)?;
                let base = number(start) - number(offset);
                let runtime = base + interpreter.runtime_offset;
                Some((interpreter, runtime, path.into()))
            })
            .next()
            .expect("it maps an interpreter")
    }
}

impl Drop for Victim {
    fn drop(&mut self) {
        self.child.kill().expect("end the script");
        self.child.wait().expect("reap the script");
    }
}

/// The innermost frame of the thread with this `pthread_self`, as the programs find it:
/// a thread has a state in each interpreter it ever ran.
fn current_frame(
    memory: &impl Memory,
    layout: &PythonLayout,
    runtime: u64,
    id: u64,
) -> Option<u64> {
    let at = |base: u64, offset: u32| memory.word(base + u64::from(offset));
    let mut interpreter = at(runtime, layout.runtime_interpreters)?;
    while interpreter != 0 {
        let mut thread = at(interpreter, layout.interpreter_threads)?;
        while thread != 0 {
            if at(thread, layout.thread_id)? == id {
                let mut frame = at(thread, layout.thread_frame)?;
                if layout.cframe_frame != ABSENT && frame != 0 {
                    frame = at(frame, layout.cframe_frame)?;
                }
                if frame != 0 {
                    return Some(frame);
                }
            }
            thread = at(thread, layout.thread_next)?;
        }
        interpreter = at(interpreter, layout.interpreter_next)?;
    }
    None
}

/// The frames from one on, as the programs walk them.
fn walk(memory: &impl Memory, layout: &PythonLayout, innermost: u64) -> Option<Vec<PythonFrame>> {
    let at = |base: u64, offset: u32| memory.word(base + u64::from(offset));
    let mut frame = innermost;
    let mut frames = Vec::new();
    while frame != 0 && frames.len() < MAX_FRAMES {
        let mut place = at(frame, layout.frame_instruction)?;
        if layout.lasti != 0 {
            place &= u64::from(u32::MAX);
        }
        if layout.frame_entry != ABSENT {
            let owner = at(frame, layout.frame_entry)? as u8;
            if u32::from(owner) == layout.frame_entry_value {
                place |= PythonFrame::ENTRY;
            }
        }
        frames.push(PythonFrame {
            code: at(frame, layout.frame_code)?,
            place,
        });
        frame = at(frame, layout.frame_previous)?;
    }
    Some(frames)
}

/// Interpreters of known versions, each once, by what they call themselves.
fn interpreters() -> BTreeMap<String, PathBuf> {
    let mut folders: Vec<PathBuf> = std::env::var_os("PATH")
        .map(|path| std::env::split_paths(&path).collect())
        .unwrap_or_default();
    let pyenv = std::env::var_os("PYENV_ROOT")
        .map(PathBuf::from)
        .or_else(|| Some(PathBuf::from(std::env::var_os("HOME")?).join(".pyenv")));
    let versions = pyenv.and_then(|root| fs::read_dir(root.join("versions")).ok());
    for version in versions.into_iter().flatten().flatten() {
        folders.push(version.path().join("bin"));
    }
    let mut found = BTreeMap::new();
    for folder in folders {
        for minor in 9..=14 {
            let python = folder.join(format!("python3.{minor}"));
            let tells = "import sys, sysconfig; sysconfig.get_config_var('Py_GIL_DISABLED') or print(sys.version)";
            let output = Command::new(&python).args(["-c", tells]).output();
            if let Ok(output) = output
                && output.status.success()
                && !output.stdout.is_empty()
            {
                let version = String::from_utf8_lossy(&output.stdout).into_owned();
                found.entry(version).or_insert(python);
            }
        }
    }
    found
}

/// A name as it is kept: not of any length.
fn cut(mut name: Name) -> Name {
    if name.file.chars().count() > 1024 {
        name.file = name.file.chars().take(1024).chain(['…']).collect();
    }
    name
}

/// A victim with what is known of it.
struct Known {
    victim: Victim,
    interpreter: Interpreter,
    runtime: u64,
    /// What the interpreter was found in.
    file: PathBuf,
    names: Names,
    /// The script's.
    _folder: tempfile::TempDir,
}

impl Known {
    /// Starts the script and waits for its first stop.
    fn start(python: &Path) -> (Known, Told) {
        let folder = tempfile::tempdir().expect("a folder");
        let script = folder.path().join("stacks.py");
        fs::write(&script, SCRIPT).expect("write the script");
        let mut victim = Victim::start(python, &script);
        let told = victim.stopped().expect("it stops");
        let (interpreter, runtime, file) = victim.interpreter();
        let names = Names::default();
        let known = Known {
            victim,
            interpreter,
            runtime,
            file,
            names,
            _folder: folder,
        };
        (known, told)
    }

    fn frames(&self, id: u64) -> Option<Vec<PythonFrame>> {
        let memory = ProcessMemory(self.victim.child.id());
        let layout = &self.interpreter.layout;
        let innermost = current_frame(&memory, layout, self.runtime, id)?;
        Some(function_frames(layout, &walk(&memory, layout, innermost)?))
    }

    fn name(&mut self, frame: PythonFrame) -> Option<Name> {
        let pid = self.victim.child.id();
        self.names.resolve(pid, &self.interpreter.names, frame)
    }

    /// The frames once their names are what the script told, which it does a little
    /// before it stops.
    fn frames_as_told(&mut self, told: &Told) -> Vec<PythonFrame> {
        let deadline = Instant::now() + Duration::from_secs(60);
        let expected: Vec<_> = told
            .frames
            .iter()
            .cloned()
            .map(|it| Some(cut(it)))
            .collect();
        loop {
            let frames = self.frames(told.thread).unwrap_or_default();
            let names: Vec<_> = frames.iter().map(|frame| self.name(*frame)).collect();
            if names == expected {
                return frames;
            }
            if Instant::now() > deadline {
                assert_eq!(names, expected, "{:?}", self.interpreter.version);
            }
            std::thread::sleep(Duration::from_millis(1));
        }
    }
}

fn frames_equal_what_the_interpreter_tells(python: &Path, version: &str) {
    let (mut known, first) = Known::start(python);
    let minor = known.interpreter.version.1;
    assert!(version.starts_with(&format!("3.{minor}.")), "{version}");
    assert!(!known.interpreter.eval_ranges.is_empty(), "{version}");
    let mut scenes = 0;
    let mut told = Some(first);
    while let Some(stack) = told {
        let frames = known.frames_as_told(&stack);
        check_entries(minor, &frames, &stack.frames);
        scenes += 1;
        known.victim.go_on();
        told = known.victim.stopped();
    }
    assert_eq!(scenes, SCENES, "{version}");
}

/// Python functions called by Python's sort and map were entered by native code, as
/// were the outermost ones; ones called by Python functions were not, from 3.11 on.
fn check_entries(minor: u8, frames: &[PythonFrame], names: &[Name]) {
    let entered = |frame: &PythonFrame| frame.place & PythonFrame::ENTRY != 0;
    assert!(frames.last().is_some_and(entered), "the outermost one");
    for (frame, name) in frames.iter().zip(names).rev().skip(1) {
        let name = name.function.as_str();
        if matches!(name, "entered_key" | "entered_each") || minor < 11 {
            assert!(entered(frame), "{name} of 3.{minor}");
        }
        if minor >= 11 && matches!(name, "stop" | "deep") {
            assert!(!entered(frame), "{name} of 3.{minor}");
        }
    }
}

#[test]
fn frames_of_running_interpreters_are_named_as_they_name_them() {
    let found = interpreters();
    if found.is_empty() {
        eprintln!("skipped: there is no Python 3.9 to 3.14 on this machine");
    }
    for (version, python) in found {
        eprintln!("{}: {}", python.display(), version.trim());
        frames_equal_what_the_interpreter_tells(&python, &version);
    }
}

#[test]
fn names_outlive_the_process() {
    let Some((_, python)) = interpreters().pop_last() else {
        eprintln!("skipped: there is no Python 3.9 to 3.14 on this machine");
        return;
    };
    let (mut known, told) = Known::start(&python);
    let frames = known.frames_as_told(&told);
    let (pid, layout) = (known.victim.child.id(), known.interpreter.names);
    let mut names = Names::default();
    let before = names.resolve(pid, &layout, frames[0]);
    assert_eq!(before.as_ref(), Some(&told.frames[0]));
    drop(known);
    assert_eq!(names.resolve(pid, &layout, frames[0]), before);
    assert_eq!(names.resolve(pid, &layout, frames[1]), None);
    names.forget(pid);
    assert_eq!(names.resolve(pid, &layout, frames[0]), None);
}

#[test]
fn damaged_interpreters_do_no_harm() {
    let Some((_, python)) = interpreters().pop_last() else {
        eprintln!("skipped: there is no Python 3.9 to 3.14 on this machine");
        return;
    };
    let (known, _) = Known::start(&python);
    let file = fs::read(&known.file).expect("the interpreter's file");
    // Any part of the header, of the section headers (at the end), or of the rest.
    let ends = prop_oneof![0usize..4096, file.len() - 4096..file.len(), 0..file.len()];
    let bytes = prop::collection::vec(any::<u8>(), 1..16);
    let changes = prop::collection::vec((ends, bytes), 1..8);
    let mut runner = TestRunner::new(Config {
        failure_persistence: None,
        ..Config::with_cases(100)
    });
    runner
        .run(&changes, |changes| {
            let mut file = file.clone();
            for (at, bytes) in changes {
                let end = (at + bytes.len()).min(file.len());
                file[at..end].copy_from_slice(&bytes[..end - at]);
            }
            let _ = detect(&file);
            Ok(())
        })
        .expect("no panic");
}
