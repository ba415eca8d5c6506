#![allow(clippy::unwrap_used, reason = "tests")]
//! Whole stacks: of this process, of processes that exited, of damaged files.

mod call_sites;
mod debug_files;
mod processes;

use std::{
    fs,
    io::{BufRead, BufReader},
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
};

use super::*;
use crate::model::hex::Hex;

/// When everything is learned.
const NOW: Nanos = 1000;

/// A program that says the address after a call in `leaf`, called by `inner`,
/// which is inlined into `outer`, called by `main`; then waits.
const PROGRAM: &str = r#"
#include <stdio.h>
#include <unistd.h>
__attribute__((noinline)) void leaf(void) {
    printf("%p\n", __builtin_extract_return_addr(__builtin_return_address(0)));
    fflush(stdout);
}
static inline __attribute__((always_inline)) void inner(void) {
    leaf(); /* line 9 */
    __asm__ volatile("");
}
__attribute__((noinline)) void outer(void) {
    inner(); /* line 13 */
    __asm__ volatile("");
}
int main(void) {
    outer();
    pause();
}
"#;

fn compile(directory: &Path, compiler: &str, source: &str, arguments: &[&str]) -> PathBuf {
    let extension = if compiler == "g++" { "cc" } else { "c" };
    let source_path = directory.join(format!("program.{extension}"));
    fs::write(&source_path, source).unwrap();
    let program = directory.join("program");
    let mut command = Command::new(compiler);
    command
        .args(["-O1", "-Wl,--build-id", "-o"])
        .arg(&program)
        .args(arguments)
        .arg(&source_path);
    assert!(command.status().unwrap().success());
    program
}

/// A child that printed an address.
struct Victim {
    child: Child,
    process: ProcessId,
    address: u64,
    /// Other addresses on the same line.
    others: Vec<u64>,
}

impl Victim {
    fn start(program: &Path) -> Victim {
        let mut child = Command::new(program)
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let mut line = String::new();
        BufReader::new(child.stdout.as_mut().unwrap())
            .read_line(&mut line)
            .unwrap();
        let addresses = line.split_ascii_whitespace();
        let mut addresses = addresses
            .map(|digits| u64::from_str_radix(digits.trim_start_matches("0x"), 16).unwrap());
        Victim {
            process: Proc::default().identity(child.id()).unwrap(),
            address: addresses.next().unwrap(),
            others: addresses.collect(),
            child,
        }
    }

    fn end(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

impl Drop for Victim {
    fn drop(&mut self) {
        self.end();
    }
}

fn symbols(symbolized: &[Frame]) -> Vec<&str> {
    let frames = symbolized.iter();
    frames.map(|frame| frame.symbol.as_str()).collect()
}

/// Learns a program, ends and deletes it, and symbolizes the address it printed.
fn after_its_end(program: &Path, limits: Limits) -> Vec<Frame> {
    let mut victim = Victim::start(program);
    let mut symbolizer = Symbolizer::new(limits);
    assert!(symbolizer.learn(&Proc::default(), victim.process, 0, NOW));
    victim.end();
    fs::remove_file(program).unwrap();
    assert!(!symbolizer.learn(&Proc::default(), victim.process, 0, NOW));
    symbolizer.symbolize(victim.process, 0, &[victim.address], NOW)
}

#[inline(never)]
fn known_function() -> u64 {
    // The address of an instruction within this function.
    std::hint::black_box(known_function as *const () as u64 + 1)
}

#[test]
fn own_functions_have_names_and_lines() {
    let proc = Proc::default();
    let own = proc.identity(std::process::id()).unwrap();
    let mut symbolizer = Symbolizer::default();
    assert!(symbolizer.learn(&proc, own, 0, NOW));
    let address = known_function();
    assert!(symbolizer.covers(own, 0, &[address], NOW));
    let found = symbolizer.symbolize(own, 0, &[address, 5, address], NOW);
    assert!(!symbolizer.covers(own, 0, &[address, 5], NOW));
    let frame = &found[0];
    // An address in no code that is known does not hide the rest.
    assert_eq!(found.len(), 3);
    assert_eq!((&found[1], &found[2].symbol), (&bare(5), &frame.symbol));
    assert!(
        frame.symbol.ends_with("symbolize::tests::known_function"),
        "{frame:?}"
    );
    assert!(
        frame
            .file
            .as_deref()
            .unwrap()
            .ends_with("symbolize/tests.rs"),
        "{frame:?}"
    );
    assert!(frame.line.is_some() && frame.build_id.is_some());
    assert_eq!(frame.address, Hex(address));
    assert_eq!(
        frame.module,
        std::env::current_exe().unwrap().to_str().unwrap()
    );
    symbolizer.forget(own);
    assert_eq!(
        symbolizer.symbolize(own, 0, &[address], NOW),
        [bare(address)]
    );
}

#[test]
fn inlined_functions_are_frames_of_their_own_after_exit_and_deletion() {
    let directory = tempfile::tempdir().unwrap();
    let program = compile(directory.path(), "gcc", PROGRAM, &["-g"]);
    let found = after_its_end(&program, Limits::default());
    assert_eq!(symbols(&found), ["inner", "outer"]);
    let [inner, outer] = found.as_slice() else {
        unreachable!("there are two");
    };
    assert_eq!((inner.inlined, inner.line), (true, Some(9)));
    assert_eq!((outer.inlined, outer.line), (false, Some(13)));
    assert!(
        inner.file.as_deref().unwrap().ends_with("/program.c"),
        "{inner:?}"
    );
    assert_eq!(inner.address, outer.address);
    assert_eq!(outer.module, program.to_str().unwrap());
    assert_eq!(outer.build_id.as_deref().map(str::len), Some(40));
}

#[test]
fn compressed_debug_information_is_read() {
    for compression in ["zlib", "zstd"] {
        let directory = tempfile::tempdir().unwrap();
        let program = compile(directory.path(), "gcc", PROGRAM, &["-g"]);
        let mut command = Command::new("objcopy");
        let option = format!("--compress-debug-sections={compression}");
        if !command
            .arg(option)
            .arg(&program)
            .status()
            .unwrap()
            .success()
        {
            continue; // Binutils before 2.40 know no zstd.
        }
        let section = elf::Elf::read(&fs::File::open(&program).unwrap()).unwrap();
        let section = section.section(".debug_info").unwrap().clone();
        assert_eq!(section.flags, 0x800, "{compression}");
        let found = after_its_end(&program, Limits::default());
        assert_eq!(symbols(&found), ["inner", "outer"], "{compression}");
    }
}

#[test]
fn without_debug_information_the_symbols_do() {
    let directory = tempfile::tempdir().unwrap();
    let program = compile(directory.path(), "gcc", PROGRAM, &[]);
    let found = after_its_end(&program, Limits::default());
    assert_eq!(symbols(&found), ["outer"]);
    assert_eq!(found[0].line, None);
    let program = compile(directory.path(), "gcc", PROGRAM, &["-g"]);
    let few = Limits {
        file_bytes: 3000,
        ..Limits::default()
    };
    let found = after_its_end(&program, few);
    assert_eq!((symbols(&found), found[0].line), (vec!["outer"], None));
}

#[test]
fn a_stripped_program_has_module_and_offset() {
    let directory = tempfile::tempdir().unwrap();
    let program = compile(directory.path(), "gcc", PROGRAM, &["-s"]);
    let found = after_its_end(&program, Limits::default());
    let frame = &found[0];
    assert_eq!(
        (frame.symbol.as_str(), frame.module.as_str()),
        ("", program.to_str().unwrap())
    );
    assert!(frame.module_offset.is_some() && frame.build_id.is_some());
}

#[test]
fn separate_debug_information_is_found_by_its_build_id() {
    let directory = tempfile::tempdir().unwrap();
    let program = compile(directory.path(), "gcc", PROGRAM, &["-g"]);
    let file = fs::File::open(&program).unwrap();
    let id = elf::Elf::read(&file).unwrap().build_id.unwrap();
    let separate = directory.path().join(".build-id").join(&id[..2]);
    fs::create_dir_all(&separate).unwrap();
    fs::copy(&program, separate.join(format!("{}.debug", &id[2..]))).unwrap();
    assert!(
        Command::new("strip")
            .arg(&program)
            .status()
            .unwrap()
            .success()
    );
    let limits = Limits {
        debug_directory: directory.path().to_path_buf(),
        ..Limits::default()
    };
    assert_eq!(
        symbols(&after_its_end(&program, limits)),
        ["inner", "outer"]
    );
}

#[test]
fn names_of_cpp_functions_are_readable() {
    let directory = tempfile::tempdir().unwrap();
    let source = PROGRAM.replace("void outer(void)", "void outer(int, const char *)");
    let source = source.replace("outer();", "outer(1, \"\");");
    let program = compile(directory.path(), "g++", &source, &[]);
    let found = after_its_end(&program, Limits::default());
    assert_eq!(symbols(&found), ["outer(int, char const*)"]);
}

#[test]
fn a_perf_map_names_generated_code_after_exit() {
    let directory = tempfile::tempdir().unwrap();
    let source = r#"
        #include <stdio.h>
        #include <sys/mman.h>
        #include <unistd.h>
        int main(void) {
            char *code = mmap(0, 4096, PROT_READ | PROT_WRITE | PROT_EXEC, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
            char name[64];
            sprintf(name, "/tmp/perf-%d.map", getpid());
            FILE *map = fopen(name, "w");
            fprintf(map, "%lx 20 js::hot <a.js:1>\n", (unsigned long)code);
            fclose(map);
            printf("%p\n", code + 8);
            fflush(stdout);
            pause();
        }"#;
    let program = compile(directory.path(), "gcc", source, &[]);
    let mut victim = Victim::start(&program);
    let map = PathBuf::from(format!("/tmp/perf-{}.map", victim.process.pid()));
    let mut symbolizer = Symbolizer::default();
    let learned = symbolizer.learn(&Proc::default(), victim.process, 0, NOW);
    fs::remove_file(map).unwrap();
    assert!(learned);
    victim.end();
    let beyond = victim.address + 0x100;
    let found = symbolizer.symbolize(victim.process, 0, &[victim.address, beyond], NOW);
    assert_eq!(symbols(&found), ["js::hot <a.js:1>", ""]);
    assert!(symbolizer.covers(victim.process, 0, &[victim.address], NOW));
    assert!(!symbolizer.covers(victim.process, 0, &[beyond], NOW));
}

#[test]
fn a_child_inherits_what_its_parent_maps() {
    let proc = Proc::default();
    let own = proc.identity(std::process::id()).unwrap();
    let child = ProcessId::new(1, 1);
    let mut symbolizer = Symbolizer::default();
    symbolizer.learn(&proc, own, 3, NOW);
    symbolizer.inherit((own, 3), (child, 0));
    let found = symbolizer.symbolize(child, 0, &[known_function()], NOW);
    assert!(found[0].symbol.ends_with("known_function"));
}

#[test]
fn tables_are_bounded() {
    let limits = Limits {
        pinned_files: 2,
        loaded_files: 1,
        symbol_bytes: 1,
        known_addresses: 2,
        processes: 2,
        ..Limits::default()
    };
    let proc = Proc::default();
    let own = proc.identity(std::process::id()).unwrap();
    let mut symbolizer = Symbolizer::new(limits);
    for generation in 0..5 {
        assert!(symbolizer.learn(&proc, own, generation, NOW));
        for offset in 0..10 {
            symbolizer.symbolize(own, generation, &[known_function() + offset], NOW);
        }
    }
    assert_eq!(symbolizer.code_maps.len(), 2);
    assert_eq!(symbolizer.modules.count(), 2);
}

#[test]
fn the_code_of_thousands_of_processes_is_remembered_and_those_forgotten_are_told() {
    let proc = Proc::default();
    let own = proc.identity(std::process::id()).unwrap();
    let child = |n: u32| ProcessId::new(1_000_000 + n, 7);
    let frames = [known_function()];
    let mut symbolizer = Symbolizer::default();
    assert!(symbolizer.learn(&proc, own, 0, NOW));
    for n in 0..10_000 {
        symbolizer.inherit((own, 0), (child(n), 0));
    }
    for n in [0, 5000, 9999] {
        assert_eq!(symbolizer.unknown_code(child(n), 0, &frames, NOW), None);
        let found = symbolizer.symbolize(child(n), 0, &frames, NOW);
        assert!(found[0].symbol.ends_with("known_function"));
    }
    let never = symbolizer.unknown_code(child(10_000), 0, &frames, NOW);
    assert_eq!(never, Some(UnknownCode::NeverRead));
    let nowhere = symbolizer.unknown_code(child(1), 0, &[1], NOW);
    assert_eq!(nowhere, Some(UnknownCode::NotMapped));

    let mut small = Symbolizer::new(Limits {
        processes: 64,
        ..Limits::default()
    });
    assert!(small.learn(&proc, own, 0, NOW));
    for n in 0..200 {
        small.inherit((own, 0), (child(n), 0));
        // What is asked for stays.
        assert!(small.covers(child(0), 0, &frames, NOW), "{n}");
    }
    let why = |n| small.unknown_code(child(n), 0, &frames, NOW);
    assert_eq!((why(0), why(199)), (None, None));
    assert_eq!(why(1), Some(UnknownCode::Forgotten));
}

/// Wrong names or none at most.
#[test]
fn damaged_programs_do_no_harm() {
    let directory = tempfile::tempdir().unwrap();
    let program = compile(directory.path(), "gcc", PROGRAM, &["-g"]);
    let whole = fs::read(&program).unwrap();
    let damaged = directory.path().join("damaged");
    let mut state = 88_172_645_463_325_252u64;
    let mut random = move || {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        state as usize
    };
    for round in 0..300 {
        let mut bytes = whole.clone();
        match round % 3 {
            0 => bytes.truncate(random() % whole.len()),
            1 => (0..20).for_each(|_| bytes[random() % whole.len()] = random() as u8),
            _ => {
                let start = random() % whole.len();
                let end = (start + random() % 4096).min(whole.len());
                bytes[start..end].fill(random() as u8);
            }
        }
        fs::write(&damaged, &bytes).unwrap();
        let file = fs::File::open(&damaged).unwrap();
        let mut modules = Modules::new(Limits::default());
        let module = modules.adopt(file);
        for offset in [0, 0x1130, 0x1150, 0x1170, u64::MAX] {
            modules.names(module, offset, Role::Caller);
        }
    }
}

#[test]
fn functions_of_a_stripped_library_have_names() {
    let proc = Proc::default();
    let own = proc.identity(std::process::id()).unwrap();
    let mut symbolizer = Symbolizer::default();
    symbolizer.learn(&proc, own, 0, NOW);
    let address = libc::getpid as *const () as u64 + 1;
    let found = symbolizer.symbolize(own, 0, &[address], NOW);
    assert!(symbols(&found)[0].ends_with("getpid"), "{found:?}");
}
