//! A contract over real sockets, from both of its ends, and what is written about it.

mod calling;
mod conformance;
mod documents;
mod mistakes;
mod parcels;
mod wire;
