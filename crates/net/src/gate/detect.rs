//! HTTP/1 or HTTP/2? On a cleartext connection the client speaks first, and HTTP/2 begins with a fixed preface.

use std::io;
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, ReadBuf};

/// RFC 9113 §3.4.
const PREFACE: [u8; 24] = *b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";

/// What a client speaks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum HttpVersion {
    /// HTTP/1, or anything else that is not HTTP/2: [`Http1Guard`](super::Http1Guard) finds out.
    Http1,
    /// The whole preface of HTTP/2 was there.
    Http2,
}

/// Why we do not know what a client speaks.
#[derive(Debug, thiserror::Error)]
pub enum DetectError {
    /// It closed the connection without a byte; not worth a log line.
    #[error("the client closed the connection before it said anything")]
    Closed,
    /// It said too little for too long.
    #[error("the client did not say within {0:?} what it speaks")]
    Timeout(Duration),
    /// Reading failed.
    #[error("cannot read what the client speaks")]
    Read(#[source] io::Error),
}

/// Reads as little as tells the version, and gives it back with the connection.
pub async fn detect<IO>(mut io: IO, deadline: Duration) -> Result<(HttpVersion, Prefixed<IO>), DetectError>
where
    IO: AsyncRead + Unpin,
{
    let mut prefix = [0; PREFACE.len()];
    let detected = tokio::time::timeout(deadline, read_preface(&mut io, &mut prefix)).await;
    let (version, length) = detected.map_err(|_elapsed| DetectError::Timeout(deadline))??;
    Ok((version, Prefixed { io, prefix, read: 0, length }))
}

async fn read_preface(
    io: &mut (impl AsyncRead + Unpin),
    prefix: &mut [u8; PREFACE.len()],
) -> Result<(HttpVersion, usize), DetectError> {
    let mut length = 0;
    loop {
        match io.read(&mut prefix[length..]).await.map_err(DetectError::Read)? {
            0 if length == 0 => return Err(DetectError::Closed),
            0 => return Ok((HttpVersion::Http1, length)),
            more => length += more,
        }
        if prefix[..length] != PREFACE[..length] {
            return Ok((HttpVersion::Http1, length));
        }
        if length == PREFACE.len() {
            return Ok((HttpVersion::Http2, length));
        }
    }
}

/// A connection whose first bytes have been read already, and are read again.
#[derive(Debug)]
pub struct Prefixed<IO> {
    io: IO,
    prefix: [u8; PREFACE.len()],
    read: usize,
    length: usize,
}

impl<IO: AsyncRead + Unpin> AsyncRead for Prefixed<IO> {
    fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        let this = &mut *self;
        let rest = &this.prefix[this.read..this.length];
        if rest.is_empty() {
            return Pin::new(&mut this.io).poll_read(cx, buf);
        }
        let count = rest.len().min(buf.remaining());
        buf.put_slice(&rest[..count]);
        this.read += count;
        if buf.remaining() > 0 {
            // What follows has mostly come already: a head in one piece needs no buffer of ours.
            if let Poll::Ready(Err(error)) = Pin::new(&mut this.io).poll_read(cx, buf) {
                return Poll::Ready(Err(error));
            }
        }
        Poll::Ready(Ok(()))
    }
}

impl<IO: AsyncWrite + Unpin> AsyncWrite for Prefixed<IO> {
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
