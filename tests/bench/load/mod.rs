//! The generators: raw protocol, prebuilt frames, blocking sockets.

pub mod board;
pub mod classic_member;
pub mod closed_produce;
pub mod commits;
pub mod consumer_members;
pub mod fetch;
pub mod open_produce;
pub mod swarm;
