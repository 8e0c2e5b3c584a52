//! The whole system, as a user runs it: `samspill up`, real processes, real sockets, no mock.
//!
//! One file per scenario. `mesh` starts and asks a mesh, `web` speaks HTTP to it, `load` books parcels until told to stop,
//! `ledger` reads what the services have stored.

#![cfg(test)]
#![expect(
    clippy::disallowed_methods,
    reason = "the world outside of the mesh: real time, real sockets, the environment"
)]

mod ledger;
mod load;
mod mesh;
mod web;

mod booking;
mod guides;
mod identity;
mod kill;
mod lecture;
mod proxy;
mod scale;
mod swap;
mod trace;
mod watch;

#[cfg(feature = "peers")]
mod peers;
