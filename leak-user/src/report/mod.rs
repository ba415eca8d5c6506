//! (module)
pub mod model;
