//! A small HTTP/1 client for the two Unix sockets of the state folder.

use std::path::Path;

use bytes::Bytes;
use http::{Method, Request, StatusCode, header};
use http_body_util::{BodyExt, Full};
use hyper::body::Incoming;
use hyper_util::rt::TokioIo;
use serde::Deserialize;
use serde::de::DeserializeOwned;
use tokio::net::UnixStream;

use crate::exit::{Failure, failure};

/// Who answers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Server {
    Runtime,
    Controller,
}

/// An answer other than 2xx.
#[derive(Debug)]
pub(crate) struct Refusal {
    pub(crate) status: StatusCode,
    pub(crate) text: String,
}

/// The sockets of one mesh.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Client<'a> {
    state_dir: &'a Path,
}

impl<'a> Client<'a> {
    pub(crate) fn new(state_dir: &'a Path) -> Self {
        Self { state_dir }
    }

    /// GET, with the body as JSON.
    pub(crate) async fn get<T: DeserializeOwned>(&self, server: Server, path: &str) -> Result<T, Failure> {
        let body = self.open(server, Method::GET, path, Bytes::new()).await?.map_err(refused)?;
        let bytes = body.collect().await.map_err(|error| self.broken(server, &error))?.to_bytes();
        serde_json::from_slice(&bytes).map_err(|error| {
            let problem = format!("the answer of {} cannot be understood: {error}", server.name());
            Failure::new(problem).hint("use the `samspill` that `up` was started with")
        })
    }

    /// POST of JSON, with the body as JSON.
    pub(crate) async fn post<T: DeserializeOwned>(&self, path: &str, body: &serde_json::Value) -> Result<T, Failure> {
        let server = Server::Controller;
        let body = Bytes::from(body.to_string());
        let body = self.open(server, Method::POST, path, body).await?.map_err(refused)?;
        let bytes = body.collect().await.map_err(|error| self.broken(server, &error))?.to_bytes();
        serde_json::from_slice(&bytes).map_err(Failure::new)
    }

    /// Any request, answered by a body that may never end.
    pub(crate) async fn open(
        &self,
        server: Server,
        method: Method,
        path: &str,
        body: Bytes,
    ) -> Result<Result<Incoming, Refusal>, Failure> {
        let stream =
            UnixStream::connect(server.socket(self.state_dir)).await.map_err(|error| self.absent(server, &error))?;
        let handshake = hyper::client::conn::http1::handshake(TokioIo::new(stream)).await;
        let (mut sender, connection) = handshake.map_err(|error| self.broken(server, &error))?;
        samspill_net::task::spawn("connection", async {
            // A broken connection is told by the request or the body that it breaks.
            let _ = connection.await;
        });
        let request = Request::builder()
            .method(method)
            .uri(path)
            .header(header::HOST, "samspill")
            .header(header::CONTENT_TYPE, "application/json")
            .body(Full::new(body))
            .map_err(Failure::new)?;
        let response = sender.send_request(request).await.map_err(|error| self.broken(server, &error))?;
        let (head, body) = response.into_parts();
        if head.status.is_success() {
            return Ok(Ok(body));
        }
        let bytes = body.collect().await.map_err(|error| self.broken(server, &error))?.to_bytes();
        Ok(Err(Refusal { status: head.status, text: sentence(&bytes) }))
    }

    /// Nobody listens: is there no mesh at all, or is a part of it away?
    fn absent(&self, server: Server, error: &std::io::Error) -> Failure {
        let folder = self.state_dir.display();
        match samspill_runtime::state::find(self.state_dir) {
            Ok(None) => no_mesh(self.state_dir),
            Ok(Some(running)) if server == Server::Controller => Failure::new(format!(
                "the controller does not answer ({error}); process {} starts it again",
                running.pid
            ))
            .hint("try again in a moment, or see `samspill logs controller`"),
            Ok(Some(running)) => Failure::new(format!(
                "process {}, which uses the state folder `{folder}`, does not answer: {error}",
                running.pid
            )),
            Err(error) => failure(error),
        }
    }

    fn broken(&self, server: Server, error: &hyper::Error) -> Failure {
        Failure::new(format!("{} has stopped answering: {error}", server.name()))
    }
}

/// There is nothing to ask.
pub(crate) fn no_mesh(state_dir: &Path) -> Failure {
    Failure::new(format!("no mesh runs with the state folder `{}`", state_dir.display()))
        .hint("start one with `samspill up DIR`, or name its folder with --state-dir")
}

pub(crate) fn refused(refusal: Refusal) -> Failure {
    Failure::new(refusal.text)
}

impl Server {
    fn name(self) -> &'static str {
        match self {
            Self::Runtime => "the runtime",
            Self::Controller => "the controller",
        }
    }

    fn socket(self, state_dir: &Path) -> std::path::PathBuf {
        match self {
            Self::Runtime => samspill_runtime::state::api_socket(state_dir),
            Self::Controller => samspill_runtime::state::controller_socket(state_dir),
        }
    }
}

/// What of a problem+json (RFC 9457) is worth telling, the first that is there.
#[derive(Default, Deserialize)]
#[serde(default)]
struct Problem {
    errors: Vec<FieldError>,
    detail: Option<String>,
    title: Option<String>,
}

#[derive(Deserialize)]
struct FieldError {
    detail: String,
}

/// An error's body in words; what is no problem+json is words already.
fn sentence(body: &[u8]) -> String {
    let Problem { errors, detail, title } = serde_json::from_slice(body).unwrap_or_default();
    let errors: Vec<String> = errors.into_iter().map(|error| error.detail).collect();
    let text = if errors.is_empty() { detail.or(title) } else { Some(errors.join("; ")) };
    text.unwrap_or_else(|| String::from_utf8_lossy(body).trim().to_owned())
}

/// Runs a client's verb.
pub(crate) fn block_on<T>(future: impl Future<Output = Result<T, Failure>>) -> Result<T, Failure> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    runtime.block_on(future)
}

/// A name as one segment of a path.
pub(crate) fn segment(text: &str) -> String {
    percent_encoding::utf8_percent_encode(text, percent_encoding::NON_ALPHANUMERIC).to_string()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_problem_is_told_by_its_detail() {
        assert_eq!(sentence(br#"{"title":"No","detail":"no such thing"}"#), "no such thing");
        assert_eq!(sentence(br#"{"title":"No such workload"}"#), "No such workload");
        let fields = br#"{"title":"No","errors":[{"field":"replicas","detail":"at most 9"}]}"#;
        assert_eq!(sentence(fields), "at most 9");
        assert_eq!(sentence(b"plain\n"), "plain");
    }

    #[test]
    fn a_name_stays_one_segment() {
        assert_eq!(segment("shop/web"), "shop%2Fweb");
    }
}
