//! A service over real sockets on free ports.

#![cfg(test)]

mod bad_input;
mod calling;
mod cancelling;
mod deadlines;
mod errors;
mod greeter;
mod grpc;
mod principal;
mod serving;
mod support;
