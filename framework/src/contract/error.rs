//! [`ApiError`]: what a contract's methods can refuse, typed on both ends.

use crate::Problem;

/// The error of a contract's methods: one enum, from which come problems (RFC 9457), gRPC statuses with their details, and
/// the documents' responses; the client makes the enum of a problem again.
///
/// Derive it. Each variant says its status and its title, and may say a `detail`, a `field("name", "what is wrong with it")` of
/// the request (both may name the variant's fields in braces), a `type` of its own, `retry_after_s` and a
/// `grpc_code` (`AlreadyExists`); its fields are
/// members of the problem. One variant may be
/// `transparent`: it holds whatever else went wrong, and `?` makes it of a [`Problem`], of a
/// [`CallError`](crate::CallError) and of another contract's failure.
///
/// ```
/// use samspill::{ApiError, Problem};
///
/// #[derive(Debug, PartialEq, ApiError)]
/// enum CostError {
///     /// We do not ship there.
///     #[problem(status = 422, title = "Destination is not served", field("to", "{country} is too far away"))]
///     UnknownDestination { country: String },
///     #[problem(status = 503, title = "Tariffs are loading", retry_after_s = 2)]
///     NotReady,
///     #[problem(transparent)]
///     Other(Problem),
/// }
///
/// let problem = CostError::UnknownDestination { country: "XX".into() }.into_problem();
/// assert_eq!(
///     serde_json::to_value(&problem).unwrap(),
///     serde_json::json!({
///         "type": "urn:samspill:problem:unknown-destination",
///         "title": "Destination is not served",
///         "status": 422,
///         "errors": [{ "field": "to", "detail": "XX is too far away" }],
///         "country": "XX",
///     }),
/// );
/// assert_eq!(CostError::from_problem(problem).unwrap(), CostError::UnknownDestination { country: "XX".into() });
/// ```
#[diagnostic::on_unimplemented(
    message = "`{Self}` cannot be the error of a contract's method",
    label = "not an error of an API",
    note = "derive it: `#[derive(Debug, samspill::ApiError)] enum {Self} {{ … }}`; or use `samspill::Problem`"
)]
pub trait ApiError: std::fmt::Debug + Sized + Send + 'static {
    /// Every kind of problem that it can be, for the documents.
    fn kinds() -> Vec<ProblemKind>;

    /// What callers are told.
    fn into_problem(self) -> Problem;

    /// What a problem of a called service means.
    ///
    /// # Errors
    /// The problem, if it is none of ours.
    fn from_problem(problem: Problem) -> Result<Self, Problem>;
}

/// A kind of problem, for the documents.
///
/// ```
/// use samspill::ApiError;
///
/// #[derive(Debug, ApiError)]
/// enum ParcelError {
///     /// It may have arrived.
///     #[problem(status = 404, title = "No such parcel")]
///     NoSuchParcel,
/// }
///
/// let kind = ParcelError::kinds()[0];
/// assert_eq!((kind.status, kind.uri, kind.docs), (404, "urn:samspill:problem:no-such-parcel", "It may have arrived."));
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ProblemKind {
    /// The HTTP status.
    pub status: u16,
    /// What programs compare: the problem's `type`.
    pub uri: &'static str,
    /// What people read.
    pub title: &'static str,
    /// More for people, from the variant's doc comment; may be empty.
    pub docs: &'static str,
    /// Its own members, besides those that every problem has.
    pub members: &'static [&'static str],
}

/// Any problem, nothing promised.
impl ApiError for Problem {
    fn kinds() -> Vec<ProblemKind> {
        Vec::new()
    }

    fn into_problem(self) -> Problem {
        self
    }

    fn from_problem(problem: Problem) -> Result<Self, Problem> {
        Ok(problem)
    }
}
