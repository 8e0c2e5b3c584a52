//! [`Refusal`]: why the server answers a request in place of its handler.

use axum::response::{IntoResponse, Response};
use http::{HeaderName, HeaderValue, StatusCode, header};

use crate::Problem;

/// RFC 6750 §3.1.
const INVALID_TOKEN: HeaderValue = HeaderValue::from_static("Bearer error=\"invalid_token\"");

/// Why the server answers a request in place of its handler.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Refusal {
    /// The header says no timeout.
    MalformedTimeout(HeaderName),
    /// The bearer token is forged, expired, or for somebody else.
    InvalidToken,
    /// Nobody waited for the answer when the request arrived.
    Late,
    /// The deadline passed while the handler worked.
    DeadlinePassed,
    /// The body came too slowly, or not at all.
    BodyStalled,
}

impl Refusal {
    pub(crate) fn problem(&self) -> Problem {
        let problem = |status: StatusCode, detail: &str| Problem::from(status).detail(detail);
        match self {
            Self::MalformedTimeout(name) => Problem::from(StatusCode::BAD_REQUEST)
                .field(name.as_str(), "must be once one to eight digits and a unit, one of H M S m u n, as in 1500m"),
            Self::InvalidToken => problem(StatusCode::UNAUTHORIZED, "The bearer token is not valid here."),
            Self::Late => {
                problem(StatusCode::GATEWAY_TIMEOUT, "The caller's deadline had passed when the request arrived.")
            }
            Self::DeadlinePassed => {
                problem(StatusCode::GATEWAY_TIMEOUT, "The caller's deadline passed before there was an answer.")
            }
            Self::BodyStalled => problem(StatusCode::REQUEST_TIMEOUT, "The request's body came too slowly."),
        }
    }
}

impl IntoResponse for Refusal {
    fn into_response(self) -> Response {
        let mut response = self.problem().into_response();
        if matches!(self, Self::InvalidToken) {
            response.headers_mut().insert(header::WWW_AUTHENTICATE, INVALID_TOKEN);
        }
        response
    }
}
