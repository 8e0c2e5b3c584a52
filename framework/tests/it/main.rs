//! A service over real sockets on free ports, and services without sockets in a `TestMesh`.

#![cfg(test)]

mod attribute;
mod bad_input;
mod calling;
mod cancelling;
mod contract;
mod deadlines;
mod errors;
mod faults;
mod functions;
mod greeter;
mod grpc;
mod mesh;
mod principal;
mod repeats;
mod serving;
mod sockets;
mod streaming;
mod support;
