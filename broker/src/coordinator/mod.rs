//! Coordinators: who is in which group, and how far groups have read.
//!
//! Knows the catalog, partitions and records; no socket, and no form of a request that only one version has.

pub mod group;
pub mod share;
