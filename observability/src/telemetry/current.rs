//! What this thread works on: the trace that its log lines name, and where spans of `tracing` begin.
//!
//! OpenTelemetry has a context of its own for that, at the price of an allocation and two thread-locals per request. It is
//! told only when somebody makes a span with `tracing`.

use std::cell::{Cell, RefCell};
use std::pin::Pin;
use std::task::{Context, Poll};

use opentelemetry::ContextGuard;
use opentelemetry::trace::TraceContextExt;
use pin_project_lite::pin_project;
use tracing::span::{Attributes, Id};
use tracing::{Event, Subscriber};
use tracing_subscriber::layer::{self, Layer};

use super::{Span, from_opentelemetry, log, to_opentelemetry};
use crate::context::TraceContext;

thread_local! {
    static PLACE: RefCell<Place> = const { RefCell::new(Place { trace: None, span: Span(None) }) };
    /// Holds what OpenTelemetry was told of that place.
    static TOLD: Cell<Option<ContextGuard>> = const { Cell::new(None) };
}

/// Where work is done.
#[derive(Clone, Debug, Default)]
pub(super) struct Place {
    /// Known also where no span is made.
    pub(super) trace: Option<TraceContext>,
    pub(super) span: Span,
}

/// The thread may be ending, and a line be written all the same.
pub(super) fn with<T: Default>(look: impl FnOnce(&Place) -> T) -> T {
    PLACE.try_with(|place| look(&place.borrow())).unwrap_or_default()
}

/// The innermost span, or the caller's if none is made.
pub(super) fn trace() -> Option<TraceContext> {
    opentelemetry_trace().or_else(|| with(|place| place.trace))
}

fn opentelemetry_trace() -> Option<TraceContext> {
    opentelemetry::Context::map_current(|context| from_opentelemetry(context.span().span_context()))
}

fn tell_opentelemetry() {
    let place = opentelemetry::Context::new();
    let place = match with(|place| place.trace) {
        Some(trace) => place.with_remote_span_context(to_opentelemetry(&trace)),
        None => place,
    };
    TOLD.set(Some(place.attach()));
}

pin_project! {
    /// Work with its place.
    #[derive(Debug)]
    pub struct Inside<F> {
        #[pin]
        work: F,
        place: Place,
    }
}

impl<F> Inside<F> {
    pub(super) fn new(place: Place, work: F) -> Self {
        Self { work, place }
    }
}

impl<F: Future> Future for Inside<F> {
    type Output = F::Output;

    fn poll(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<F::Output> {
        let this = self.project();
        at(this.place, || this.work.poll(context))
    }
}

/// Does a step of work at a place.
pub(super) fn at<T>(place: &mut Place, step: impl FnOnce() -> T) -> T {
    let _entered = Entered::new(place);
    step()
}

/// The thread works at a place, until this is dropped, also by a panic. Meanwhile the outer place is kept in its stead.
struct Entered<'a> {
    place: &'a mut Place,
    told: Option<ContextGuard>,
}

impl<'a> Entered<'a> {
    fn new(place: &'a mut Place) -> Self {
        PLACE.with_borrow_mut(|current| std::mem::swap(current, place));
        let entered = Self { place, told: TOLD.take() };
        if opentelemetry_trace().is_some() {
            // Of somebody who waits for this work on the same thread.
            tell_opentelemetry();
        }
        entered
    }
}

impl Drop for Entered<'_> {
    fn drop(&mut self) {
        drop(TOLD.replace(self.told.take()));
        PLACE.with_borrow_mut(|current| std::mem::swap(current, self.place));
    }
}

/// Stands before the layer of OpenTelemetry.
#[derive(Debug)]
pub(super) struct Placing;

impl<S: Subscriber> Layer<S> for Placing {
    fn on_new_span(&self, attributes: &Attributes<'_>, _id: &Id, _context: layer::Context<'_, S>) {
        if attributes.is_contextual() && opentelemetry_trace().is_none() {
            tell_opentelemetry();
        }
    }

    /// A log line outside of all spans of `tracing` is kept with ours.
    fn on_event(&self, event: &Event<'_>, _context: layer::Context<'_, S>) {
        let span = Span::current();
        if opentelemetry_trace().is_none_or(|trace| Some(trace) == span.place()) {
            // Written before the span is locked: a field's `Debug` may log, or panic.
            let line = if span.is_none() { return } else { log::kept(event) };
            span.describe(|record| record.add(&line));
        }
    }
}
