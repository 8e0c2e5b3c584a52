//! The local supervisor: the heart of `samspill up`.
//!
//! It owns the listening sockets, starts every process, probes it, restarts it and keeps its log. It holds no policy: what shall
//! run is said by the controller, which is one of its children, and what does run it tells the controller. On Kubernetes the
//! kubelet takes its place.
//!
//! Reading order: [`Runtime`] (the whole), `supervisor` (plan to processes), `instance` (one copy and its sidecar), `keeper`
//! (start, wait, back off, start again), `process` (one process), `link` (the controller), [`shim`] (what each child runs first).
//!
//! **Everything runs on one thread.** A child asks the kernel for SIGKILL when the *thread* that started it ends
//! (`PR_SET_PDEATHSIG`), so all are started by the main thread, inside a current-thread tokio runtime. What they have started
//! themselves is left to the [`guard`], a process that only waits for this one's end.

#![warn(missing_docs)]

mod runtime;

mod settings;

mod supervisor;

mod instance;

mod app;

mod proxy;

mod link;

mod keeper;

mod backoff;

mod probe;

mod process;

mod ticks;

mod logs;

mod sockets;

mod owner;

mod ask;

mod context;

pub mod api;

pub mod event;

pub mod shim;

pub mod guard;

pub mod state;

pub mod status;

pub use event::Event;
pub use link::HOPELESS;
pub use owner::port_owner;
pub use runtime::{GaveUp, Runtime, Shutdown, StartError};
pub use settings::Settings;
pub use status::Status;
