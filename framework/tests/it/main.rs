//! A service over real sockets on free ports.

#![cfg(test)]

mod calling;
mod errors;
mod grpc;
mod serving;
mod support;
