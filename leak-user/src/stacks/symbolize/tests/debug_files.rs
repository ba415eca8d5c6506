//! Debug information in files of its own.

use super::*;

fn run(command: &mut Command) {
    assert!(command.status().unwrap().success(), "{command:?}");
}

/// A stripped program with a link, and the file that it links to.
fn linked(directory: &Path, build_id: bool) -> (PathBuf, PathBuf) {
    let id = match build_id {
        true => "-Wl,--build-id",
        false => "-Wl,--build-id=none",
    };
    let program = compile(directory, "gcc", PROGRAM, &["-g", id]);
    let separate = directory.join("program.debug");
    run(Command::new("objcopy")
        .arg("--only-keep-debug")
        .args([&program, &separate]));
    run(Command::new("strip").arg(&program));
    let link = format!("--add-gnu-debuglink={}", separate.display());
    run(Command::new("objcopy").arg(link).arg(&program));
    (program, separate)
}

#[test]
fn a_link_is_followed_beside_the_program_and_in_the_debug_directory() {
    for build_id in [true, false] {
        let place = |at: fn(&Path, &Path) -> PathBuf| {
            let directory = tempfile::tempdir().unwrap();
            let installed = tempfile::tempdir().unwrap();
            let (program, separate) = linked(directory.path(), build_id);
            let target = at(directory.path(), installed.path());
            fs::create_dir_all(target.parent().unwrap()).unwrap();
            if target != separate {
                fs::copy(&separate, &target).unwrap();
                fs::remove_file(&separate).unwrap();
            }
            let limits = Limits {
                debug_directory: installed.path().to_path_buf(),
                ..Limits::default()
            };
            let found = after_its_end(&program, limits);
            let lines = found.iter().filter_map(|frame| frame.line).collect();
            let names = symbols(&found).join(" ");
            (names, lines)
        };
        let whole = ("inner outer".to_owned(), vec![9, 13]);
        assert_eq!(place(|own, _| own.join("program.debug")), whole);
        assert_eq!(place(|own, _| own.join(".debug/program.debug")), whole);
        let in_debug_directory = |own: &Path, installed: &Path| {
            let own = own.strip_prefix("/").unwrap();
            installed.join(own).join("program.debug")
        };
        assert_eq!(place(in_debug_directory), whole);
        let nowhere = place(|own, _| own.join("other.debug"));
        assert_eq!(nowhere, (String::new(), vec![]));
    }
}

#[test]
fn a_file_that_does_not_belong_to_the_program_is_not_used() {
    for build_id in [true, false] {
        let directory = tempfile::tempdir().unwrap();
        let other = tempfile::tempdir().unwrap();
        let (program, separate) = linked(directory.path(), build_id);
        let source = PROGRAM.replace("outer", "wrong");
        let wrong = compile(other.path(), "gcc", &source, &["-g"]);
        fs::copy(wrong, &separate).unwrap();
        let found = after_its_end(&program, Limits::default());
        assert_eq!(symbols(&found), [""]);
    }
}

#[test]
fn a_link_leads_nowhere_outside_of_the_root_directory() {
    let directory = tempfile::tempdir().unwrap();
    let (program, separate) = linked(directory.path(), true);
    let file = fs::File::open(&program).unwrap();
    let elf = elf::Elf::read(&file).unwrap();
    let root = tempfile::tempdir().unwrap();
    let wanted = separate::Wanted::by(&file, &elf, Path::new("/bin/program")).unwrap();
    let beneath = || wanted.beneath(root.path(), Path::new("usr/lib/debug"));
    fs::create_dir(root.path().join("bin")).unwrap();
    assert!(beneath().is_none());
    let link = root.path().join("bin/program.debug");
    std::os::unix::fs::symlink(&separate, &link).unwrap();
    assert!(beneath().is_none());
    fs::remove_file(link).unwrap();
    let id = elf.build_id.unwrap();
    let installed = root.path().join("usr/lib/debug/.build-id").join(&id[..2]);
    fs::create_dir_all(&installed).unwrap();
    fs::copy(separate, installed.join(format!("{}.debug", &id[2..]))).unwrap();
    assert!(wanted.matches(&beneath().unwrap()));
}

/// As `dwz` leaves it: names are in a file for several programs, here a missing one.
#[test]
fn names_in_shared_debug_information_that_is_missing_come_from_symbols() {
    let directory = tempfile::tempdir().unwrap();
    let path = |name| directory.path().join(name);
    let (source, assembly) = (path("program.c"), path("program.s"));
    fs::write(&source, PROGRAM).unwrap();
    let program = path("program");
    run(Command::new("gcc")
        .args(["-O1", "-g", "-S", "-dA", "-o"])
        .args([&assembly, &source]));
    let text = fs::read_to_string(&assembly).unwrap();
    // DW_FORM_strp becomes DW_FORM_GNU_strp_alt.
    let name = "# (DW_AT_name)\n\t.uleb128 0x";
    let moved = text.replace(&format!("{name}e\t"), &format!("{name}1f21\t"));
    assert_ne!(text, moved);
    fs::write(&assembly, moved).unwrap();
    run(Command::new("gcc").arg("-o").args([&program, &assembly]));
    let link = path("link");
    fs::write(&link, b"/nowhere/shared.debug\0\x01\x02\x03\x04").unwrap();
    let section = format!(".gnu_debugaltlink={}", link.display());
    run(Command::new("objcopy")
        .args(["--add-section", &section])
        .arg(&program));
    let found = after_its_end(&program, Limits::default());
    assert_eq!(symbols(&found), ["outer"]);
    assert_eq!(found[0].line, Some(13));
}
