//! A connection that leaves HTTP for another protocol, and still belongs to the server.

use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use futures_util::future::BoxFuture;
use samspill_net::drain::DrainWatch;
use samspill_net::gate::Verdict;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

use super::traffic::Traffic;

/// The drain waits for it, whoever holds it: hyper, or the task that speaks another protocol on it. After a tunnel was
/// opened, it breaks when the drain is over; before, hyper is told.
pub(super) struct Held<IO> {
    io: IO,
    verdict: Verdict,
    drain: DrainWatch,
    traffic: Arc<Traffic>,
    /// Made when the connection has left HTTP.
    cut: Option<BoxFuture<'static, ()>>,
}

/// So much is put together before it is written: the kernel takes one piece sooner than two.
const SMALL_BYTES: usize = 1024;

impl<IO> Held<IO> {
    pub(super) fn new(io: IO, verdict: Verdict, drain: DrainWatch, traffic: Arc<Traffic>) -> Self {
        Self { io, verdict, drain, traffic, cut: None }
    }

    fn wrote(&self, written: Poll<io::Result<usize>>) -> Poll<io::Result<usize>> {
        if written.is_ready() {
            self.traffic.write();
        }
        written
    }

    fn check(&mut self, context: &mut Context<'_>) -> io::Result<()> {
        if !self.verdict.is_tunnel() {
            return Ok(());
        }
        let cut = self.cut.get_or_insert_with(|| {
            let drain = self.drain.clone();
            Box::pin(async move { drain.over().await })
        });
        if cut.as_mut().poll(context).is_pending() {
            return Ok(());
        }
        self.cut = Some(Box::pin(std::future::ready(()))); // it may be asked again
        Err(io::Error::new(io::ErrorKind::ConnectionAborted, "the drain is over"))
    }
}

impl<IO: AsyncRead + Unpin> AsyncRead for Held<IO> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        self.check(context)?;
        Pin::new(&mut self.io).poll_read(context, buffer)
    }
}

impl<IO: AsyncWrite + Unpin> AsyncWrite for Held<IO> {
    fn poll_write(mut self: Pin<&mut Self>, context: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        self.check(context)?;
        let written = Pin::new(&mut self.io).poll_write(context, bytes);
        self.wrote(written)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        self.check(context)?;
        let mut whole = [0; SMALL_BYTES];
        let mut length = 0;
        for piece in bytes {
            let Some(room) = whole.get_mut(length..length + piece.len()) else {
                let written = Pin::new(&mut self.io).poll_write_vectored(context, bytes);
                return self.wrote(written);
            };
            room.copy_from_slice(piece);
            length += piece.len();
        }
        let written = Pin::new(&mut self.io).poll_write(context, &whole[..length]);
        self.wrote(written)
    }

    fn is_write_vectored(&self) -> bool {
        self.io.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.check(context)?;
        Pin::new(&mut self.io).poll_flush(context)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.check(context)?;
        Pin::new(&mut self.io).poll_shutdown(context)
    }
}
