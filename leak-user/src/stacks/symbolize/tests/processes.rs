//! What is known of processes that are hard to look at, or that change.

use super::*;
use leak_common::unwind::FileKey;

use crate::proc::first_thread_gone::FirstThreadGone;

/// The mapping of a process that an address lies in, as the kernel would tell of it.
fn code_at(pid: u32, address: u64) -> MappedCode {
    let mappings = Proc::default().mappings(pid).unwrap();
    let mut mappings = mappings.iter();
    let mapping = mappings.find(|mapping| mapping.range.contains(address));
    let mapping = mapping.unwrap();
    MappedCode {
        range: mapping.range,
        offset: mapping.offset,
        file: Some(FileKey {
            device: mapping.device.0 << 20 | mapping.device.1,
            inode: mapping.inode,
            changed_seconds: 0,
            changed_nanoseconds: 0,
        }),
    }
}

fn library_function() -> u64 {
    libc::getpid as *const () as u64 + 1
}

const GONE: ProcessId = ProcessId::new(1, 1);

#[test]
fn a_process_whose_first_thread_exited_is_learned_and_named() {
    let child = FirstThreadGone::start();
    let proc = Proc::default();
    let process = proc.identity(child.pid()).unwrap();
    let mut symbolizer = Symbolizer::default();
    assert!(symbolizer.learn(&proc, process, 0, NOW));
    let found = symbolizer.symbolize(process, 0, &[child.address], NOW);
    assert_eq!(symbols(&found), ["spin"]);
    assert!(symbolizer.covers(process, 0, &[child.address], NOW));
    child.kill();
    assert!(!symbolizer.learn(&proc, process, 0, NOW + 1));
}

#[test]
fn libraries_of_a_process_that_was_never_seen_have_names() {
    let mut symbolizer = Symbolizer::default();
    assert!(symbolizer.learn_own(&Proc::default(), NOW));
    let address = library_function();
    let library = code_at(std::process::id(), address);
    symbolizer.mapped(&Proc::default(), (GONE, 1), NOW, &library, || None);
    let found = symbolizer.symbolize(GONE, 1, &[address, 5, address], NOW + 1);
    let names = symbols(&found);
    assert!(names[0].ends_with("getpid"), "{found:?}");
    assert_eq!((names[1], names[2]), ("", names[0]));
    assert!(found[0].module.starts_with('/'), "{found:?}");
    // Nothing is known of the program itself.
    assert!(!symbolizer.covers(GONE, 1, &[address], NOW + 1));
    assert_eq!(
        symbolizer.symbolize(GONE, 2, &[address], NOW),
        [bare(address)]
    );
}

#[test]
fn code_of_an_unknown_file_uncovers_a_process_until_it_is_learned() {
    let proc = Proc::default();
    let own = proc.identity(std::process::id()).unwrap();
    let mut symbolizer = Symbolizer::default();
    assert!(symbolizer.learn(&proc, own, 0, NOW));
    let address = library_function();
    let known = code_at(std::process::id(), address);
    let of_inode = |inode| MappedCode {
        file: known.file.map(|file| FileKey { inode, ..file }),
        ..known
    };
    symbolizer.mapped(&proc, (own, 0), NOW + 1, &known, || None);
    for ignored in [
        of_inode(0),
        MappedCode {
            range: (known.range.start..known.range.start).into(),
            ..known
        },
        MappedCode {
            file: None,
            ..known
        },
    ] {
        symbolizer.mapped(&proc, (own, 0), NOW + 1, &ignored, || None);
    }
    assert!(symbolizer.covers(own, 0, &[address], NOW + 2));
    let unknown = of_inode(u64::MAX);
    symbolizer.mapped(&proc, (own, 0), NOW + 3, &unknown, || None);
    assert!(!symbolizer.covers(own, 0, &[address], NOW + 4));
    let name = |symbolizer: &mut Symbolizer, time| {
        let mut found = symbolizer.symbolize(own, 0, &[address], time);
        found.remove(0).symbol
    };
    assert!(name(&mut symbolizer, NOW + 2).ends_with("getpid"));
    assert_eq!(name(&mut symbolizer, NOW + 3), "");
    assert!(symbolizer.learn(&proc, own, 0, NOW + 5));
    assert!(symbolizer.covers(own, 0, &[address], NOW + 5));
    assert!(name(&mut symbolizer, NOW + 2).ends_with("getpid"));
    assert_eq!(name(&mut symbolizer, NOW + 3), "");
    assert!(name(&mut symbolizer, NOW + 4).ends_with("getpid"));
}

/// Loads two libraries one after the other at the same address, and waits before
/// and after. It says an address in each.
const LOADER: &str = r#"
#define _GNU_SOURCE
#include <fcntl.h>
#include <stdio.h>
#include <sys/mman.h>
#include <sys/stat.h>
int main(int count, char **names) {
    char *place = mmap(0, 1 << 20, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    printf("%p\n", place);
    for (int i = 1; i < count; i++) {
        int file = open(names[i], O_RDONLY);
        mmap(place, 1 << 16, PROT_READ | PROT_EXEC, MAP_PRIVATE | MAP_FIXED, file, 0);
        printf("ready\n");
        fflush(stdout);
        getchar();
    }
}
"#;

/// Has two libraries seen, at 100 and at 200, that lay at the same address one after
/// the other, then removes the process and both. Asserts which one's function names
/// the stacks of each time.
fn assert_replaced(
    see: impl Fn(&mut Symbolizer, ProcessId, u64, Nanos),
    expected: [(Nanos, &str); 4],
) {
    use std::io::Write as _;
    let directory = tempfile::tempdir().unwrap();
    let program = compile(directory.path(), "gcc", LOADER, &[]);
    let library = |name: &str| {
        let directory = directory.path().join(name);
        fs::create_dir(&directory).unwrap();
        let source = format!("__attribute__((aligned(4096))) int {name}(void) {{ return 1; }}");
        compile(&directory, "gcc", &source, &["-shared", "-fPIC"])
    };
    let libraries = [library("first"), library("second")];
    let function = |path: &Path| {
        let output = Command::new("nm").arg(path).output().unwrap();
        let text = String::from_utf8(output.stdout).unwrap();
        let line = text
            .lines()
            .find(|line| line.ends_with("first") || line.ends_with("second"));
        u64::from_str_radix(line.unwrap().split(' ').next().unwrap(), 16).unwrap()
    };
    let [first, second] = [function(&libraries[0]), function(&libraries[1])];
    assert_eq!(first, second, "both have the same layout");
    let mut child = Command::new(&program)
        .args(&libraries)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let mut output = BufReader::new(child.stdout.take().unwrap()).lines();
    let mut line = || output.next().unwrap().unwrap();
    let place = u64::from_str_radix(line().trim_start_matches("0x"), 16).unwrap();
    let process = Proc::default().identity(child.id()).unwrap();
    let mut symbolizer = Symbolizer::default();
    for now in [100, 200] {
        assert_eq!(line(), "ready");
        see(&mut symbolizer, process, place, now);
        child.stdin.as_mut().unwrap().write_all(b"\n").unwrap();
    }
    child.wait().unwrap();
    fs::remove_dir_all(directory.path()).unwrap();
    for (time, name) in expected {
        let stack = [place + first + 1, place + first + 1];
        let found = symbolizer.symbolize(process, 0, &stack, time);
        assert_eq!(symbols(&found), [name, name], "at {time}");
        let [module, ..] = &found[..] else {
            unreachable!("two frames")
        };
        assert!(module.module.ends_with(&format!("/{name}/program")));
    }
}

#[test]
fn stacks_of_a_replaced_library_keep_its_names() {
    let learn = |symbolizer: &mut Symbolizer, process, _, now| {
        assert!(symbolizer.learn(&Proc::default(), process, 0, now));
    };
    assert_replaced(
        learn,
        [
            (50, "first"),
            (100, "first"),
            (150, "second"),
            (300, "second"),
        ],
    );
}

/// Nobody looked at the process while they were there.
#[test]
fn stacks_of_a_library_have_its_names_from_when_it_was_mapped() {
    let mapped = |symbolizer: &mut Symbolizer, process: ProcessId, place, now| {
        let proc = Proc::default();
        let mapped = code_at(process.pid(), place);
        let open = || proc.open_mapped(process.pid(), mapped.range);
        symbolizer.mapped(&proc, (process, 0), now, &mapped, || open().ok());
    };
    assert_replaced(
        mapped,
        [
            (100, "first"),
            (199, "first"),
            (200, "second"),
            (300, "second"),
        ],
    );
}
