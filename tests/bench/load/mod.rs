//! The generators: raw protocol, prebuilt frames, blocking sockets.

pub mod closed_produce;
pub mod fetch;
pub mod open_produce;
pub mod swarm;
