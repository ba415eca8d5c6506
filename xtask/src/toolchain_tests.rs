//! Every kind of machine leads to the step that it needs.

use super::*;

fn compiler(sysroot: &str, llvm: u32, has_core_source: bool) -> Compiler {
    Compiler {
        sysroot: sysroot.into(),
        rustup_name: (sysroot != "/usr").then(|| "stable".to_owned()),
        release: (1, 95),
        llvm,
        has_core_source,
    }
}

fn linker(path: &str, llvm: Option<u32>) -> Linker {
    Linker {
        path: path.into(),
        llvm,
    }
}

#[test]
fn a_complete_rustup_toolchain_is_taken_as_it_is() {
    let machine = Machine {
        compilers: vec![compiler("/r", 22, true), compiler("/usr", 22, true)],
        linkers: vec![linker("/tools/bpf-linker", Some(22))],
        ..Machine::default()
    };
    let done = Toolchain {
        compiler: compiler("/r", 22, true),
        linker: "/tools/bpf-linker".into(),
    };
    assert_eq!(plan(&machine), Step::Done(done));
}

#[test]
fn what_is_complete_comes_before_what_must_be_installed() {
    let machine = Machine {
        compilers: vec![compiler("/r", 22, false), compiler("/usr", 22, true)],
        linkers: vec![linker("/tools/bpf-linker", Some(22))],
        ..Machine::default()
    };
    let done = Toolchain {
        compiler: compiler("/usr", 22, true),
        linker: "/tools/bpf-linker".into(),
    };
    assert_eq!(plan(&machine), Step::Done(done));
}

#[test]
fn a_linker_for_another_llvm_is_not_used() {
    let machine = Machine {
        compilers: vec![compiler("/r", 22, true)],
        linkers: vec![linker("/usr/bin/bpf-linker", Some(21))],
        llvm_installed: [22].into(),
        ..Machine::default()
    };
    assert_eq!(plan(&machine), Step::BuildLinker(22));
}

#[test]
fn a_linker_that_does_not_say_its_llvm_is_used() {
    let machine = Machine {
        compilers: vec![compiler("/r", 22, true)],
        linkers: vec![linker("/usr/bin/bpf-linker", None)],
        ..Machine::default()
    };
    assert!(matches!(plan(&machine), Step::Done(_)));
}

#[test]
fn llvm_is_installed_before_the_linker_is_built() {
    let mut machine = Machine {
        compilers: vec![compiler("/usr", 22, true)],
        llvm_packaged: [22].into(),
        ..Machine::default()
    };
    assert_eq!(plan(&machine), Step::InstallLlvm(22));
    machine.llvm_installed = [22].into();
    assert_eq!(plan(&machine), Step::BuildLinker(22));
}

#[test]
fn rustup_is_asked_for_the_sources_once() {
    let mut machine = Machine {
        compilers: vec![compiler("/r", 22, false)],
        llvm_packaged: [22].into(),
        compiler_packaged: true,
        ..Machine::default()
    };
    assert_eq!(plan(&machine), Step::AddCoreSource("stable".to_owned()));
    machine.rustup_failed = true;
    assert_eq!(plan(&machine), Step::InstallCompiler);
}

#[test]
fn rustup_is_not_asked_where_no_linker_could_follow() {
    let machine = Machine {
        compilers: vec![compiler("/r", 24, false)],
        llvm_packaged: [24].into(),
        compiler_packaged: true,
        ..Machine::default()
    };
    assert_eq!(plan(&machine), Step::InstallCompiler);
}

#[test]
fn lists_are_updated_before_giving_up() {
    let mut machine = Machine {
        compilers: vec![compiler("/r", 22, false)],
        lists_may_be_old: true,
        ..Machine::default()
    };
    assert_eq!(plan(&machine), Step::UpdateLists);
    // Lists of an old image knew a compiler that is too old; new ones know LLVM, and a compiler to fall back to.
    machine.lists_may_be_old = false;
    machine.llvm_packaged = [22].into();
    machine.compiler_packaged = true;
    machine.rustup_failed = true;
    assert_eq!(plan(&machine), Step::InstallCompiler);
}

#[test]
fn a_machine_without_anything_is_told_so() {
    assert_eq!(plan(&Machine::default()), Step::Impossible);
}

#[test]
fn the_llvm_of_a_compiler_is_read_from_its_version() {
    let text = "rustc 1.96.0 (ac68faa20 2026-05-25)\nbinary: rustc\nrelease: 1.96.0\nLLVM version: 22.1.8\n";
    assert_eq!(parse_version(text), Some(((1, 96), 22)));
    assert_eq!(
        parse_version("release: 1.97.0-nightly\nLLVM version: 23.0.0\n"),
        Some(((1, 97), 23))
    );
    assert_eq!(parse_version("rustc 1.96.0"), None);
}
