//! Cuts a connection at the end of its lifetime, whatever is on it.
//!
//! It is done beneath HTTP because hyper's HTTP/2 client lives on in tasks of its own when its connection is dropped: it
//! waits for the streams that are open, and a stream can be open for ever.

use std::io;
use std::pin::Pin;
use std::task::{Context, Poll};

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::time::{Instant, Sleep};

/// A connection that breaks off when it is read from after its end. HTTP always waits to read.
#[derive(Debug)]
pub(crate) struct Expiring<IO> {
    io: IO,
    end: Option<Pin<Box<Sleep>>>,
}

/// A certificate that the connection was made with has expired.
#[derive(Debug, thiserror::Error)]
#[error("the connection has outlived its certificates")]
struct Expired;

impl<IO> Expiring<IO> {
    /// `None`: it does not end by itself.
    pub(crate) fn new(io: IO, end: Option<Instant>) -> Self {
        Self { io, end: end.map(|end| Box::pin(tokio::time::sleep_until(end))) }
    }
}

impl<IO: AsyncRead + Unpin> AsyncRead for Expiring<IO> {
    fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        if let Some(end) = &mut self.end
            && end.as_mut().poll(cx).is_ready()
        {
            return Poll::Ready(Err(io::Error::new(io::ErrorKind::TimedOut, Expired)));
        }
        Pin::new(&mut self.io).poll_read(cx, buf)
    }
}

impl<IO: AsyncWrite + Unpin> AsyncWrite for Expiring<IO> {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.io).poll_write(cx, buf)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bufs: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.io).poll_write_vectored(cx, bufs)
    }

    fn is_write_vectored(&self) -> bool {
        self.io.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.io).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.io).poll_shutdown(cx)
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _, duplex};

    use super::*;

    #[tokio::test(start_paused = true)]
    async fn it_is_cut_when_it_waits_and_when_it_is_busy() {
        let (mut far, near) = duplex(64);
        let end = Instant::now() + Duration::from_secs(1);
        let mut near = Expiring::new(near, Some(end));
        far.write_all(b"ab").await.unwrap();
        assert_eq!(near.read_u8().await.unwrap(), b'a');
        let (_silent, other) = duplex(64);
        let error = Expiring::new(other, Some(end)).read_u8().await.unwrap_err();
        assert_eq!((error.kind(), Instant::now()), (io::ErrorKind::TimedOut, end));
        assert_eq!(near.read_u8().await.unwrap_err().kind(), io::ErrorKind::TimedOut);
    }
}
