//! Connections from others.

use std::future::poll_fn;
use std::io;
use std::net::SocketAddr;
use std::task::{Context, Poll};
use std::time::Duration;

use tokio::net::{TcpStream, UnixStream};

/// How long accepting pauses after the first error that is our own, such as too many open files. Doubled up to
/// [`MAX_BACKOFF`]; the kernel's queue keeps the callers meanwhile.
const MIN_BACKOFF: Duration = Duration::from_millis(5);
const MAX_BACKOFF: Duration = Duration::from_secs(1);

/// Accepts TCP connections for as long as it lives: no error ends it.
#[derive(Debug)]
pub struct Listener {
    inner: tokio::net::TcpListener,
    address: SocketAddr,
}

impl Listener {
    /// Listens on an address; port 0 takes a free one.
    #[expect(clippy::disallowed_methods, reason = "the one place that binds")]
    pub async fn bind(address: SocketAddr) -> io::Result<Self> {
        Self::new(tokio::net::TcpListener::bind(address).await?)
    }

    /// Takes over a socket that listens, for instance an inherited one.
    pub fn from_std(listener: std::net::TcpListener) -> io::Result<Self> {
        listener.set_nonblocking(true)?;
        Self::new(tokio::net::TcpListener::from_std(listener)?)
    }

    fn new(inner: tokio::net::TcpListener) -> io::Result<Self> {
        let address = inner.local_addr()?;
        Ok(Self { inner, address })
    }

    /// Where it listens.
    pub fn local_addr(&self) -> SocketAddr {
        self.address
    }

    /// The next connection, with `TCP_NODELAY`, and the peer's address. For one task at a time: only the last is woken.
    ///
    /// # Cancel safety
    /// No connection is lost when the future is dropped.
    pub async fn accept(&self) -> (TcpStream, SocketAddr) {
        loop {
            let (stream, peer) = persist(self.address, |cx| self.inner.poll_accept(cx)).await;
            match stream.set_nodelay(true) {
                Ok(()) => return (stream, peer),
                Err(error) => tracing::debug!(%peer, %error, "a connection was gone before it was accepted"),
            }
        }
    }
}

/// The same for Unix sockets, which only processes of this machine can reach.
#[derive(Debug)]
pub struct UnixListener(tokio::net::UnixListener);

impl UnixListener {
    /// Takes over a socket that listens.
    pub fn from_std(listener: std::os::unix::net::UnixListener) -> io::Result<Self> {
        listener.set_nonblocking(true)?;
        Ok(Self(tokio::net::UnixListener::from_std(listener)?))
    }

    /// The next connection; who it is, `UnixStream::peer_cred` says. For one task at a time, too.
    ///
    /// # Cancel safety
    /// No connection is lost when the future is dropped.
    pub async fn accept(&self) -> UnixStream {
        persist("unix", |cx| self.0.poll_accept(cx)).await.0
    }
}

/// Accepts until it works.
async fn persist<T>(
    address: impl std::fmt::Display,
    mut accept: impl FnMut(&mut Context<'_>) -> Poll<io::Result<T>>,
) -> T {
    let mut backoff = MIN_BACKOFF;
    loop {
        match poll_fn(&mut accept).await {
            Ok(accepted) => return accepted,
            Err(error) if is_the_peers(&error) => tracing::debug!(%address, %error, "a caller gave up"),
            Err(error) => {
                tracing::warn!(%address, %error, ?backoff, "cannot accept connections");
                tokio::time::sleep(backoff).await;
                backoff = MAX_BACKOFF.min(backoff * 2);
            }
        }
    }
}

/// Whether only this one connection failed, so that the next may be accepted at once.
fn is_the_peers(error: &io::Error) -> bool {
    use io::ErrorKind::{ConnectionAborted, ConnectionRefused, ConnectionReset, Interrupted};
    matches!(error.kind(), ConnectionAborted | ConnectionRefused | ConnectionReset | Interrupted)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn errors_are_outlived() {
        let out_of_files = || io::Error::from_raw_os_error(24);
        let mut answers = vec![
            Ok("connection"),
            Err(out_of_files()),
            Err(io::ErrorKind::ConnectionAborted.into()),
            Err(out_of_files()),
        ];
        let before = tokio::time::Instant::now();
        assert_eq!(persist("here", |_context| Poll::Ready(answers.pop().unwrap())).await, "connection");
        assert_eq!(before.elapsed(), MIN_BACKOFF * 3, "two pauses, the second doubled, none for the peer's error");
    }
}
