//! Runtimes that run functions without a native frame for each: interpreters.
//!
//! Each runtime has a folder here, with the same files in it: `detect` (whether a file has
//! it), `layout` (where it keeps its frames) and `names` (what its frames are called). It is
//! also a variant of [`Runtime`]: a new variant does not compile until every part is there.
//! What all of them share is beside the folders: `merge` puts a runtime's frames and native
//! ones into one stack, `budget` bounds what is read of a process for one name, `elf`
//! answers questions about a file. The frames themselves are walked by the programs, at the
//! moment of an acquisition.

mod budget;
mod elf;
mod merge;
pub mod python;

use std::sync::Arc;

use leak_common::unwind::PythonFrame;

use crate::model::report::Frame;

pub use merge::{NamedFrame, RuntimeStack, merge};

/// A runtime that was found in a file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Runtime {
    Python(python::Interpreter),
}

/// What a place in a runtime's code is called. Written by the traced process: untrusted.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Name {
    /// With the classes and functions around it, where the runtime tells them.
    pub function: String,
    /// As the code was compiled with: often no absolute path, or no path at all.
    pub file: String,
    pub line: Option<u32>,
}

impl Runtime {
    /// Finds a runtime in the bytes of an ELF file, if one is in it whose layout is known.
    #[must_use]
    pub fn detect(elf: &[u8]) -> Option<Runtime> {
        python::detect(elf).map(Runtime::Python)
    }

    /// What is shown as the module of its frames, like `python3.12`.
    #[must_use]
    pub fn name(&self) -> String {
        match self {
            Runtime::Python(interpreter) => {
                let (major, minor) = interpreter.version;
                format!("python{major}.{minor}")
            }
        }
    }

    /// Whether a native frame is one of the function that runs this runtime's code.
    #[must_use]
    pub fn runs_in(&self, native: &Frame) -> bool {
        match self {
            Runtime::Python(interpreter) => interpreter.runs_in(native),
        }
    }

    /// The frames of functions among the frames that were walked. Native code entered those
    /// with [`PythonFrame::ENTRY`].
    #[must_use]
    pub fn function_frames(&self, walked: &[PythonFrame]) -> Vec<PythonFrame> {
        match self {
            Runtime::Python(interpreter) => python::function_frames(&interpreter.layout, walked),
        }
    }
}

/// Names frames, and remembers what it read for the next frame of the same code.
#[derive(Debug, Default)]
pub struct Names {
    python: python::Names,
}

impl Names {
    /// Names the frames of functions of a process, from its memory. Reading it may take as
    /// long as the process likes (userfaultfd(2)).
    pub fn name(
        &mut self,
        pid: u32,
        runtime: &Arc<Runtime>,
        frames: &[PythonFrame],
    ) -> RuntimeStack {
        let named = frames.iter().map(|frame| NamedFrame {
            address: frame.code,
            entered: frame.place & PythonFrame::ENTRY != 0,
            name: match &**runtime {
                Runtime::Python(interpreter) => {
                    self.python.resolve(pid, &interpreter.names, *frame)
                }
            },
        });
        RuntimeStack {
            frames: named.collect(),
            runtime: Arc::clone(runtime),
        }
    }
}
