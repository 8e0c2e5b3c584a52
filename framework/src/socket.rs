//! WebSockets (RFC 6455), which are axum's.
//!
//! ```
//! use axum::extract::ws::Message;
//! use axum::response::Response;
//! use axum::{Router, routing::get};
//! use samspill::Call;
//! use samspill::socket::Upgrade;
//!
//! /// Says everything again, until the caller or the service goes.
//! async fn echo(call: Call, Upgrade(upgrade): Upgrade) -> Response {
//!     upgrade.on_upgrade(async move |mut socket| {
//!         loop {
//!             let message = tokio::select! {
//!                 message = socket.recv() => message,
//!                 () = call.draining() => None,
//!             };
//!             match message {
//!                 Some(Ok(message @ (Message::Text(_) | Message::Binary(_)))) => {
//!                     if socket.send(message).await.is_err() { return }
//!                 }
//!                 Some(Ok(_ping_or_pong)) => {}
//!                 Some(Err(_)) | None => break,
//!             }
//!         }
//!         // The caller is told, if it is still there.
//!         let _ = socket.send(Message::Close(None)).await;
//!     })
//! }
//!
//! let router: Router = Router::new().route("/v1/echo", get(echo));
//! ```
//!
//! A socket keeps the drain waiting. So its handler watches [`Call::draining`](crate::Call::draining) and ends; one that
//! does not is cut when the drain's time is over. It runs after the request's span has ended: what it does for long belongs
//! into spans of its own.
//!
//! A browser lets any page open a socket to any server, and sends the cookies along. Where those say who somebody is,
//! compare the `Origin` header.

use axum::extract::FromRequestParts;
use axum::extract::ws::WebSocketUpgrade;
use http::request::Parts;

use crate::Problem;

/// More than this in one message ends the socket, unless the handler says otherwise. In bytes; as much as a request's
/// body may have.
const MESSAGE_LIMIT_BYTES: usize = 2 * 1024 * 1024;

/// axum's extractor, with two differences: what it refuses is a [`Problem`], and a message has at most 2 MiB unless
/// [`max_message_size`](WebSocketUpgrade::max_message_size) and [`max_frame_size`](WebSocketUpgrade::max_frame_size) say
/// otherwise.
#[derive(Debug)]
pub struct Upgrade(pub WebSocketUpgrade);

impl<S: Send + Sync> FromRequestParts<S> for Upgrade {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, Problem> {
        let upgrade = WebSocketUpgrade::from_request_parts(parts, state).await.map_err(|rejection| {
            Problem::from(rejection.status()).detail(format!("This is a WebSocket. {}.", rejection.body_text()))
        })?;
        Ok(Self(upgrade.max_message_size(MESSAGE_LIMIT_BYTES).max_frame_size(MESSAGE_LIMIT_BYTES)))
    }
}
