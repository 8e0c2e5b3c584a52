//! The seam to the outside world: sockets, clock, tasks, and what the first bytes of a peer may look like.
//!
//! Nothing else in the workspace opens a TCP socket, asks for the time of day or spawns a task, so that each can be
//! observed, limited and replaced in one place. What is said over a connection is not decided here.

pub mod clock;
pub mod connect;
pub mod drain;
pub mod gate;
pub mod inherited;
mod listener;
mod quiet;
pub mod task;

pub use listener::{Listener, UnixListener};
pub use quiet::Quiet;
