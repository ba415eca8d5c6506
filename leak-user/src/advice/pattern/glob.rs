//! Globs whose only wildcard is `*`: what is between two of them is looked for once,
//! from left to right, and the first place is the right one.

use serde::Deserialize;

use super::MAX_PATTERN;

/// A glob: `*` is any text, `|` separates alternatives, all else is literal.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(try_from = "String")]
pub struct Glob {
    alternatives: Vec<Alternative>,
    has_slash: bool,
}

/// The literal texts around the stars: one more than there are stars.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Alternative(Vec<String>);

impl Glob {
    /// Reads a glob.
    ///
    /// # Errors
    /// Where it or one of its alternatives is empty, or it is longer than
    /// [`MAX_PATTERN`] bytes.
    pub fn parse(text: &str) -> Result<Glob, String> {
        if text.len() > MAX_PATTERN {
            return Err(format!(
                "a pattern of {} bytes: at most {MAX_PATTERN} are possible",
                text.len()
            ));
        }
        let alternatives = text.split('|').map(str::trim);
        if alternatives.clone().any(str::is_empty) {
            return Err(format!("the pattern {text:?} has an empty part: use *"));
        }
        Ok(Glob {
            alternatives: alternatives.map(Alternative::of).collect(),
            has_slash: text.contains('/'),
        })
    }

    /// Whether all of a text is as one of the alternatives says.
    #[must_use]
    pub fn matches(&self, text: &str) -> bool {
        self.alternatives.iter().any(|one| one.matches(text))
    }

    /// The same for a path, or where the glob has no `/`, for its last part.
    #[must_use]
    pub fn matches_path(&self, path: &str) -> bool {
        if self.has_slash {
            return self.matches(path);
        }
        let name = path.rsplit('/').next().unwrap_or_default();
        !name.is_empty() && self.matches(name)
    }

    /// Literal characters of the alternative that has the fewest.
    #[must_use]
    pub fn literals(&self) -> usize {
        let lengths = self.alternatives.iter().map(Alternative::literals);
        lengths.min().unwrap_or(0)
    }
}

impl TryFrom<String> for Glob {
    type Error = String;

    fn try_from(text: String) -> Result<Self, Self::Error> {
        Glob::parse(&text)
    }
}

impl Alternative {
    fn of(text: &str) -> Alternative {
        let mut parts: Vec<String> = text.split('*').map(str::to_owned).collect();
        // Stars side by side are one.
        let last = parts.len() - 1;
        let mut index = 0;
        parts.retain(|part| {
            index += 1;
            index == 1 || index > last || !part.is_empty()
        });
        Alternative(parts)
    }

    fn matches(&self, text: &str) -> bool {
        let Some((first, later)) = self.0.split_first() else {
            return false;
        };
        let Some((last, between)) = later.split_last() else {
            return text == first;
        };
        let Some(rest) = text.strip_prefix(first.as_str()) else {
            return false;
        };
        let Some(mut rest) = rest.strip_suffix(last.as_str()) else {
            return false;
        };
        for part in between {
            let Some(at) = rest.find(part.as_str()) else {
                return false;
            };
            rest = &rest[at + part.len()..];
        }
        true
    }

    fn literals(&self) -> usize {
        self.0.iter().map(|part| part.chars().count()).sum()
    }
}
