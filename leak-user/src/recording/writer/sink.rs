//! What the writing thread does with inputs: into a file, or into the past.

use std::{io, path::PathBuf, time::Instant};

use super::{
    Options, PartLimit, Summary,
    files::{Files, Opened, shown},
    io_only,
    past::Past,
};
use crate::{
    analysis::{Beginning, Input},
    model::facts::Facts,
    recording::format::{Chain, Writer},
};

/// Where inputs go.
enum Target {
    File(Box<Writer<Opened>>),
    Past(Box<Past>),
    /// Nothing is written any more.
    Over,
}

pub(super) struct Sink {
    options: Options,
    files: Files,
    target: Target,
    /// When the part began.
    began: Instant,
    parts: u32,
    records: u64,
    /// Inputs that are too long for a record.
    too_long: u64,
    /// Bytes of the parts before.
    bytes: u64,
    path: Option<PathBuf>,
    chain: Option<Chain>,
    error: Option<String>,
}

impl Sink {
    pub(super) fn begin(
        options: Options,
        files: Files,
        beginning: &Beginning,
    ) -> anyhow::Result<Sink> {
        let mut files = files;
        let mut path = None;
        let target = match options.past {
            Some(limit) => {
                files.check()?;
                Target::Past(Box::new(Past::new(limit, beginning)?))
            }
            None => {
                let opened = files.open(0)?;
                path = Some(opened.path.clone());
                Target::File(Box::new(Writer::new(opened, beginning)?))
            }
        };
        Ok(Sink {
            options,
            files,
            target,
            began: Instant::now(),
            parts: 1,
            records: 0,
            too_long: 0,
            bytes: 0,
            path,
            chain: None,
            error: None,
        })
    }

    pub(super) fn inputs(&mut self, inputs: &[Input]) -> io::Result<()> {
        for input in inputs {
            self.input(input)?;
            self.records += 1;
        }
        Ok(())
    }

    /// Inputs that were too long for a record so far.
    pub(super) fn too_long(&self) -> u64 {
        self.too_long
    }

    /// Writes an input, or [`Input::Lost`] in the place of one that is too long.
    fn input(&mut self, input: &Input) -> io::Result<()> {
        if !self.put(input)? {
            self.too_long += 1;
            self.put(&Input::Lost(None))?;
        }
        Ok(())
    }

    fn put(&mut self, input: &Input) -> io::Result<bool> {
        let redacted;
        let input = match input {
            Input::Facts(process, facts) if self.options.redact => {
                redacted = Input::Facts(*process, without_arguments(facts));
                &redacted
            }
            input => input,
        };
        match &mut self.target {
            Target::File(writer) => io_only(writer.input(input)),
            Target::Past(past) => io_only(past.input(input)),
            Target::Over => Ok(true),
        }
    }

    pub(super) fn flush(&mut self) -> io::Result<()> {
        match &mut self.target {
            Target::File(writer) => io_only(writer.flush_segment()).map(drop),
            Target::Past(past) => {
                past.flush();
                Ok(())
            }
            Target::Over => Ok(()),
        }
    }

    /// How many parts were begun.
    pub(super) fn parts(&self) -> u32 {
        self.parts
    }

    /// Begins another part.
    pub(super) fn part(&mut self, beginning: &Beginning, state: &[Input]) -> io::Result<()> {
        self.began = Instant::now();
        self.parts += 1;
        match &mut self.target {
            Target::Past(past) => {
                past.begin_part(beginning);
                for input in state {
                    self.input(input)?;
                }
                if let Target::Past(past) = &mut self.target {
                    past.end_state();
                }
                Ok(())
            }
            Target::Over => Ok(()),
            Target::File(_) => {
                // The new file first: where it cannot be made the old one goes on.
                let opened = self.files.open(beginning.part).map_err(io::Error::other)?;
                self.end_file()?;
                self.write_to(opened, beginning)?;
                for input in state {
                    self.input(input)?;
                }
                self.flush()
            }
        }
    }

    fn write_to(&mut self, opened: Opened, beginning: &Beginning) -> io::Result<()> {
        self.path = Some(opened.path.clone());
        let writer = Writer::new(opened, beginning).map_err(io::Error::other)?;
        self.target = Target::File(Box::new(writer));
        Ok(())
    }

    fn end_file(&mut self) -> io::Result<()> {
        if let Target::File(writer) = std::mem::replace(&mut self.target, Target::Over) {
            let (_, finished) = writer.finish().map_err(io::Error::other)?;
            self.bytes += finished.bytes;
            self.chain = Some(finished.chain);
        }
        Ok(())
    }

    /// Writes the past to a file; what follows goes there too.
    pub(super) fn fire(&mut self) -> io::Result<()> {
        let past = match std::mem::replace(&mut self.target, Target::Over) {
            Target::Past(past) => past,
            other => {
                self.target = other;
                return Ok(());
            }
        };
        let Some(beginning) = past.beginning().cloned() else {
            return Ok(());
        };
        let opened = self.files.open(0).map_err(io::Error::other)?;
        self.write_to(opened, &beginning)?;
        match &mut self.target {
            Target::File(writer) => io_only(past.write(writer)).map(drop),
            Target::Past(_) | Target::Over => Ok(()),
        }
    }

    /// Takes note that writing failed. What was written stays, but for the frame that was
    /// cut off.
    pub(super) fn fail(&mut self, error: &io::Error) {
        let kept = match std::mem::replace(&mut self.target, Target::Over) {
            Target::File(writer) => {
                let sound = writer.bytes();
                self.bytes += sound;
                let opened = writer.get_ref();
                if opened.is_regular
                    && let Err(error) = opened.file.set_len(sound)
                {
                    tracing::warn!("cannot cut {}: {error}", shown(&opened.path));
                }
                format!("; its first {sound} bytes are kept and can be read")
            }
            Target::Past(_) | Target::Over => String::from("; what was written before is kept"),
        };
        let path = self
            .path
            .clone()
            .unwrap_or_else(|| self.options.path.clone());
        if self.error.is_none() {
            self.error = Some(format!(
                "the recording ended early: cannot write {}: {error}{kept}",
                shown(&path)
            ));
        }
    }

    /// Bytes written, or kept in memory.
    pub(super) fn bytes(&self) -> u64 {
        match &self.target {
            Target::File(writer) => self.bytes + writer.bytes(),
            Target::Past(past) => past.bytes(),
            Target::Over => self.bytes,
        }
    }

    /// Whether the recording has its size. Some room is left for what is written at its
    /// end.
    pub(super) fn is_full(&self) -> bool {
        let reserve = |size: u64| size - (size / 8).min(4 << 20);
        matches!(self.target, Target::File(_))
            && self
                .options
                .max_size
                .is_some_and(|size| self.bytes() >= reserve(size))
    }

    pub(super) fn wants_part(&self) -> bool {
        match (&self.target, self.options.rotate) {
            (Target::Past(past), _) => past.wants_part(),
            (Target::File(writer), Some(PartLimit::Bytes(bytes))) => writer.bytes() >= bytes,
            (Target::File(_), Some(PartLimit::Age(age))) => self.began.elapsed() >= age,
            (Target::File(_), None) | (Target::Over, _) => false,
        }
    }

    pub(super) fn finish(mut self) -> Summary {
        let is_full = self.is_full();
        if let Err(error) = self.end_file() {
            self.fail(&error);
        }
        Summary {
            files: self.files.made(),
            records: self.records,
            lost: self.too_long,
            bytes: self.bytes,
            chain: self.chain,
            is_full,
            error: self.error,
        }
    }
}

/// What `--redact` leaves of a process: all but its command line. No other input has
/// one.
fn without_arguments(facts: &Facts) -> Box<Facts> {
    Box::new(Facts {
        cmdline: Vec::new(),
        ..facts.clone()
    })
}
