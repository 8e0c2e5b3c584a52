//! The window of recent traces that `samspill up` keeps: receiver, store, forwarder, and how a trace is drawn.
//!
//! It is not a tracing back end: it lives in memory, forgets the oldest first and answers no query but "this trace".
//! Whoever wants more runs Jaeger, to which the receiver passes everything on.
//!
//! Reading order: [`Trace`] (what is shown), [`Store`] (what is kept), [`receive()`] (where it comes from),
//! [`waterfall()`] (how it looks in a terminal).

mod trace;

mod store;

mod forward;

mod receive;

mod waterfall;

pub use receive::{ReceiveError, receive};
pub use store::Store;
pub use trace::{Link, Span, Summary, Trace};
pub use waterfall::waterfall;
