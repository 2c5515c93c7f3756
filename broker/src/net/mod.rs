//! The socket: accept, frame, answer in order, transmit.
//!
//! This layer knows bytes and order. What a request means is `api`'s business; of storage it
//! knows a [`FileSlice`](crate::storage::file_slice::FileSlice) to transmit, and nothing else.

mod budget;
mod connection;
mod listener;
mod transmit;

pub use budget::Budget;
pub use connection::Limits;
pub use listener::{Listener, bind};
