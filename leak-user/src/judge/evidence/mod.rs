//! What the rules look at: a round of judging and the sites in it, what was outstanding and
//! observed over time, and the numbers that growth is measured by. Nothing here decides.

pub(super) mod account;
pub(super) mod generated;
pub(super) mod joined;
pub(super) mod last_use;
pub(super) mod level;
pub(super) mod named;
pub(super) mod needed;
pub(super) mod observed;
pub(super) mod pattern;
pub(super) mod pool;
pub(super) mod refused;
pub(super) mod round;
pub(super) mod series;
pub(super) mod site;
pub(super) mod slope;
