//! A service over real sockets on free ports.

#![cfg(test)]

mod calling;
mod errors;
mod greeter;
mod grpc;
mod repeats;
mod serving;
mod sockets;
mod streaming;
mod support;
