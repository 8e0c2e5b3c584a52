//! The proxy as a real process, against a control plane and an authority that the test owns: so that every endpoint can be
//! made to misbehave.
//!
//! `world` is the mesh around the proxies (`control` its controller), `sidecar` one process, `app` what stands behind one,
//! `peer` what pretends to be one, `call` the callers, `grpc` a service with all four kinds of calls, `forge` certificates
//! that no authority should have issued.

mod app;
mod call;
mod control;
mod forge;
mod grpc;
mod peer;
mod sidecar;
mod world;

mod drain;
mod expiry;
mod headers;
mod impostor;
mod names;
mod observe;
mod refusals;
mod retry;
mod retry_http2;
mod streams;
mod translate;
mod websocket;
