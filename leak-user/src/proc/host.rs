//! What a report says about the host.

use super::{Proc, read_text};
use crate::model::report::Host;

impl Proc {
    /// Name, kernel and boot of this host; fields that cannot be read are empty.
    #[must_use]
    pub fn host_facts(&self) -> Host {
        let read = |name: &str| {
            let text = read_text(&self.root.join("sys/kernel").join(name), 4096);
            text.unwrap_or_default().trim_end().to_owned()
        };
        Host {
            hostname: read("hostname"),
            kernel: read("osrelease"),
            arch: std::env::consts::ARCH.to_owned(),
            boot_id: read("random/boot_id"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_host_has_a_name_and_a_boot() {
        let host = Proc::default().host_facts();
        assert!(!host.hostname.is_empty() && !host.kernel.is_empty());
        assert_eq!(host.boot_id.len(), 36);
        let nowhere = Proc::new("/nonexistent").host_facts();
        assert_eq!(nowhere.hostname, "");
    }
}
