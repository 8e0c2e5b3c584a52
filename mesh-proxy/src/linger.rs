//! Closes a connection so that the last answer is read.
//!
//! A socket that is closed while bytes of a request are still coming resets the connection, and a client that is still
//! sending may then never see the answer that was sent before: "too large", "no such service", `app-unreachable`. So we say
//! that we are done, read on for a moment, and throw away what comes (RFC 9112 §9.6).

use std::io;
use std::pin::Pin;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use samspill_net::gate::Verdict;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::time::Sleep;

/// How long a client may go on sending after our last word.
const LINGER: Duration = Duration::from_secs(2);

/// How much is thrown away at once, in bytes.
const SCRATCH_BYTES: usize = 16 * 1024;

/// A connection whose shutdown waits for the other side's, for a while. A tunnel's does not: what comes after one side's
/// last word is for whoever reads there, and not to be thrown away.
#[derive(Debug)]
pub(crate) struct Lingering<IO> {
    io: IO,
    verdict: Verdict,
    is_shut_down: bool,
    /// Made only if there is something to wait for.
    patience: Option<Pin<Box<Sleep>>>,
}

impl<IO> Lingering<IO> {
    pub(crate) fn new(io: IO, verdict: Verdict) -> Self {
        Self { io, verdict, is_shut_down: false, patience: None }
    }
}

impl<IO: AsyncRead + Unpin> Lingering<IO> {
    /// Reads until the client is done, or has been given enough time.
    fn poll_linger(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        let mut scratch = [0; SCRATCH_BYTES];
        loop {
            let mut buf = ReadBuf::new(&mut scratch);
            match Pin::new(&mut self.io).poll_read(cx, &mut buf) {
                Poll::Ready(Ok(())) if !buf.filled().is_empty() => {}
                Poll::Ready(_) => return Poll::Ready(()),
                Poll::Pending => break,
            }
        }
        self.patience.get_or_insert_with(|| Box::pin(tokio::time::sleep(LINGER))).as_mut().poll(cx)
    }
}

impl<IO: AsyncRead + Unpin> AsyncRead for Lingering<IO> {
    fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.io).poll_read(cx, buf)
    }
}

impl<IO: AsyncRead + AsyncWrite + Unpin> AsyncWrite for Lingering<IO> {
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

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        if !this.is_shut_down {
            ready!(Pin::new(&mut this.io).poll_shutdown(cx))?;
            this.is_shut_down = true;
        }
        if this.verdict.is_tunnel() { Poll::Ready(Ok(())) } else { this.poll_linger(cx).map(Ok) }
    }
}

#[cfg(test)]
mod tests {
    use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _, duplex};

    use super::*;

    #[tokio::test(start_paused = true)]
    async fn a_client_may_finish_its_sentence_but_not_talk_for_ever() {
        let (mut client, server) = duplex(64);
        let mut server = Lingering::new(server, Verdict::default());
        let speaking = async {
            client.write_all(&[0; 100_000]).await.unwrap();
            assert_eq!(client.read(&mut [0]).await.unwrap(), 0, "our last word is known at once");
            drop(client);
        };
        let (closed, ()) = tokio::join!(server.shutdown(), speaking);
        closed.unwrap();

        let (_silent, server) = duplex(64);
        let before = tokio::time::Instant::now();
        Lingering::new(server, Verdict::default()).shutdown().await.unwrap();
        assert_eq!(before.elapsed(), LINGER);
    }

    #[tokio::test]
    async fn a_tunnel_is_shut_down_on_one_side_only() {
        let (mut client, server) = duplex(64);
        let verdict = Verdict::default();
        let mut server = Lingering::new(server, verdict.clone());
        verdict.tunnel();
        client.write_all(b"more").await.unwrap();
        server.shutdown().await.unwrap();
        let mut read = [0; 4];
        server.read_exact(&mut read).await.unwrap();
        assert_eq!(&read, b"more");
    }
}
