//! What events do not tell, looked at between samples for a bounded share of the time.

mod descriptors;
mod full;
mod last_uses;
mod mappings;
mod pools;

use super::{code::Code, outlet::Outlet};
use crate::event::Failed;
use crate::kernel::Tracer;
use crate::proc::Proc;
use descriptors::DescriptorLooks;
use full::FullLooks;
use last_uses::LastUseLooks;
use mappings::MappingCounts;
use pools::PoolLooks;

/// All that look.
pub(super) struct Observers {
    descriptors: DescriptorLooks,
    last_uses: LastUseLooks,
    full: FullLooks,
    mappings: MappingCounts,
    pools: PoolLooks,
}

impl Observers {
    pub(super) fn new(proc: &Proc) -> Observers {
        Observers {
            descriptors: DescriptorLooks::new(proc),
            last_uses: LastUseLooks::new(proc),
            full: FullLooks::new(proc),
            mappings: MappingCounts::new(proc),
            pools: PoolLooks::new(proc),
        }
    }

    /// Looks at what is there when the trace begins.
    pub(super) fn start(&mut self, outlet: &mut Outlet) {
        self.full.look(outlet);
    }

    /// Looks at a process that was refused something.
    pub(super) fn refused(&mut self, failed: &Failed, outlet: &mut Outlet) {
        self.full.refused(failed, outlet);
    }

    /// Processes that were full, of which it was not told because there were too many.
    pub(super) fn full_untold(&self) -> u64 {
        self.full.untold()
    }

    /// Looks at what is due before a sample.
    pub(super) fn sample(&mut self, tracer: &mut Tracer, code: &mut Code, outlet: &mut Outlet) {
        self.descriptors.look(tracer, code, outlet);
        self.last_uses.look(tracer, outlet);
        self.pools.look(tracer, code, outlet);
        self.mappings.count(outlet);
    }

    /// Looks at the descriptors once more, for the report.
    pub(super) fn finish(&mut self, tracer: &mut Tracer, code: &mut Code, outlet: &mut Outlet) {
        self.descriptors.hurry();
        self.descriptors.look(tracer, code, outlet);
        self.last_uses.hurry();
        self.last_uses.look(tracer, outlet);
        self.pools.hurry();
        self.pools.look(tracer, code, outlet);
        self.full.look(outlet);
    }
}
