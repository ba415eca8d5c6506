//! Borders between the rooms of leak-user: which room may import which, and what of the outside each must not touch.
//! The table is in [`rooms`]; here the sources are held against it.

mod module;
mod reader;
mod rooms;
mod sources;

use std::collections::BTreeSet;
use std::fmt;
use std::fs;
use std::path::Path;

use anyhow::{Result, bail};

use self::module::{Mention, Module};
use self::rooms::{Ban, ROOMS, Room};
use self::sources::{Sources, Target};
use crate::workspace;

/// Where the rooms are, in the checkout.
const CRATE: &str = "leak-user/src";

/// Something that the table does not allow.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Breach {
    file: String,
    line: usize,
    text: String,
}

impl fmt::Display for Breach {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}: {}", self.file, self.line, self.text)
    }
}

/// Holds the sources of leak-user against the table.
pub(super) fn check() -> Result<()> {
    let directory = workspace::root().join(CRATE);
    let read = |file: &str| fs::read_to_string(directory.join(Path::new(file))).ok();
    let sources = Sources::read(&["lib.rs", "main.rs"], &read)?;
    let problems = problems(&sources, ROOMS);
    if problems.is_empty() {
        return Ok(());
    }
    for problem in &problems {
        eprintln!("{CRATE}/{problem}");
    }
    bail!(
        "{} breaches of borders between rooms; which room may import what: xtask/src/lint/borders/rooms.rs",
        problems.len()
    );
}

/// What the table does not allow.
fn problems(sources: &Sources, rooms: &[Room]) -> Vec<String> {
    let mut breaches = BTreeSet::new();
    for module in sources.modules() {
        let Some(room) = room_of(rooms, &module.path) else {
            breaches.insert(Breach {
                file: module.file.clone(),
                line: 1,
                text: "this module is in no room: add it to xtask/src/lint/borders/rooms.rs"
                    .to_owned(),
            });
            continue;
        };
        for mention in &module.mentions {
            let Some(breach) = breach_of(sources, rooms, room, module, mention) else {
                continue;
            };
            breaches.insert(Breach {
                file: module.file.clone(),
                line: mention.line,
                text: format!(
                    "room `{}` must not import `{}`: {}",
                    room.name, breach.path, breach.why
                ),
            });
        }
    }
    breaches.iter().map(Breach::to_string).collect()
}

/// A path that a room must not mention.
#[derive(Debug)]
struct Forbidden {
    path: String,
    why: String,
}

fn breach_of(
    sources: &Sources,
    rooms: &[Room],
    room: &Room,
    module: &Module,
    mention: &Mention,
) -> Option<Forbidden> {
    // One breach is reported where the name is brought in, not wherever it is used.
    if let Some(target) = sources.brought_in(module, mention)
        && forbidden(rooms, room, &target, false).is_some()
    {
        return None;
    }
    forbidden(
        rooms,
        room,
        &sources.target(module, mention),
        mention.is_glob,
    )
}

fn forbidden(rooms: &[Room], room: &Room, target: &Target, is_glob: bool) -> Option<Forbidden> {
    match target {
        Target::Ours(path) => {
            let other = room_of(rooms, path)?;
            if other.name == room.name || room.imports.contains(&other.name) {
                return None;
            }
            let why = format!("{}; {}", room.why, imports_of(room));
            Some(Forbidden {
                path: format!("crate::{}", path.join("::")),
                why,
            })
        }
        Target::Outside(path) => {
            let path = path.join("::");
            let ban = room.bans.iter().find(|ban| bans(ban, &path, is_glob))?;
            Some(Forbidden {
                path: if is_glob { path + "::*" } else { path },
                why: ban.why.to_owned(),
            })
        }
    }
}

fn imports_of(room: &Room) -> String {
    match room.imports {
        [] => "it imports no other room".to_owned(),
        imports => format!("it imports only {}", imports.join(", ")),
    }
}

fn bans(ban: &Ban, path: &str, is_glob: bool) -> bool {
    ban.paths.iter().any(|banned| {
        // `std::*` brings in `std::fs`.
        begins_with(path, banned) || (is_glob && begins_with(banned, path))
    })
}

/// Whether `path` is `beginning` or below it; the last name of `beginning` may end with a star.
fn begins_with(path: &str, beginning: &str) -> bool {
    if let Some(open) = beginning.strip_suffix('*') {
        return path.starts_with(open);
    }
    path.strip_prefix(beginning)
        .is_some_and(|rest| rest.is_empty() || rest.starts_with("::"))
}

/// The room of a module: the longest name that its path begins with.
fn room_of<'a>(rooms: &'a [Room], path: &[String]) -> Option<&'a Room> {
    let path = if path.is_empty() {
        "lib".to_owned()
    } else {
        path.join("/")
    };
    rooms
        .iter()
        .filter(|room| {
            path.strip_prefix(room.name)
                .is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
        })
        .max_by_key(|room| room.name.len())
}

#[cfg(test)]
mod tests;
