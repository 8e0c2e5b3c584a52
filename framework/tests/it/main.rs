//! A service over real sockets on free ports.

#![cfg(test)]

mod calling;
mod contract;
mod errors;
mod greeter;
mod grpc;
mod serving;
mod support;
