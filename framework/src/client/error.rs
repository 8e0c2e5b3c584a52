//! [`CallError`]: why a call gave no usable answer, and what our own caller is told.

use http::StatusCode;

use crate::{Problem, problem};

/// What the reason for a failure may be; shown in the log, never to a caller.
pub(super) type Cause = Box<dyn std::error::Error + Send + Sync>;

/// Why a call gave no usable answer.
///
/// With `?` it becomes the [`Problem`] that our own caller is told: 503 when the called service is away or busy, 504 when
/// it was too slow, else 502. An upstream's 404 that is our caller's 404 is mapped by the handler:
///
/// ```
/// use http::StatusCode;
/// use samspill::{CallError, Problem};
///
/// fn invoice(error: CallError) -> Problem {
///     match error {
///         CallError::Problem(problem) if problem.status() == StatusCode::NOT_FOUND => problem,
///         other => other.into(),
///     }
/// }
/// let missing = Problem::new(StatusCode::NOT_FOUND, "No such invoice");
/// assert_eq!(invoice(CallError::Problem(missing)).status(), 404);
/// let broken = Problem::new(StatusCode::BAD_REQUEST, "No");
/// assert_eq!(invoice(CallError::Problem(broken)).status(), 502);
/// ```
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum CallError {
    /// The service answered with something else than a success. Its own problem, or one made of the status.
    #[error("the called service answered: {0}")]
    Problem(Problem),
    /// No connection: nothing was sent, so it may be tried again whatever the method.
    #[error("`{service}` cannot be reached")]
    Unreachable {
        /// The name that was called.
        service: String,
        /// What happened.
        source: Cause,
    },
    /// The connection broke after the request was (perhaps partly) sent: it may have been carried out.
    #[error("the connection to `{service}` broke")]
    Broken {
        /// The name that was called.
        service: String,
        /// What happened.
        source: Cause,
    },
    /// The call's deadline passed before the answer was there, or before the request was sent. It may have been carried out.
    #[error("`{service}` did not answer before the deadline")]
    Deadline {
        /// The name that was called.
        service: String,
    },
    /// The answer is a success, but not what was expected.
    #[error("`{service}` answered something unexpected")]
    Unexpected {
        /// The name that was called.
        service: String,
        /// What does not fit.
        source: Cause,
    },
    /// The request cannot be sent as it was written: a fault in our own code.
    #[error("the request to `{service}` is not well-formed")]
    Request {
        /// The name that was called.
        service: String,
        /// What is wrong with it.
        source: Cause,
    },
}

impl CallError {
    /// The status of the answer, if there was one that was no success.
    ///
    /// ```
    /// use samspill::{CallError, Problem};
    ///
    /// let error = CallError::Problem(Problem::from(http::StatusCode::NOT_FOUND));
    /// assert_eq!(error.status(), Some(http::StatusCode::NOT_FOUND));
    /// assert_eq!(CallError::Deadline { service: "statistics".to_owned() }.status(), None);
    /// ```
    pub fn status(&self) -> Option<StatusCode> {
        match self {
            Self::Problem(problem) => Some(problem.status()),
            _ => None,
        }
    }

    /// The `error.type` of the span.
    pub(super) fn kind(&self) -> &'static str {
        match self {
            Self::Problem(_) => "problem",
            Self::Unreachable { .. } => "unreachable",
            Self::Broken { .. } => "broken",
            Self::Deadline { .. } => "deadline",
            Self::Unexpected { .. } => "unexpected",
            Self::Request { .. } => "request",
        }
    }
}

/// What our own caller is told; the log is told why.
impl From<CallError> for Problem {
    fn from(error: CallError) -> Self {
        let reason = samspill_observability::chain(&error).to_string();
        tracing::warn!(error = reason, "a call to another service failed");
        match error {
            CallError::Unreachable { .. } => problem::upstream_unavailable(),
            CallError::Problem(upstream)
                if matches!(upstream.status(), StatusCode::SERVICE_UNAVAILABLE | StatusCode::TOO_MANY_REQUESTS) =>
            {
                problem::upstream_unavailable()
            }
            CallError::Deadline { .. } => problem::upstream_too_slow(),
            CallError::Problem(upstream) if upstream.status() == StatusCode::GATEWAY_TIMEOUT => {
                problem::upstream_too_slow()
            }
            CallError::Problem(_) | CallError::Broken { .. } | CallError::Unexpected { .. } => {
                problem::upstream_failed()
            }
            CallError::Request { .. } => Self::from(StatusCode::INTERNAL_SERVER_ERROR),
        }
    }
}

/// The same for gRPC handlers.
impl From<CallError> for tonic::Status {
    fn from(error: CallError) -> Self {
        Problem::from(error).to_status()
    }
}
