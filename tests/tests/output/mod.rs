//! Where reports and events go, and each of their formats.

mod events;
mod formats;
mod page;
