//! Stacks for people: whose a frame is ([`owner`]), which frames are folded away ([`fold`]), and the one or two frames
//! that say where a resource is acquired ([`place`]).

pub mod fold;
pub mod owner;
pub mod place;
