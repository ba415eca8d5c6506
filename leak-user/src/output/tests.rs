#![allow(clippy::unwrap_used, reason = "tests")]

use std::{
    ffi::{CString, OsStr},
    io::Read,
    os::unix::fs::PermissionsExt,
    ptr,
    time::{Duration, UNIX_EPOCH},
};

use super::*;

fn names(directory: &Path) -> Vec<String> {
    let entries = fs::read_dir(directory).unwrap();
    let mut names: Vec<String> = entries
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .collect();
    names.sort();
    names
}

fn write(output: Output, text: &str) -> anyhow::Result<()> {
    output.write(|out| out.write_all(text.as_bytes()))
}

#[test]
fn a_report_replaces_an_older_one_at_the_end_only() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("report.json");
    fs::write(&path, "old").unwrap();
    let output = Output::file(&path).unwrap();
    assert_eq!(fs::read_to_string(&path).unwrap(), "old");
    write(output, "new").unwrap();
    assert_eq!(fs::read_to_string(&path).unwrap(), "new");
    assert_eq!(
        fs::metadata(&path).unwrap().permissions().mode() & 0o777,
        0o600
    );
    assert_eq!(names(directory.path()), ["report.json"]);
}

#[test]
fn an_output_that_is_not_written_leaves_nothing() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("report");
    drop(Output::file(&path).unwrap());
    let failed = Output::file(&path)
        .unwrap()
        .write(|_| Err(io::Error::other("no report")));
    assert!(failed.is_err());
    assert_eq!(names(directory.path()), Vec::<String>::new());
}

#[test]
fn a_place_that_cannot_be_written_is_known_at_once() {
    let directory = tempfile::tempdir().unwrap();
    let error = |path: &Path| format!("{:#}", Output::file(path).unwrap_err());
    let missing = error(&directory.path().join("no\x1bwhere/report"));
    assert!(missing.contains(r"no\x1bwhere/report'"), "{missing}");
    assert!(missing.contains("must exist and be writable"), "{missing}");
    assert!(missing.ends_with("(os error 2)"), "{missing}");
    let folder = error(directory.path());
    assert!(folder.contains("it is a directory"), "{folder}");
    let device = error(Path::new("/dev/no-such-device"));
    assert!(
        device.contains("cannot open '/dev/no-such-device'"),
        "{device}"
    );
}

#[test]
fn a_symbolic_link_is_replaced_and_its_target_stays() {
    let directory = tempfile::tempdir().unwrap();
    let (target, link) = (
        directory.path().join("target"),
        directory.path().join("link"),
    );
    fs::write(&target, "precious").unwrap();
    std::os::unix::fs::symlink(&target, &link).unwrap();
    write(Output::file(&link).unwrap(), "report").unwrap();
    assert_eq!(fs::read_to_string(&target).unwrap(), "precious");
    assert!(!link.is_symlink());
    assert_eq!(fs::read_to_string(&link).unwrap(), "report");
}

#[test]
fn devices_are_written_directly() {
    write(Output::file(Path::new("/dev/null")).unwrap(), "report").unwrap();
    assert!(is_special(Path::new("/dev/null")));
    let error = write(Output::file(Path::new("/dev/full")).unwrap(), "report").unwrap_err();
    let text = format!("{error:#}");
    assert!(
        text.contains("'/dev/full'") && text.contains("No space left"),
        "{text}"
    );
}

#[test]
fn a_named_pipe_is_written_directly() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("pipe");
    let name = CString::new(path.as_os_str().as_bytes()).unwrap();
    // SAFETY: the name ends with a zero and lives through the call.
    assert_eq!(unsafe { libc::mkfifo(name.as_ptr(), 0o600) }, 0);
    let writer = std::thread::spawn({
        let path = path.clone();
        move || write(Output::file(&path).unwrap(), "report")
    });
    let mut text = String::new();
    File::open(&path)
        .unwrap()
        .read_to_string(&mut text)
        .unwrap();
    writer.join().unwrap().unwrap();
    assert_eq!(text, "report");
    assert_eq!(names(directory.path()), ["pipe"]);
}

#[test]
fn a_closed_pipe_is_no_error() {
    let (reader, writer) = io::pipe().unwrap();
    drop(reader);
    let file = File::from(std::os::fd::OwnedFd::from(writer));
    let output = Output(Target::Direct(file, PathBuf::from("pipe")));
    write(output, &"x".repeat(1 << 20)).unwrap();
}

/// Makes a file system of 64 KiB at `path`, seen by this thread alone. False
/// where that is not permitted.
fn mount_small(path: &Path) -> bool {
    let path = CString::new(path.as_os_str().as_bytes()).unwrap();
    // SAFETY: unshare has no pointers; it concerns this thread alone.
    if unsafe { libc::unshare(libc::CLONE_NEWNS) } != 0 {
        return false;
    }
    // SAFETY: all strings end with a zero, and null is allowed where it is given.
    unsafe {
        libc::mount(
            ptr::null(),
            c"/".as_ptr(),
            ptr::null(),
            libc::MS_REC | libc::MS_PRIVATE,
            ptr::null(),
        ) == 0
            && libc::mount(
                c"tmpfs".as_ptr(),
                path.as_ptr(),
                c"tmpfs".as_ptr(),
                0,
                c"size=64k".as_ptr().cast(),
            ) == 0
    }
}

#[test]
fn a_full_disk_leaves_the_older_report() {
    let directory = tempfile::tempdir().unwrap();
    std::thread::scope(|scope| {
        // A thread of its own, for its mounts.
        scope.spawn(|| {
            if !mount_small(directory.path()) {
                eprintln!("skipped: mounting a file system is not permitted here");
                return;
            }
            let path = directory.path().join("report");
            fs::write(&path, "old").unwrap();
            let output = Output::file(&path).unwrap();
            let error = write(output, &"x".repeat(1 << 20)).unwrap_err();
            let text = format!("{error:#}");
            assert!(
                text.contains("report'") && text.contains("No space left"),
                "{text}"
            );
            assert_eq!(fs::read_to_string(&path).unwrap(), "old");
            assert_eq!(names(directory.path()), ["report"]);
        });
    });
}

#[test]
fn the_fields_of_a_name_are_filled_in() {
    let time = UNIX_EPOCH + Duration::from_secs(1_767_323_045);
    let expanded = |name: &str| PathBuf::from(expand(OsStr::new(name), "a/b", 42, time));
    assert_eq!(
        expanded("/x/%h-%p-%t.json"),
        Path::new("/x/a_b-42-20260102-030405.json")
    );
    assert_eq!(expanded("100%%-%x-%"), Path::new("100%-%x-%"));
    let raw = OsStr::from_bytes(b"\xff%p");
    assert_eq!(expand(raw, "", 7, time).as_bytes(), b"\xff7");
}
