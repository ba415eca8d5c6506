//! Whether it was an interpreter that called the C library, or a package of one. Advice on C
//! code is of no use there: the person writes Python, JavaScript, Java, PHP, Ruby or Perl.
//!
//! The rule is one of paths: the innermost frame outside of the C library decides. It is an
//! interpreter's if its file has an interpreter's name, or lies in a directory that only
//! interpreters put their packages in.

use crate::model::report::Frame;

/// Beginnings of the names of files that call on behalf of others: what calls them decides.
const BETWEEN: [&str; 9] = [
    "libc.so",
    "libc-",
    "libpthread",
    "librt.",
    "librt-",
    "libutil",
    "ld-musl",
    "ld-linux",
    "libffi",
];

/// Beginnings of the names of interpreters and of their libraries. A name goes on with a
/// version or an ending, or ends.
const INTERPRETERS: [&str; 19] = [
    "python",
    "libpython",
    "pypy",
    "libpypy",
    "node",
    "nodejs",
    "libnode",
    "java",
    "libjvm",
    "libjava",
    "php",
    "php-fpm",
    "libphp",
    "mod_php",
    "ruby",
    "libruby",
    "perl",
    "libperl",
    "deno",
];

/// Directories of packages and of the parts that interpreters load.
const PACKAGES: [&str; 9] = [
    "/site-packages/",
    "/dist-packages/",
    "/lib-dynload/",
    "/node_modules/",
    "/lib/jvm/",
    "/lib/php/",
    "/ruby/",
    "/perl/",
    "/perl5/",
];

/// Ends of the names of source files that interpreters run.
const SOURCES: [&str; 8] = [".py", ".js", ".mjs", ".cjs", ".java", ".php", ".rb", ".pl"];

/// Whether a stack came to the C library from an interpreter.
pub(super) fn is_of_interpreter(stack: &[Frame]) -> bool {
    let is_between = |frame: &&Frame| {
        let name = frame.module_name();
        BETWEEN.iter().any(|start| name.starts_with(start))
    };
    stack
        .iter()
        .find(|frame| !is_between(frame))
        .is_some_and(is_interpreters)
}

fn is_interpreters(frame: &Frame) -> bool {
    let file = frame.file.as_deref().unwrap_or_default();
    let has_name = INTERPRETERS.iter().any(|start| {
        let rest = frame.module_name().strip_prefix(start);
        rest.is_some_and(|rest| {
            rest.chars().all(|c| c.is_ascii_digit() || c == '.') || rest.contains(".so")
        })
    });
    has_name
        || PACKAGES
            .iter()
            .any(|directory| frame.module.contains(directory))
        || SOURCES.iter().any(|end| file.ends_with(end))
}
