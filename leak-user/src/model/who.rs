//! Who it is: how a person knows a process. All text in it is untrusted.

use super::{frames::owner::runtime_named, report::Process};

/// Options of interpreters that name what they run, in place of a script.
const RUNS: [&str; 3] = ["-m", "-jar", "--module"];

/// Options of interpreters that have a value in the next argument.
const WITH_VALUE: [&str; 9] = [
    "-cp",
    "-classpath",
    "--class-path",
    "-W",
    "-X",
    "-r",
    "--require",
    "--import",
    "-I",
];

/// The systemd unit in the path of a control group: the innermost service. Sessions of users, and scopes, which
/// container runtimes name by ids, are none.
#[must_use]
pub fn unit(cgroup: &str) -> Option<&str> {
    let services = |segment: &&str| segment.ends_with(".service") && !segment.starts_with("user@");
    cgroup.rsplit('/').find(services)
}

/// The command line as a person would type it: without the program's directory, and of an interpreter without options
/// before the script. The name where the command line is not known.
#[must_use]
pub fn command(process: &Process) -> String {
    let Some((program, arguments)) = process.cmdline.split_first() else {
        return process.comm.clone();
    };
    // Some programs write what they do in the place of their arguments: `nginx: worker process`.
    if arguments.is_empty() && program.contains(": ") {
        return program.trim().to_owned();
    }
    let program = base(program);
    if program.is_empty() {
        return process.comm.clone();
    }
    let mut words = vec![program];
    match runtime_named(program) {
        Some(_) => words.extend(script(arguments)),
        None => words.extend(arguments.iter().map(String::as_str)),
    }
    words.join(" ").trim().to_owned()
}

/// Of the arguments of an interpreter: what it runs, and what that is given.
fn script(arguments: &[String]) -> Vec<&str> {
    let mut at = 0;
    while let Some(argument) = arguments.get(at) {
        if RUNS.contains(&argument.as_str()) {
            return arguments[at..].iter().map(String::as_str).collect();
        }
        if !argument.starts_with('-') {
            let rest = arguments[at + 1..].iter().map(String::as_str);
            return [base(argument)].into_iter().chain(rest).collect();
        }
        // Code on the command line is no name for a program.
        if matches!(argument.as_str(), "-c" | "-e" | "-") {
            return vec![argument];
        }
        at += if WITH_VALUE.contains(&argument.as_str()) {
            2
        } else {
            1
        };
    }
    Vec::new()
}

fn base(path: &str) -> &str {
    path.rsplit('/').next().unwrap_or(path)
}

/// Where it belongs, as `web.service` or `container 3f4e8c1b9a7d`; `None` of a process that nobody manages.
#[must_use]
pub fn home(process: &Process) -> Option<String> {
    match (&process.container_id, &process.unit) {
        // Of the ids of containers, tools show the first twelve digits.
        (Some(id), _) => {
            let short: String = id.chars().take(12).collect();
            Some(format!("container {short}"))
        }
        (None, Some(unit)) => Some(unit.clone()),
        (None, None) => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn named(cmdline: &[&str]) -> String {
        command(&Process {
            comm: "comm".to_owned(),
            cmdline: cmdline.iter().map(|word| (*word).to_owned()).collect(),
            ..Process::default()
        })
    }

    #[test]
    fn a_command_is_told_as_one_would_type_it() {
        for (cmdline, expected) in [
            (
                &[
                    "/usr/bin/python3",
                    "-u",
                    "-W",
                    "ignore",
                    "/srv/app/app.py",
                    "--port",
                    "8",
                ][..],
                "python3 app.py --port 8",
            ),
            (
                &["python3.11", "-m", "http.server"],
                "python3.11 -m http.server",
            ),
            (
                &[
                    "/usr/bin/java",
                    "-Xmx1g",
                    "-cp",
                    "/a:/b",
                    "com.shop.Main",
                    "x",
                ],
                "java com.shop.Main x",
            ),
            (&["python3", "-c", "import os; os.open('/x')"], "python3 -c"),
            (
                &["/usr/sbin/haproxy", "-f", "/etc/haproxy.cfg"],
                "haproxy -f /etc/haproxy.cfg",
            ),
            (&["nginx: worker process"], "nginx: worker process"),
            (&["/"], "comm"),
            (&[], "comm"),
        ] {
            assert_eq!(named(cmdline), expected);
        }
    }

    #[test]
    fn services_are_named_and_sessions_are_not() {
        assert_eq!(unit("/system.slice/web.service"), Some("web.service"));
        assert_eq!(
            unit("/system.slice/web.service/worker"),
            Some("web.service")
        );
        assert_eq!(
            unit("/user.slice/user-1.slice/user@1.service/app.slice/x.service"),
            Some("x.service")
        );
        assert_eq!(
            unit("/user.slice/user-1000.slice/user@1000.service/init.scope"),
            None
        );
        assert_eq!(unit("/user.slice/user-0.slice/session-2.scope"), None);
        assert_eq!(unit(""), None);
    }
}
