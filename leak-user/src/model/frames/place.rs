//! Where a resource is acquired, in one line: the user's line, and what it called.

use super::{
    super::report::Frame,
    owner::{Owner, owner_of, stands_out, v8_script},
};

/// The frames of a stack that say where. All of their text is untrusted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Place<'a> {
    /// The innermost frame that a person can change; the innermost one that has a name where there is none.
    pub own: &'a Frame,
    /// The outermost frame that a person can change and that is no start of a program, if it is another one.
    pub from: Option<&'a Frame>,
    /// The function that `own` called to acquire it, as `socket.create_connection`: the last one before the C library.
    /// Empty where `own` called the kernel or the C library itself and that has no name.
    pub via: &'a str,
}

/// Functions that programs start with: they say nothing about one of their places.
const STARTS: [&str; 5] = ["main", "<module>", "main.main", "{main}", "<main>"];

/// Where a stack says that it is; `None` of a stack without names.
#[must_use]
pub fn place(stack: &[Frame]) -> Option<Place<'_>> {
    let mine = stands_out(stack);
    let own = mine
        .iter()
        .position(|mine| *mine)
        .or_else(|| stack.iter().position(|frame| !frame.symbol.is_empty()))?;
    let from = (own + 1..stack.len())
        .rev()
        .find(|&at| mine[at] && !is_start(&stack[at]) && stack[at].symbol != stack[own].symbol);
    Some(Place {
        own: &stack[own],
        from: from.map(|at| &stack[at]),
        via: via(&stack[..own]),
    })
}

/// The function that was called: the outermost with a name, as what is called deeper serves it.
fn via(inner: &[Frame]) -> &str {
    let named = |frame: &&Frame| !frame.symbol.is_empty() && owner_of(frame) != Owner::Unknown;
    let is_library = |frame: &&Frame| match owner_of(frame) {
        Owner::Package | Owner::Program | Owner::User => true,
        // Native code of an interpreter says little: its scripts do.
        Owner::Runtime(_) => {
            frame.file.is_some() && !frame.module.starts_with('/') || !interpreted(inner)
        }
        Owner::System | Owner::Unknown => false,
    };
    let outermost = inner.iter().rev().filter(named).find(is_library);
    let found = outermost.or_else(|| inner.iter().rev().find(named));
    found.map_or("", |frame| without_arguments(function(frame)))
}

/// The name of a C++ function without the types of its arguments.
fn without_arguments(name: &str) -> &str {
    let is_cut =
        |end: &str| name.ends_with(end) && !name.contains("(anonymous") && !name.contains("(*");
    match name.split_once('(') {
        Some((start, _)) if !start.is_empty() && (is_cut(")") || is_cut("const")) => start,
        _ => name,
    }
}

/// Whether an interpreter runs in these frames.
fn interpreted(frames: &[Frame]) -> bool {
    frames.iter().any(|frame| {
        matches!(owner_of(frame), Owner::Runtime(name) if !matches!(name, "Rust" | "Go" | "C++" | "the standard library"))
    })
}

/// Whether it is a function that a program starts with.
#[must_use]
pub fn is_start(frame: &Frame) -> bool {
    let function = function(frame);
    STARTS.contains(&function) || function.ends_with("::main")
}

/// The function's name, without what V8 puts around it.
#[must_use]
pub fn function(frame: &Frame) -> &str {
    let symbol = frame.symbol.as_str();
    match v8_script(symbol) {
        Some(_) => {
            let name = symbol.rsplit_once(' ').map_or(symbol, |(name, _)| name);
            let name = name.split_once(':').map_or(name, |(_, name)| name);
            match name.trim_start_matches(['*', '~', '^', '+']) {
                "" => "(anonymous)",
                name => name,
            }
        }
        None => symbol,
    }
}

/// The source file and line of a frame; `None` where the file is not known.
#[must_use]
pub fn source(frame: &Frame) -> Option<(&str, Option<u32>)> {
    if let Some(file) = &frame.file {
        return Some((file, frame.line));
    }
    let script = v8_script(&frame.symbol)?;
    let mut parts = script.rsplitn(3, ':');
    let (column, line, path) = (parts.next()?, parts.next(), parts.next());
    match (line.and_then(|line| line.parse().ok()), path) {
        (Some(line), Some(path)) if column.bytes().all(|byte| byte.is_ascii_digit()) => {
            Some((path.trim_start_matches("file://"), Some(line)))
        }
        _ => Some((script, None)),
    }
}

/// A frame in one line: `app.py:10 ask_ledger`, `take_socket (server)`, `libx.so+0x1a2b`.
#[must_use]
pub fn line(frame: &Frame) -> String {
    let name = match function(frame) {
        "" => frame.name().into_owned(),
        name => name.to_owned(),
    };
    match (source(frame), frame.module_name()) {
        (Some((file, line)), _) => {
            let file = file.rsplit('/').next().unwrap_or(file);
            let line = line.map_or(String::new(), |line| format!(":{line}"));
            format!("{file}{line} {name}")
        }
        // A nameless frame has its module in the place of the name.
        (None, module) if !module.is_empty() && !frame.symbol.is_empty() => {
            format!("{name} ({module})")
        }
        (None, _) => name,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::sample::frame;

    fn told(stack: &[Frame]) -> String {
        let place = place(stack).expect("there are names");
        let from = place.from.map_or("-", |frame| function(frame));
        format!("{} via {} from {from}", function(place.own), place.via)
    }

    #[test]
    fn the_users_line_and_what_it_called_say_where() {
        let native = |name: &str| frame(name, "/opt/lib/libpython3.11.so.1.0", None, false);
        let script = |name: &str, file: &str| frame(name, "python3.11", Some((file, 3)), false);
        let libc = |name: &str| frame(name, "/usr/lib/libc.so.6", None, false);
        let python = [
            libc("__socket"),
            native("sock_initobj"),
            script("socket.__init__", "/opt/lib/python3.11/socket.py"),
            script("create_connection", "/opt/lib/python3.11/socket.py"),
            script("ask_ledger", "/srv/app.py"),
            script("handle", "/srv/app.py"),
            script("<module>", "/srv/app.py"),
            native("Py_RunMain"),
        ];
        assert_eq!(
            told(&python),
            "ask_ledger via create_connection from handle"
        );
        let c = [
            libc("__libc_open64"),
            frame("leak", "/srv/a", None, false),
            frame("main", "/srv/a", None, false),
            libc("__libc_start_main_impl"),
        ];
        assert_eq!(told(&c), "leak via __libc_open64 from -");
        let rust = [
            libc("__libc_open64"),
            frame("std::fs::File::open", "/srv/a", None, false),
            frame("a::leak", "/srv/a", None, false),
            frame("a::main", "/srv/a", None, false),
        ];
        assert_eq!(told(&rust), "a::leak via std::fs::File::open from -");
        let builtin = [
            libc("__libc_open64"),
            native("_io_FileIO___init__"),
            native("_io_open"),
            script("work", "/srv/app.py"),
        ];
        assert_eq!(told(&builtin), "work via _io_open from -");
    }

    #[test]
    fn types_of_arguments_do_not_belong_to_a_name() {
        assert_eq!(
            without_arguments("node::fs::Open(v8::FunctionCallbackInfo<v8::Value> const&)"),
            "node::fs::Open"
        );
        assert_eq!(without_arguments("a::b() const"), "a::b");
        for name in [
            "net.(*netFD).dial",
            "(anonymous)",
            "f",
            "(anonymous namespace)::f(int)",
        ] {
            assert_eq!(without_arguments(name), name);
        }
    }

    #[test]
    fn scripts_of_v8_have_a_line() {
        let frame = |symbol: &str| frame(symbol, "", None, false);
        let ask = frame("JS:*ask file:///srv/app.mjs:10:3");
        assert_eq!(
            (function(&ask), source(&ask)),
            ("ask", Some(("/srv/app.mjs", Some(10))))
        );
        let nameless = frame("LazyCompile:~ /srv/app.js:10:3");
        assert_eq!(function(&nameless), "(anonymous)");
        let other = frame("JS:~openSync node:fs");
        assert_eq!(source(&other), Some(("node:fs", None)));
        assert_eq!(source(&frame("plain")), None);
    }
}
