//! What tells sites apart.

/// A site's identity: hash of process, kind and frames. 0 is the unknown site.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct SiteId(pub u64);

impl SiteId {
    /// The site of resources whose acquisition was not seen.
    pub const UNKNOWN: SiteId = SiteId(0);
}
