//! Whose a frame is. A person looks for the code that they can change; most frames of a stack are of an interpreter, a
//! library or the C library.
//!
//! The rule goes by paths, since a path is what a person knows their code by. Native code is told by the mapped file it
//! is in, and where that file is the user's by the source file: a static binary holds its runtime and its packages.
//! Code of an interpreter is told by its script. The first line that applies decides:
//!
//! | what the path says | owner |
//! |---|---|
//! | no path and no name | nobody known |
//! | `site-packages`, `dist-packages`, `node_modules`, `gems`, `vendor`, cargo's registry, Go's `pkg/mod`, `/usr/local/lib` | a package |
//! | a library or program of an interpreter (`libpython*`, `node`, `libjvm.so`, ...), its standard library (`lib/python3.*`, `node:`, `/rustc/`, Go's `src`) | the runtime |
//! | below `/usr/bin`, `/usr/sbin`, or a `bin` below `/usr/lib` | a program of the system |
//! | else below `/usr` or `/lib`, but not `/usr/local` | the system |
//! | anything else | the user |

use super::super::report::Frame;

/// Whose a frame is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Owner {
    /// The user's: what they can change.
    User,
    /// A program that came with the system, such as `/usr/sbin/nginx`.
    Program,
    /// A package or library that the user chose.
    Package,
    /// A language's interpreter, runtime or standard library: its name.
    Runtime(&'static str),
    /// The C library, and other libraries of the system.
    System,
    /// Neither name nor path is known.
    Unknown,
}

/// Names of programs and libraries that run other programs' code, up to a digit, dot or dash, and what they are.
const RUNTIMES: [(&str, &str); 31] = [
    ("libpython", "CPython"),
    ("python", "CPython"),
    ("pypy", "PyPy"),
    ("libpypy", "PyPy"),
    ("node", "Node.js"),
    ("nodejs", "Node.js"),
    ("libnode", "Node.js"),
    ("libuv", "Node.js"),
    ("deno", "Deno"),
    ("bun", "Bun"),
    ("ruby", "Ruby"),
    ("libruby", "Ruby"),
    ("php", "PHP"),
    ("php-fpm", "PHP"),
    ("libphp", "PHP"),
    ("perl", "Perl"),
    ("libperl", "Perl"),
    ("java", "Java"),
    ("libjvm", "Java"),
    ("libjli", "Java"),
    ("libjava", "Java"),
    ("libnio", "Java"),
    ("libnet", "Java"),
    ("libzip", "Java"),
    ("lua", "Lua"),
    ("luajit", "Lua"),
    ("beam.smp", "Erlang"),
    ("libcoreclr", ".NET"),
    ("libclrjit", ".NET"),
    ("dotnet", ".NET"),
    ("Rscript", "R"),
];

/// What a path of a package has in it.
const PACKAGES: [&str; 12] = [
    "/site-packages/",
    "/dist-packages/",
    "/node_modules/",
    "/gems/",
    "/vendor/",
    "/.cargo/registry/",
    "/cargo/registry/",
    "/.cargo/git/",
    "/pkg/mod/",
    "/.m2/repository/",
    "/usr/local/lib/",
    "/usr/local/include/",
];

/// What a path of a standard library has in it.
const STANDARD_LIBRARIES: [(&str, &str); 13] = [
    ("/lib-dynload/", "CPython"),
    ("/Python-3.", "CPython"),
    ("/lib/ruby/", "Ruby"),
    ("/lib/php/", "PHP"),
    ("/usr/share/php/", "PHP"),
    ("/share/perl", "Perl"),
    ("/lib/jvm/", "Java"),
    ("/deps/uv/", "Node.js"),
    ("/rustc/", "Rust"),
    ("/rustlib/src/", "Rust"),
    ("/go/src/", "Go"),
    ("/usr/lib/go", "Go"),
    ("/include/c++/", "C++"),
];

/// What names of functions begin with, of languages whose standard library is in the user's program.
const STANDARD_FUNCTIONS: [(&str, &str); 18] = [
    ("std::", "the standard library"),
    ("<std::", "the standard library"),
    ("core::", "Rust"),
    ("<core::", "Rust"),
    ("alloc::", "Rust"),
    ("<alloc::", "Rust"),
    ("<&dyn core::", "Rust"),
    ("__rust_", "Rust"),
    ("__gnu_cxx::", "C++"),
    ("runtime.", "Go"),
    ("java.", "Java"),
    ("jdk.", "Java"),
    ("sun.", "Java"),
    ("Ljava/", "Java"),
    ("Ljdk/", "Java"),
    ("Lsun/", "Java"),
    ("Builtin", "Node.js"),
    ("v8::", "Node.js"),
];

/// Functions that start a program or a thread, wherever they are linked to.
const START_UP: [&str; 8] = [
    "_start",
    "__libc_start_main",
    "__libc_start_main_impl",
    "__libc_start_call_main",
    "start_thread",
    "clone",
    "clone3",
    "__clone3",
];

/// How V8 begins the names of functions that it writes into `/tmp/perf-PID.map`; their script follows after a space.
const V8_PREFIXES: [&str; 6] = [
    "JS:",
    "LazyCompile:",
    "Function:",
    "Script:",
    "Eval:",
    "RegExp:",
];

/// Whose it is.
#[must_use]
pub fn owner_of(frame: &Frame) -> Owner {
    if frame.symbol.is_empty() && frame.module.is_empty() {
        return Owner::Unknown;
    }
    if starts_up(frame) {
        return Owner::System;
    }
    if let Some(script) = v8_script(&frame.symbol) {
        return of_source(script);
    }
    if !frame.module.starts_with('/') {
        return match frame.file.as_deref() {
            // An interpreter's function: its module is the interpreter's name.
            Some(file) => of_source(file),
            None => of_function(&frame.symbol),
        };
    }
    match of_module(&frame.module) {
        Owner::User => match of_function(&frame.symbol) {
            Owner::User => frame.file.as_deref().map_or(Owner::User, of_source),
            other => other,
        },
        other => other,
    }
}

/// Whether it is a function that starts a program or a thread.
pub(super) fn starts_up(frame: &Frame) -> bool {
    START_UP.contains(&frame.symbol.as_str())
}

/// Of a stack, the frames that a person can change: the user's, or where there is none those of the program that runs,
/// or where there is none those of packages. What has no name anywhere gives way to what has.
#[must_use]
pub fn stands_out(stack: &[Frame]) -> Vec<bool> {
    const ORDER: [Owner; 3] = [Owner::User, Owner::Program, Owner::Package];
    let owners: Vec<Owner> = stack.iter().map(owner_of).collect();
    let is_named = |wanted: &&Owner| {
        let mut of = stack
            .iter()
            .zip(&owners)
            .filter(|(_, owner)| *owner == *wanted);
        of.any(|(frame, _)| !frame.symbol.is_empty())
    };
    let named = ORDER.iter().find(is_named);
    match named.or_else(|| ORDER.iter().find(|wanted| owners.contains(wanted))) {
        Some(wanted) => owners.iter().map(|owner| owner == wanted).collect(),
        None => vec![false; stack.len()],
    }
}

/// The script of a function that V8 named: `JS:*ask /srv/app.js:10:3`.
#[must_use]
pub fn v8_script(symbol: &str) -> Option<&str> {
    let prefixed = V8_PREFIXES.iter().any(|prefix| symbol.starts_with(prefix));
    let script = symbol.rsplit_once(' ').map(|(_, script)| script);
    script.filter(|script| prefixed && script.contains(['/', ':', '.']))
}

fn of_module(path: &str) -> Owner {
    if let Some(owner) = package(path) {
        return owner;
    }
    if let Some(owner) = standard_library(path) {
        return owner;
    }
    let (directory, name) = path.rsplit_once('/').unwrap_or(("", path));
    if let Some(runtime) = runtime_named(name) {
        return Owner::Runtime(runtime);
    }
    if !is_systems(path) {
        return Owner::User;
    }
    let last = directory.rsplit('/').next().unwrap_or_default();
    match last {
        "bin" | "sbin" | "libexec" => Owner::Program,
        _ => Owner::System,
    }
}

/// Whose a source file is.
fn of_source(path: &str) -> Owner {
    if let Some(owner) = package(path) {
        return owner;
    }
    if path.starts_with("node:") || path.contains("internal/deps/") {
        return Owner::Runtime("Node.js");
    }
    if path.starts_with("<frozen ") || path.starts_with("<__array_function__") {
        return Owner::Runtime("CPython");
    }
    if path.starts_with("<internal:") {
        return Owner::Runtime("Ruby");
    }
    if let Some(owner) = standard_library(path) {
        return owner;
    }
    // What the C library is built from, by the directories of its sources.
    if path.contains("/sysdeps/") || path.starts_with("./csu/") || path.starts_with("./nptl/") {
        return Owner::System;
    }
    match is_systems(path) {
        true => Owner::System,
        false => Owner::User,
    }
}

fn of_function(symbol: &str) -> Owner {
    let found = STANDARD_FUNCTIONS
        .iter()
        .find(|(start, _)| symbol.starts_with(start));
    found.map_or(Owner::User, |(_, runtime)| Owner::Runtime(runtime))
}

fn package(path: &str) -> Option<Owner> {
    // Python's own library lives below /usr/local/lib in its container images.
    if python_library(path) {
        return None;
    }
    PACKAGES
        .iter()
        .any(|part| path.contains(part))
        .then_some(Owner::Package)
}

fn standard_library(path: &str) -> Option<Owner> {
    if python_library(path) {
        return Some(Owner::Runtime("CPython"));
    }
    let found = STANDARD_LIBRARIES
        .iter()
        .find(|(part, _)| path.contains(part));
    found.map(|(_, runtime)| Owner::Runtime(runtime))
}

/// Whether it is below `lib/python3.*`, and no package.
fn python_library(path: &str) -> bool {
    let Some((_, rest)) = path.split_once("/lib/python") else {
        return false;
    };
    let is_version = rest.starts_with(|digit: char| digit.is_ascii_digit());
    is_version && !rest.contains("/site-packages/") && !rest.contains("/dist-packages/")
}

/// What runs in a file of that name, such as `libpython3.12.so.1.0` or `php8.2`.
pub(in crate::model) fn runtime_named(name: &str) -> Option<&'static str> {
    let found = RUNTIMES.iter().find(|(start, _)| {
        name.strip_prefix(start).is_some_and(|rest| {
            rest.is_empty()
                || rest.starts_with(|c: char| c.is_ascii_digit() || c == '.' || c == '-')
        })
    });
    found.map(|(_, runtime)| *runtime)
}

/// Whether a path is one that the system's packages own.
fn is_systems(path: &str) -> bool {
    const SYSTEM: [&str; 6] = [
        "/usr/",
        "/lib/",
        "/lib64/",
        "/bin/",
        "/sbin/",
        "/nix/store/",
    ];
    let inside = SYSTEM.iter().any(|start| path.starts_with(start));
    inside && !path.starts_with("/usr/local/") && !path.starts_with("/usr/src/")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::sample::frame;

    /// Symbol, module, source file, owner.
    const CASES: &[(&str, &str, Option<&str>, Owner)] = &[
        (
            "ask_ledger",
            "python3.11",
            Some("/srv/app/app.py"),
            Owner::User,
        ),
        ("main", "python3.11", Some("app.py"), Owner::User),
        ("f", "python3.11", Some("<string>"), Owner::User),
        (
            "Popen.__init__",
            "python3.11",
            Some("/root/.pyenv/versions/3.11.7/lib/python3.11/subprocess.py"),
            Owner::Runtime("CPython"),
        ),
        (
            "Popen.__init__",
            "python3.12",
            Some("/usr/local/lib/python3.12/subprocess.py"),
            Owner::Runtime("CPython"),
        ),
        (
            "connect",
            "python3.11",
            Some("/usr/local/lib/python3.11/site-packages/redis/client.py"),
            Owner::Package,
        ),
        (
            "connect",
            "python3.11",
            Some("/usr/lib/python3/dist-packages/redis/client.py"),
            Owner::Package,
        ),
        (
            "_load",
            "python3.11",
            Some("<frozen importlib._bootstrap>"),
            Owner::Runtime("CPython"),
        ),
        (
            "_PyEval_Vector",
            "/root/.pyenv/versions/3.11.7/lib/libpython3.11.so.1.0",
            Some("/tmp/Python-3.11.7/./Python/ceval.c"),
            Owner::Runtime("CPython"),
        ),
        (
            "sock_initobj",
            "/opt/py/lib/python3.11/lib-dynload/_socket.cpython-311-x86_64-linux-gnu.so",
            None,
            Owner::Runtime("CPython"),
        ),
        (
            "zmq_ctx_new",
            "/opt/v/lib/python3.11/site-packages/pyzmq.libs/libzmq-4.so",
            None,
            Owner::Package,
        ),
        (
            "uv__fs_open",
            "/usr/bin/node",
            Some("/home/iojs/build/ws/out/../deps/uv/src/unix/fs.c"),
            Owner::Runtime("Node.js"),
        ),
        (
            "node::fs::Open",
            "/opt/node/bin/node",
            None,
            Owner::Runtime("Node.js"),
        ),
        ("JS:*ask /srv/app.js:10:3", "", None, Owner::User),
        (
            "LazyCompile:~f /srv/node_modules/pg/lib/client.js:3:1",
            "",
            None,
            Owner::Package,
        ),
        (
            "JS:~openSync node:fs:120:1",
            "",
            None,
            Owner::Runtime("Node.js"),
        ),
        ("execute_ex", "/usr/bin/php8.2", None, Owner::Runtime("PHP")),
        (
            "",
            "/usr/lib/php/20220829/phar.so",
            None,
            Owner::Runtime("PHP"),
        ),
        (
            "rb_vm_exec",
            "/usr/lib/x86_64-linux-gnu/libruby-3.1.so.3.1.2",
            None,
            Owner::Runtime("Ruby"),
        ),
        (
            "ngx_accept",
            "/usr/sbin/nginx",
            Some("src/event/accept.c"),
            Owner::Program,
        ),
        (
            "WalWriterMain",
            "/usr/lib/postgresql/15/bin/postgres",
            None,
            Owner::Program,
        ),
        (
            "__libc_open64",
            "/usr/lib/x86_64-linux-gnu/libc.so.6",
            Some("./io/open64.c"),
            Owner::System,
        ),
        ("_start", "/srv/app/server", None, Owner::System),
        (
            "leak",
            "/srv/app/server",
            Some("/home/me/server.c"),
            Owner::User,
        ),
        ("leak", "/srv/app/server", None, Owner::User),
        ("main", "/usr/local/bin/server", None, Owner::User),
        ("f", "/usr/local/lib/libthing.so.3", None, Owner::Package),
        (
            "std::thread::functions::spawn",
            "/srv/thr",
            Some(
                "/root/.rustup/toolchains/x/lib/rustlib/src/rust/library/std/src/thread/functions.rs",
            ),
            Owner::Runtime("the standard library"),
        ),
        (
            "call_once<f>",
            "/srv/thr",
            Some("/rustc/59807616/library/core/src/ops/function.rs"),
            Owner::Runtime("Rust"),
        ),
        (
            "tokio::net::connect",
            "/srv/thr",
            Some("/home/me/.cargo/registry/src/x/tokio-1.0/src/net.rs"),
            Owner::Package,
        ),
        ("thr::leak", "/srv/thr", Some("src/main.rs"), Owner::User),
        (
            "net.(*netFD).dial",
            "/srv/services",
            Some("/usr/local/go/src/net/fd_unix.go"),
            Owner::Runtime("Go"),
        ),
        (
            "runtime.goexit",
            "/srv/services",
            None,
            Owner::Runtime("Go"),
        ),
        (
            "main.serve",
            "/srv/services",
            Some("/home/me/services/main.go"),
            Owner::User,
        ),
        (
            "operator new(unsigned long)",
            "/usr/lib/x86_64-linux-gnu/libstdc++.so.6.0.30",
            None,
            Owner::System,
        ),
        ("", "", None, Owner::Unknown),
        ("", "/opt/lib/libplugin.so", None, Owner::User),
    ];

    #[test]
    fn the_path_tells_whose_a_frame_is() {
        for (symbol, module, file, owner) in CASES {
            let frame = frame(symbol, module, file.map(|file| (file, 7)), false);
            assert_eq!(owner_of(&frame), *owner, "{frame:?}");
        }
    }

    #[test]
    fn where_no_frame_is_the_users_those_of_the_program_stand_out() {
        let libc = frame("open", "/usr/lib/libc.so.6", None, false);
        let nginx = frame("accept", "/usr/sbin/nginx", None, false);
        let own = frame("plugin", "/srv/plugin.so", None, false);
        assert_eq!(stands_out(&[libc.clone(), nginx.clone()]), [false, true]);
        assert_eq!(
            stands_out(&[libc.clone(), own, nginx]),
            [false, true, false]
        );
        assert_eq!(stands_out(&[libc]), [false]);
    }
}
