//! Stands under hyper's HTTP/1 server and lets through only what can be read in one way.

use std::io;
use std::pin::Pin;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, OnceLock};
use std::task::{Context, Poll, ready};

use bytes::{Buf, BytesMut};
use http::StatusCode;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::time::{Instant, Sleep};
use tokio_util::io::poll_read_buf;

use super::body::Body;
use super::head::HeadScanner;
use super::{Limits, Malformed};

/// What hyper is given in place of a malformed head, so that the answer goes the way of every answer: through the service,
/// and after those to the requests before it.
const SUBSTITUTE: &[u8] = b"GET /samspill-malformed HTTP/1.1\r\nhost: malformed\r\nconnection: close\r\n\r\n";

/// How much is read at once while a head is incomplete.
const READ_BYTES: usize = 4096;

/// How much of what follows a malformed head is read and thrown away. A socket that is closed with unread bytes resets the
/// connection, and the client would not see our answer.
const MAX_DISCARDED_BYTES: usize = 256 * 1024;

/// Reads the raw bytes of HTTP/1 on their way to hyper: hands on whole, sound heads and bodies, and nothing else.
///
/// A malformed head goes into the [`Verdict`], and hyper gets a harmless request instead, of which the connection's end
/// follows. A malformed body is an error of kind `InvalidData`. What comes out is byte for byte what went in: of a head or
/// body in one piece not even a copy is made.
#[derive(Debug)]
pub struct Http1Guard<IO> {
    io: IO,
    limits: Limits,
    verdict: Verdict,
    stage: Stage,
    scanner: Scanner,
    /// The beginning of a head, read but not handed on, but for the first `ready` bytes.
    held: BytesMut,
    ready: usize,
    deadline: Deadline,
}

#[derive(Debug)]
enum Stage {
    /// The bytes are HTTP.
    Http,
    /// The bytes are no longer our business.
    Tunnel,
    /// A malformed head was found; so much of the substitute is still to be handed on.
    Refused { substitute: &'static [u8], discarded: usize },
    /// A malformed body was found.
    Broken(&'static str),
    /// The client will send no more.
    Ended,
}

impl<IO> Http1Guard<IO> {
    /// Guards a connection on which HTTP/1 has not begun yet.
    pub fn new(io: IO, limits: Limits) -> (Self, Verdict) {
        let verdict = Verdict::default();
        (Self::with_verdict(io, limits, verdict.clone()), verdict)
    }

    /// The same, for an `io` that must know when it carries a tunnel. `verdict` is a new one.
    pub fn with_verdict(io: IO, limits: Limits, verdict: Verdict) -> Self {
        Self {
            io,
            limits,
            verdict,
            stage: Stage::Http,
            scanner: Scanner::default(),
            held: BytesMut::new(),
            ready: 0,
            deadline: Deadline::default(),
        }
    }

    /// Takes note of what a scan has found. `self.held` holds what was not handed on.
    fn conclude(&mut self, scan: Scan) {
        match scan.fault {
            Some(Fault::Head(malformed)) => self.refuse(malformed),
            Some(Fault::Body(problem)) => self.abort(problem),
            None => self.deadline.run(self.held.len() > self.ready, scan.heads > 0, &self.limits),
        }
    }

    fn refuse(&mut self, malformed: Malformed) {
        if self.scanner.wants_tunnel {
            // Somebody may be about to accept the tunnel, into which a substitute would fall.
            return self.abort("malformed bytes where a tunnel was asked for");
        }
        self.verdict.refuse(self.scanner.heads, malformed);
        self.held.truncate(self.ready);
        self.stage = Stage::Refused { substitute: SUBSTITUTE, discarded: 0 };
    }

    fn abort(&mut self, problem: &'static str) {
        self.held.truncate(self.ready);
        self.stage = Stage::Broken(problem);
    }
}

impl<IO: AsyncRead + Unpin> Http1Guard<IO> {
    /// Reads into hyper's buffer, and leaves there what is sound. Only the beginning of a head is taken out again.
    fn poll_read_through(&mut self, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        let before = buf.filled().len();
        ready!(Pin::new(&mut self.io).poll_read(cx, buf))?;
        let new = &buf.filled()[before..];
        if new.is_empty() {
            self.stage = Stage::Ended;
            return Poll::Ready(Ok(()));
        }
        let scan = self.scanner.scan(new, &self.limits);
        self.held.extend_from_slice(&new[scan.ready..]);
        buf.set_filled(before + scan.ready);
        self.conclude(scan);
        Poll::Ready(Ok(()))
    }

    /// Reads more of a head that has begun.
    fn poll_read_held(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.held.reserve(READ_BYTES);
        match poll_read_buf(Pin::new(&mut self.io), cx, &mut self.held) {
            Poll::Ready(Ok(0)) => {
                self.held.clear(); // half a request is none
                self.stage = Stage::Ended;
            }
            Poll::Ready(Ok(_)) => {
                let scan = self.scanner.scan(&self.held, &self.limits);
                self.ready = scan.ready;
                self.conclude(scan);
            }
            Poll::Ready(Err(error)) => return Poll::Ready(Err(error)),
            Poll::Pending => {
                ready!(self.deadline.poll(cx));
                self.refuse(Malformed::new(StatusCode::REQUEST_TIMEOUT, "the request's head took too long"));
            }
        }
        Poll::Ready(Ok(()))
    }

    fn discard(&mut self, cx: &mut Context<'_>) {
        let Stage::Refused { discarded, .. } = &mut self.stage else { return };
        let mut scratch = [0; READ_BYTES];
        while *discarded < MAX_DISCARDED_BYTES {
            let mut buf = ReadBuf::new(&mut scratch);
            match Pin::new(&mut self.io).poll_read(cx, &mut buf) {
                Poll::Ready(Ok(())) if !buf.filled().is_empty() => *discarded += buf.filled().len(),
                _ => break,
            }
        }
    }
}

impl<IO: AsyncRead + Unpin> AsyncRead for Http1Guard<IO> {
    fn poll_read(self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        if matches!(this.stage, Stage::Http) && this.verdict.is_tunnel() {
            this.stage = Stage::Tunnel;
            this.ready = this.held.len();
        }
        let before = buf.filled().len();
        loop {
            if this.ready > 0 {
                let count = this.ready.min(buf.remaining());
                buf.put_slice(&this.held[..count]);
                this.held.advance(count);
                this.ready -= count;
            }
            if buf.filled().len() > before || buf.remaining() == 0 {
                return Poll::Ready(Ok(()));
            }
            match &mut this.stage {
                Stage::Http if this.held.is_empty() => ready!(this.poll_read_through(cx, buf))?,
                Stage::Http => ready!(this.poll_read_held(cx))?,
                Stage::Tunnel => return Pin::new(&mut this.io).poll_read(cx, buf),
                Stage::Refused { substitute: [], .. } => {
                    // Not the end: hyper would take it for a client that went away, and not answer.
                    this.discard(cx);
                    return Poll::Pending;
                }
                Stage::Refused { substitute, .. } => {
                    let (now, later) = substitute.split_at(substitute.len().min(buf.remaining()));
                    buf.put_slice(now);
                    *substitute = later;
                }
                Stage::Broken(problem) => {
                    return Poll::Ready(Err(io::Error::new(io::ErrorKind::InvalidData, *problem)));
                }
                Stage::Ended => return Poll::Ready(Ok(())),
            }
        }
    }
}

impl<IO: AsyncRead + AsyncWrite + Unpin> AsyncWrite for Http1Guard<IO> {
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
        self.discard(cx);
        Pin::new(&mut self.io).poll_shutdown(cx)
    }
}

/// What the guard of a connection tells the service on it. Clones share it.
#[derive(Clone, Debug, Default)]
pub struct Verdict(Arc<Shared>);

#[derive(Debug, Default)]
struct Shared {
    asked: AtomicU64,
    /// How many requests came before the malformed one.
    refused: OnceLock<(u64, Malformed)>,
    tunnel: AtomicBool,
}

impl Verdict {
    /// What is wrong with the request that hyper has just handed over, if it stands for a malformed one.
    ///
    /// To be called once for each request of the connection, in their order: it is by counting that a malformed request is
    /// told from the good ones before it.
    pub fn take(&self) -> Option<Malformed> {
        let before = self.0.asked.fetch_add(1, Ordering::Relaxed);
        let (position, malformed) = self.0.refused.get()?;
        (*position == before).then(|| malformed.clone())
    }

    /// Says that the connection stops being HTTP. To be called before CONNECT is answered with 2xx, or an upgrade with 101;
    /// from then on every byte passes.
    pub fn tunnel(&self) {
        self.0.tunnel.store(true, Ordering::Release);
    }

    /// Whether that was said.
    pub fn is_tunnel(&self) -> bool {
        self.0.tunnel.load(Ordering::Acquire)
    }

    fn refuse(&self, position: u64, malformed: Malformed) {
        let _already_refused = self.0.refused.set((position, malformed));
    }
}

/// Where we are in the stream of requests.
#[derive(Debug, Default)]
struct Scanner {
    head: HeadScanner,
    /// The body that we are in.
    body: Option<Body>,
    /// How many heads have been found sound.
    heads: u64,
    /// One of them asked for a tunnel.
    wants_tunnel: bool,
}

#[derive(Debug)]
struct Scan {
    /// How many bytes are sound.
    ready: usize,
    /// How many heads were completed.
    heads: u64,
    fault: Option<Fault>,
}

#[derive(Debug)]
enum Fault {
    Head(Malformed),
    Body(&'static str),
}

impl Scanner {
    /// Looks at `bytes`, which begin where the last scan's sound ones ended.
    fn scan(&mut self, bytes: &[u8], limits: &Limits) -> Scan {
        let before = self.heads;
        let mut scan = Scan { ready: 0, heads: 0, fault: None };
        while scan.ready < bytes.len() {
            match self.step(&bytes[scan.ready..], limits) {
                Ok(Some(step)) => scan.ready += step,
                Ok(None) => break,
                Err(fault) => {
                    scan.fault = Some(fault);
                    break;
                }
            }
        }
        scan.heads = self.heads - before;
        scan
    }

    /// The length of one head or piece of a body; `None` for an incomplete head.
    fn step(&mut self, bytes: &[u8], limits: &Limits) -> Result<Option<usize>, Fault> {
        if let Some(body) = &mut self.body {
            let length = body.scan(bytes).map_err(Fault::Body)?;
            if body.is_done() {
                self.body = None;
            }
            return Ok(Some(length));
        }
        let Some(head) = self.head.scan(bytes, limits).map_err(Fault::Head)? else { return Ok(None) };
        self.head = HeadScanner::default();
        self.body = Some(head.body).filter(|body| !body.is_done());
        self.heads += 1;
        self.wants_tunnel |= head.wants_tunnel;
        Ok(Some(head.length))
    }
}

/// The time that an incomplete head still has. The timer is made when it is first needed, and kept.
#[derive(Debug, Default)]
struct Deadline {
    timer: Option<Pin<Box<Sleep>>>,
    is_running: bool,
}

impl Deadline {
    /// Goes on, begins anew, or stops.
    fn run(&mut self, head_has_begun: bool, is_another_head: bool, limits: &Limits) {
        if head_has_begun && (is_another_head || !self.is_running) {
            let end = Instant::now() + limits.header_deadline;
            match &mut self.timer {
                Some(timer) => timer.as_mut().reset(end),
                none => *none = Some(Box::pin(tokio::time::sleep_until(end))),
            }
        }
        self.is_running = head_has_begun;
    }

    fn poll(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        match &mut self.timer {
            Some(timer) if self.is_running => timer.as_mut().poll(cx),
            _ => Poll::Pending,
        }
    }
}
