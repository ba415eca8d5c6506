//! What is shown of an address: a frame, and those of functions inlined there.

use super::{
    call_site::Role,
    modules::{ModuleId, Modules},
    perf_map::PerfMap,
    seen_mapping::{Backing, SeenMapping},
    symbols::Name,
};
use crate::model::{hex::Hex, report::Frame};

/// An address within the call that returns to `address`.
pub(super) fn before(address: u64) -> u64 {
    address.saturating_sub(1)
}

/// A frame with nothing but its address.
pub(super) fn bare(address: u64) -> Frame {
    Frame {
        address: Hex(address),
        ..Frame::default()
    }
}

/// What is found at one address.
pub(super) struct Found {
    pub(super) frames: Vec<Frame>,
    pub(super) returns_from_signal: bool,
}

/// The frames at an address of a mapping.
pub(super) fn named(
    modules: &mut Modules,
    mapping: &SeenMapping,
    perf_map: Option<&PerfMap>,
    address: u64,
    role: Role,
) -> Found {
    let generated = || {
        let instruction = match role {
            Role::Interrupted => address,
            Role::Innermost | Role::Caller => before(address),
        };
        let name = mapping
            .may_be_generated()
            .then(|| perf_map?.name(instruction));
        name.flatten().unwrap_or_default().to_owned()
    };
    let (module, path) = match &mapping.backing {
        Backing::File { module, path } => (module, path),
        Backing::Kernel { module, name } => (module, name),
        Backing::Unknown => return Found::one(bare(address)),
        Backing::Anonymous => {
            return Found::one(Frame {
                symbol: generated(),
                ..bare(address)
            });
        }
    };
    let offset = mapping.file_offset(address);
    let frame = Frame {
        module: path.to_string(),
        module_offset: Some(Hex(offset)),
        symbol: generated(),
        ..bare(address)
    };
    match (module, frame.symbol.as_str()) {
        (Some(module), "") => in_module(modules, *module, offset, role, frame),
        _ => Found::one(frame),
    }
}

impl Found {
    fn one(frame: Frame) -> Found {
        Found {
            frames: vec![frame],
            returns_from_signal: false,
        }
    }
}

fn in_module(
    modules: &mut Modules,
    module: ModuleId,
    offset: u64,
    role: Role,
    frame: Frame,
) -> Found {
    let found = modules.names(module, offset, role);
    let frame = Frame {
        build_id: found.build_id.map(|id| id.to_string()),
        ..frame
    };
    let with_name = |name: &Name| Frame {
        symbol: name.symbol.clone(),
        file: name.file.clone(),
        line: name.line,
        inlined: name.inlined,
        ..frame.clone()
    };
    Found {
        frames: match found.names.is_empty() {
            true => vec![frame],
            false => found.names.iter().map(with_name).collect(),
        },
        returns_from_signal: found.returns_from_signal,
    }
}
