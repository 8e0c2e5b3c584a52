//! A real runtime with real children. The test plays the controller; the apps are small shell and Python programs.

#![expect(clippy::unwrap_used, reason = "a test's helpers fail the test")]

mod mesh;

mod restart;

mod killed;

mod probes;

mod stop;

mod link;

mod sockets;

mod api;
