//! Patterns over the frames of a stack, as hints and suppressions are written with.
//!
//! A frame pattern is `FUNCTION` or `FUNCTION in PLACE`. Both are globs, where `*` is any
//! text, and `|` separates alternatives; everything else is literal. `PLACE` is a module
//! or a source file: the whole path where it has a `/`, else the path's last part.
//!
//! Names come from traced processes, and patterns from files of other people. So a match never goes back in the text,
//! and takes time in proportion to the lengths of both.

mod glob;
#[cfg(test)]
mod tests;

use serde::Deserialize;

pub use glob::Glob;

use crate::model::report::Frame;

/// Most bytes of a pattern.
pub const MAX_PATTERN: usize = 1024;

/// Most patterns in a sequence.
pub const MAX_FRAMES: usize = 32;

/// What a frame looks like.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(try_from = "String")]
pub struct FramePattern {
    function: Glob,
    place: Option<Glob>,
}

impl FramePattern {
    /// Reads a pattern.
    ///
    /// # Errors
    /// Where it is empty, too long, or one of its parts is.
    pub fn parse(text: &str) -> Result<FramePattern, String> {
        let (function, place) = match text.rsplit_once(" in ") {
            Some((function, place)) => (function, Some(Glob::parse(place)?)),
            None => (text, None),
        };
        Ok(FramePattern {
            function: Glob::parse(function)?,
            place,
        })
    }

    /// Whether a frame looks like this. A frame without a name has an empty function.
    #[must_use]
    pub fn matches(&self, frame: &Frame) -> bool {
        self.function.matches(&frame.symbol)
            && self.place.as_ref().is_none_or(|place| {
                let file = frame.file.as_deref().unwrap_or_default();
                place.matches_path(&frame.module) || place.matches_path(file)
            })
    }

    /// Characters that a match has to have, at least: more of them say more.
    #[must_use]
    pub fn literals(&self) -> usize {
        self.function.literals() + self.place.as_ref().map_or(0, Glob::literals)
    }
}

impl TryFrom<String> for FramePattern {
    type Error = String;

    fn try_from(text: String) -> Result<Self, Self::Error> {
        FramePattern::parse(&text)
    }
}

/// Frame patterns that have to be found on a stack in this order, innermost first,
/// with any frames before, between and after them.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(try_from = "Vec<FramePattern>")]
pub struct FramePatterns(Vec<FramePattern>);

impl FramePatterns {
    /// Whether a stack has them. None at all are on every stack.
    #[must_use]
    pub fn matches(&self, stack: &[Frame]) -> bool {
        let mut frames = stack.iter();
        // The first frame that fits leaves the most for the patterns after it.
        self.0
            .iter()
            .all(|pattern| frames.any(|frame| pattern.matches(frame)))
    }

    /// Whether a frame is as the outermost pattern says.
    #[cfg(test)]
    pub(crate) fn last_is(&self, frame: &Frame) -> bool {
        self.0.last().is_some_and(|last| last.matches(frame))
    }

    #[must_use]
    pub fn len(&self) -> usize {
        self.0.len()
    }

    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Characters that a match has to have, at least.
    #[must_use]
    pub fn literals(&self) -> usize {
        self.0.iter().map(FramePattern::literals).sum()
    }
}

impl TryFrom<Vec<FramePattern>> for FramePatterns {
    type Error = String;

    fn try_from(patterns: Vec<FramePattern>) -> Result<Self, Self::Error> {
        if patterns.len() > MAX_FRAMES {
            return Err(format!(
                "{} frame patterns: at most {MAX_FRAMES} are possible",
                patterns.len()
            ));
        }
        Ok(FramePatterns(patterns))
    }
}

/// The line of a byte in a file's text, counted from 1.
pub(crate) fn line_at(text: &str, byte: usize) -> usize {
    let before = text.as_bytes().iter().take(byte);
    1 + before.filter(|&&byte| byte == b'\n').count()
}
