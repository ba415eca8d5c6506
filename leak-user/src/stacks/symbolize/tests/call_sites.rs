//! Which instruction an address stands for, and what was inlined there.

use super::*;

/// A program that a signal interrupts at the first instruction of `trapped`. It
/// says where the handler returns to (`return_signal`) and where the signal came.
const SIGNAL: &str = r#"
#define _GNU_SOURCE
#include <signal.h>
#include <stdio.h>
#include <ucontext.h>
#include <unistd.h>
void trapped(void);
__asm__(".text\n.type before, @function\nbefore: nop\n.size before, . - before\n"
        ".globl trapped\n.type trapped, @function\ntrapped: ud2\nret\n.size trapped, . - trapped\n");
static void handler(int signal, siginfo_t *info, void *context) {
    ucontext_t *state = context;
    printf("%p ", __builtin_extract_return_addr(__builtin_return_address(0)));
    printf("%lx\n", (unsigned long)state->uc_mcontext.gregs[REG_RIP]);
    fflush(stdout);
    pause();
}
int main(void) {
    struct sigaction action = { .sa_sigaction = handler, .sa_flags = SA_SIGINFO };
    sigaction(SIGILL, &action, 0);
    trapped();
}
"#;

#[cfg(target_arch = "x86_64")]
#[test]
fn what_a_signal_interrupted_is_named_by_the_instruction_itself() {
    for arguments in [&["-g"][..], &["-static"]] {
        let directory = tempfile::tempdir().unwrap();
        let program = compile(directory.path(), "gcc", SIGNAL, arguments);
        let victim = Victim::start(&program);
        let interrupted = victim.others[0];
        let mut symbolizer = Symbolizer::default();
        assert!(symbolizer.learn(&Proc::default(), victim.process, 0, NOW));
        let stack = [interrupted + 2, victim.address, interrupted];
        let found = symbolizer.symbolize(victim.process, 0, &stack, NOW);
        let names = symbols(&found);
        assert!(names[1].contains("restore_rt"), "{found:?}");
        assert_eq!((names[0], names[2]), ("trapped", "trapped"));
        // Without the handler's frame it would be a call's: of what lies before.
        let found = symbolizer.symbolize(victim.process, 0, &[interrupted + 2, interrupted], NOW);
        assert_eq!(symbols(&found), ["trapped", "before"]);
    }
}

#[test]
fn the_innermost_frame_may_be_at_the_start_of_a_function() {
    let proc = Proc::default();
    let own = proc.identity(std::process::id()).unwrap();
    let mut symbolizer = Symbolizer::default();
    symbolizer.learn(&proc, own, 0, NOW);
    let start = known_function() - 1;
    let found = symbolizer.symbolize(own, 0, &[start, start], NOW);
    let names = symbols(&found);
    assert!(names[0].ends_with("tests::known_function"), "{found:?}");
    assert!(!names[1].ends_with("tests::known_function"), "{found:?}");
    let name = symbolizer.function_name(own, 0, start + 1).unwrap();
    assert!(name.starts_with("_") && name.contains("14known_function"));
    assert_eq!(symbolizer.function_name(own, 0, 5), None);
    assert_eq!(symbolizer.function_name(own, 1, start + 1), None);
}

#[cfg(target_arch = "x86_64")]
#[test]
fn code_of_the_kernel_in_every_process_has_names() {
    let proc = Proc::default();
    let own = proc.identity(std::process::id()).unwrap();
    let mut symbolizer = Symbolizer::default();
    symbolizer.learn(&proc, own, 0, NOW);
    let mappings = proc.mappings(std::process::id()).unwrap();
    let vdso = mappings.iter().find(|mapping| mapping.path == "[vdso]");
    let vdso = vdso.unwrap();
    let named = (vdso.range.start..vdso.range.end)
        .step_by(8)
        .filter(|address| {
            let found = symbolizer.symbolize(own, 0, &[*address], NOW);
            let [frame] = found.as_slice() else {
                panic!("{found:?}");
            };
            assert_eq!(frame.module, "[vdso]");
            frame.symbol.contains("clock_gettime")
        });
    assert!(named.count() > 0);
}

#[cfg(target_arch = "x86_64")]
#[inline(always)]
fn rust_inner() -> u64 {
    let address: u64;
    // SAFETY: it only tells where it is.
    unsafe { std::arch::asm!("lea {}, [rip]", out(reg) address) };
    address
}

#[cfg(target_arch = "x86_64")]
#[inline(never)]
fn rust_outer() -> (u64, u32) {
    (rust_inner(), line!())
}

#[cfg(target_arch = "x86_64")]
#[test]
fn inlined_functions_of_rust_have_frames_and_lines() {
    let proc = Proc::default();
    let own = proc.identity(std::process::id()).unwrap();
    let mut symbolizer = Symbolizer::default();
    symbolizer.learn(&proc, own, 0, NOW);
    let (address, line) = rust_outer();
    let found = symbolizer.symbolize(own, 0, &[address], NOW);
    let [inner, outer] = found.as_slice() else {
        panic!("{found:?}");
    };
    // Where the tests are built with line tables alone, names are without their modules.
    let is = |frame: &Frame, name| frame.symbol.rsplit("::").next() == Some(name);
    assert!(is(inner, "rust_inner") && inner.inlined, "{found:?}");
    assert!(is(outer, "rust_outer") && !outer.inlined, "{found:?}");
    assert_eq!(outer.line, Some(line));
    let name = symbolizer.function_name(own, 0, address).unwrap();
    assert!(name.contains("rust_outer"), "{name}");
}

#[test]
fn inlined_functions_of_cpp_have_frames_and_lines() {
    let directory = tempfile::tempdir().unwrap();
    let source = PROGRAM
        .replace("inner(void)", "inner_(void)")
        .replace("    inner();", "    space::Box<int>::inner(1);");
    // On the same line, to keep the numbers of the others.
    let source = source.replace(
        "__attribute__((noinline)) void outer",
        "namespace space { template <class T> struct Box { static inline __attribute__((always_inline)) void inner(T) { inner_(); } }; } __attribute__((noinline)) void outer",
    );
    let program = compile(directory.path(), "g++", &source, &["-g"]);
    let found = after_its_end(&program, Limits::default());
    assert_eq!(
        symbols(&found),
        ["inner_", "space::Box<int>::inner(int)", "outer()"]
    );
    let lines: Vec<_> = found.iter().map(|frame| frame.line).collect();
    assert_eq!(lines, [Some(9), Some(12), Some(13)]);
}
