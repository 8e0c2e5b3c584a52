//! Malformed requests, by their names in the catalogue of bad inputs, through a real hyper server; each whole and byte by
//! byte, alone and after a good request.

use std::convert::Infallible;
use std::io;
use std::pin::Pin;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use futures_util::FutureExt;
use http::{Method, Request, Response, StatusCode, Version};
use http_body_util::{BodyExt, Empty};
use hyper::body::{Bytes, Incoming};
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt, DuplexStream, ReadBuf, duplex};

use super::{DetectError, Http1Guard, HttpVersion, Limits, check_request, detect};

const GOOD: &str = "GET / HTTP/1.1\r\nHost: a\r\n\r\n";

/// A stream that is read in small pieces.
struct Slow<IO> {
    io: IO,
    piece: usize,
}

impl<IO: AsyncRead + Unpin> AsyncRead for Slow<IO> {
    fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        let mut piece = vec![0; self.piece.min(buf.remaining())];
        let mut limited = ReadBuf::new(&mut piece);
        ready!(Pin::new(&mut self.io).poll_read(cx, &mut limited))?;
        buf.put_slice(limited.filled());
        Poll::Ready(Ok(()))
    }
}

impl<IO: AsyncWrite + Unpin> AsyncWrite for Slow<IO> {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.io).poll_write(cx, buf)
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.io).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.io).poll_shutdown(cx)
    }
}

/// Serves a connection until it ends: 200 for what the gate lets through.
async fn serve(io: impl AsyncRead + AsyncWrite + Unpin, half_close: bool) {
    let (guard, verdict) = Http1Guard::new(io, Limits::default());
    let service = service_fn(async |request: Request<Incoming>| {
        let (parts, body) = request.into_parts();
        let malformed = verdict.take().or_else(|| check_request(&parts).err());
        let status = match malformed {
            Some(malformed) => malformed.status,
            None if body.collect().await.is_err() => StatusCode::IM_A_TEAPOT, // a broken body
            None => StatusCode::OK,
        };
        let mut response = Response::new(Empty::<Bytes>::new());
        *response.status_mut() = status;
        if status != StatusCode::OK {
            response.headers_mut().insert("connection", "close".parse().unwrap());
        }
        Ok::<_, Infallible>(response)
    });
    let mut server = http1::Builder::new();
    let _result =
        server.half_close(half_close).header_read_timeout(None).serve_connection(TokioIo::new(guard), service).await;
}

/// The statuses of the answers to `sent`, which is read in pieces of so many bytes.
async fn answers(sent: &[u8], piece: usize) -> Vec<u16> {
    let (mut client, server) = duplex(1 << 20);
    let mut received = Vec::new();
    let exchange = async {
        client.write_all(sent).await.unwrap();
        client.shutdown().await.unwrap();
        client.read_to_end(&mut received).await.unwrap();
    };
    tokio::join!(exchange, serve(Slow { io: server, piece }, true));
    let received = String::from_utf8(received).unwrap();
    received.split("HTTP/1.").skip(1).map(|answer| answer[2..5].parse().unwrap()).collect()
}

/// Checks what one request is answered, and that its neighbours on the connection do not change it, nor it their answers.
async fn check(id: &str, sent: impl AsRef<[u8]>, status: u16) {
    let sent = sent.as_ref();
    let after_a_good_one = [GOOD.as_bytes(), sent, GOOD.as_bytes()].concat();
    let expected = if status == 200 { vec![200, 200, 200] } else { vec![200, status] };
    for piece in [usize::MAX, 1] {
        assert_eq!(answers(sent, piece).await, [status], "{id}: {} in pieces of {piece}", sent.escape_ascii());
        let answers = answers(&after_a_good_one, piece).await;
        assert_eq!(answers, expected, "{id} after a good request: {} in pieces of {piece}", sent.escape_ascii());
    }
}

fn get(fields: &str) -> String {
    format!("GET / HTTP/1.1\r\nHost: a\r\n{fields}\r\n\r\n")
}

fn post(fields_and_body: &str) -> String {
    format!("POST / HTTP/1.1\r\nHost: a\r\n{fields_and_body}")
}

fn line(line: &str) -> String {
    format!("{line}\r\nHost: a\r\n\r\n")
}

fn host(target: &str, host: &str) -> String {
    format!("GET {target} HTTP/1.1\r\nHost: {host}\r\n\r\n")
}

#[tokio::test]
async fn good_requests_pass() {
    for good in [
        get("a: b\r\nc:\td\t \r\ne:"),
        get("latin-1: \u{e5}"),
        format!("\r\n{GOOD}"),
        post("Content-Length: 3\r\n\r\nabc"),
        post("Content-Length: 0\r\n\r\n"),
        post("\r\n"),
        post("transfer-encoding:chunked\r\n\r\n3\r\nabc\r\n0\r\n\r\n"),
        post(
            "Transfer-Encoding: chunked\r\n\r\n000A;name=\"va lue\";x\r\n0123456789\r\n0\r\nDigest: x\r\nother:\r\n\r\n",
        ),
        post("Expect: 100-Continue\r\nContent-Length: 0\r\n\r\n"),
        line("DELETE /a?b=%20&c=|^{} HTTP/1.1"),
        line("OPTIONS * HTTP/1.1"),
        host("http://a/b", "A:80"),
        host("/", "a.b-c_d.:65535"),
        host("/", "[::1]:8080"),
        get("Upgrade: h2c\r\nConnection: upgrade"),
    ] {
        check("good", good, 200).await;
    }
    // HTTP/1.0 ends with the answer.
    for good in ["GET / HTTP/1.0\r\n\r\n", "POST / HTTP/1.0\r\nHost: a\r\nContent-Length: 1\r\n\r\nx"] {
        assert_eq!(answers(good.as_bytes(), 1).await, [200], "{good:?}");
    }
}

#[tokio::test]
async fn smuggling_by_length() {
    for (id, sent, status) in [
        ("H1-01", post("Content-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n"), 400),
        ("H1-02", post("Transfer-Encoding: chunked\r\nContent-Length: 5\r\n\r\n0\r\n\r\n"), 400),
        ("H1-03", post("Transfer-Encoding: xchunked\r\n\r\n"), 501),
        ("H1-03", post("Transfer-Encoding: identity\r\n\r\n"), 501),
        ("H1-03", post("Transfer-Encoding: gzip, chunked\r\n\r\n"), 501),
        ("H1-03", post("Transfer-Encoding: chunked, identity\r\n\r\n"), 400),
        ("H1-03", post("Transfer-Encoding: chunked, chunked\r\n\r\n"), 400),
        ("H1-03", post("Transfer-Encoding: Chunked\r\n\r\n"), 400),
        ("H1-03", post("Transfer-Encoding: chunked \r\n\r\n"), 400),
        ("H1-03", post("Transfer-Encoding:\tchunked\r\n\r\n"), 400),
        ("H1-03", post("Transfer-Encoding: chunked\x0b\r\n\r\n"), 400),
        ("H1-03", post("Transfer-Encoding: \"chunked\"\r\n\r\n"), 400),
        ("H1-03", post("Transfer-Encoding:\r\n\r\n"), 400),
        ("H1-03", post("Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n\r\n"), 400),
        ("H1-03", post("Transfer-Encoding: chunked\r\nTransfer-Encoding: identity\r\n\r\n"), 400),
        ("H1-04", post("Content-Length: 1\r\nContent-Length: 1\r\n\r\nx"), 400),
        ("H1-05", post("Content-Length: 1\r\nContent-Length: 2\r\n\r\nx"), 400),
        ("H1-05", post("Content-Length: 1, 2\r\n\r\nx"), 400),
        ("H1-05", post("Content-Length: 1, 1\r\n\r\nx"), 400),
        ("H1-05", post("Content-Length: +5\r\n\r\nx"), 400),
        ("H1-05", post("Content-Length: -0\r\n\r\n"), 400),
        ("H1-05", post("Content-Length: 0x5\r\n\r\n"), 400),
        ("H1-05", post("Content-Length: 05\r\n\r\nabcde"), 400),
        ("H1-05", post("Content-Length: 1 2\r\n\r\nx"), 400),
        ("H1-05", post("Content-Length: \r\n\r\n"), 400),
        ("H1-05", post("Content-Length: 18446744073709551616\r\n\r\n"), 400),
        ("H1-06", "POST / HTTP/1.0\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n".into(), 400),
        ("H1-07", "POST / HTTP/1.0\r\nHost: a\r\n\r\nGET /hidden HTTP/1.1\r\nHost: a\r\n\r\n".into(), 400),
    ] {
        check(id, sent, status).await;
    }
}

#[tokio::test]
async fn malformed_lines() {
    for (id, sent, status) in [
        ("H1-08", get("a: b\r\n c"), 400),
        ("H1-08", get("a: b\r\n\tc"), 400),
        ("H1-08", "GET / HTTP/1.1\r\n Host: a\r\n\r\n".into(), 400),
        ("H1-09", "GET / HTTP/1.1\nHost: a\r\n\r\n".into(), 400),
        ("H1-09", "GET / HTTP/1.1\r\nHost: a\n\r\n".into(), 400),
        ("H1-09", "GET / HTTP/1.1\r\nHost: a\r\n\n".into(), 400),
        ("H1-09", "\nGET / HTTP/1.1\r\nHost: a\r\n\r\n".into(), 400),
        ("H1-09", format!("\r\n\r\n{GOOD}"), 400),
        ("H1-10", get("a: b\rc"), 400),
        ("H1-10", get("a: b\r\r"), 400),
        ("H1-10", get("a: b\0c"), 400),
        ("H1-10", get("a: b\x1bc"), 400),
        ("H1-10", get("a: b\x7f"), 400),
        ("H1-10", get("a : b"), 400),
        ("H1-10", get(": b"), 400),
        ("H1-10", get("a"), 400),
        ("H1-10", get("a(b): c"), 400),
        ("H1-10", get("\u{e5}: b"), 400),
        ("H1-18", line("get / HTTP/1.1"), 400),
        ("H1-18", line(&format!("{} / HTTP/1.1", "X".repeat(16 * 1024))), 501),
        ("H1-18", line("G\x01T / HTTP/1.1"), 400),
        ("H1-18", line("GET / HTTP/1.2"), 505),
        ("H1-18", line("GET / HTTP/9.9"), 505),
        ("H1-18", line("GET / HTTP/11"), 400),
        ("H1-18", line("GET / http/1.1"), 400),
        ("H1-18", "GET /\r\n\r\n".into(), 400),
        ("H1-18", "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n".into(), 505),
        ("H1-18", line("GET  / HTTP/1.1"), 400),
        ("H1-18", line("GET / HTTP/1.1 "), 400),
        ("H1-18", line("GET\t/\tHTTP/1.1"), 400),
        ("H1-18", line(&format!("GET /{} HTTP/1.1", "x".repeat(64 * 1024))), 414),
        ("SL-02", get(&format!("a: {}", "x".repeat(64 * 1024))), 431),
        ("SL-02", get(&["a: b"; 100].join("\r\n")), 431), // and the host
        ("H1-21", get("Expect: y 100-continue"), 417),
        ("H1-21", get("Expect: 100-continue\r\nExpect: 100-continue"), 417),
    ] {
        check(id, sent, status).await;
    }
    check("just enough", get(&["a: b"; 99].join("\r\n")), 200).await;
}

#[tokio::test]
async fn malformed_targets_and_hosts() {
    for (id, sent, status) in [
        ("H1-16", "GET / HTTP/1.1\r\n\r\n".into(), 400),
        ("H1-16", "GET / HTTP/1.1\r\nHost: a\r\nHost: a\r\n\r\n".into(), 400),
        ("H1-16", host("/", ""), 400),
        ("H1-16", host("/", "a b"), 400),
        ("H1-16", host("/", "a, b"), 400),
        ("H1-16", host("/", "a/b"), 400),
        ("H1-16", host("/", "user@a"), 400),
        ("H1-16", host("/", "a:"), 400),
        ("H1-16", host("/", "a:http"), 400),
        ("H1-16", host("/", "a:65536"), 400),
        ("H1-16", host("/", ":80"), 400),
        ("H1-16", host("http://user@a/", "a"), 400),
        ("N-06", host("http://b/", "a"), 400),
        ("N-06", host("/", "\u{e5}"), 400),
        ("N-06", host("/", "[fe80::1%25eth0]"), 400),
        ("N-06", host("/", "[::1"), 400),
        ("H1-17", host("*", "a"), 400),
        ("H1-17", host("a:80", "a:80"), 400),
        ("H1-17", host("ftp://a/", "a"), 400),
        ("H1-17", host("/a#b", "a"), 400),
        ("H1-17", host("/\u{e5}", "a"), 400),
        ("H1-17", line("CONNECT / HTTP/1.1"), 400),
        ("H1-17", line("CONNECT a HTTP/1.1"), 400),
        ("H1-24", "CONNECT a:80 HTTP/1.1\r\nHost: a\r\nContent-Length: 1\r\n\r\nx".into(), 400),
    ] {
        check(id, sent, status).await;
    }
}

/// What the guard makes of a chunked body: whether it passed, byte for byte.
fn passes(body: &str, piece: usize) -> bool {
    let sent = post(&format!("Transfer-Encoding: chunked\r\n\r\n{body}{GOOD}"));
    let (mut guard, _verdict) = Http1Guard::new(Slow { io: sent.as_bytes(), piece }, Limits::default());
    let mut received = Vec::new();
    match guard.read_to_end(&mut received).now_or_never() {
        Some(Ok(_)) => {
            assert_eq!(received, sent.as_bytes(), "what passes is not changed");
            true
        }
        Some(Err(error)) => {
            assert_eq!(error.kind(), io::ErrorKind::InvalidData);
            assert!(sent.as_bytes().starts_with(&received));
            false
        }
        None => panic!("not a head's fault: {body:?}"),
    }
}

#[tokio::test]
async fn malformed_chunks() {
    for (id, body, expected) in [
        ("good", "1\r\na\r\n0\r\n\r\n", true),
        ("good", "a;b=\"c d\";e\r\n0123456789\r\n00\r\n\r\n", true),
        ("H1-11", "1\na\r\n0\r\n\r\n", false),
        ("H1-11", "1\r\na\n0\r\n\r\n", false),
        ("H1-11", "1\r\na\r0\r\n\r\n", false),
        ("H1-11", "1\r\na0\r\n\r\n", false),
        ("H1-11", "1\r\nab\r\n0\r\n\r\n", false),
        ("H1-12", "1;a\nb\r\na\r\n0\r\n\r\n", false),
        ("H1-12", "1;a\rb\r\na\r\n0\r\n\r\n", false),
        ("H1-12", "1;a=\"\r\na\r\n0\r\n\r\n", true),
        ("H1-12", "1 ;a\r\na\r\n0\r\n\r\n", false),
        ("H1-14", "10000000000000000\r\n", false),
        ("H1-14", "00000000000000001\r\na\r\n0\r\n\r\n", false),
        ("H1-14", "0000000000000001\r\na\r\n0\r\n\r\n", true),
        ("H1-14", "0x1\r\na\r\n0\r\n\r\n", false),
        ("H1-14", "+1\r\na\r\n0\r\n\r\n", false),
        ("H1-14", "\r\na\r\n0\r\n\r\n", false),
        ("H1-14", "g\r\na\r\n0\r\n\r\n", false),
        ("H1-14", "0\r\n", false),
        ("H1-15", "0\r\na: b\r\n\r\n", true),
        ("H1-15", "0\r\na: b\n\r\n", false),
        ("H1-15", "0\r\na: b\r\n c\r\n\r\n", false),
        ("H1-15", "0\r\na : b\r\n\r\n", false),
        ("H1-15", "0\r\na: \0\r\n\r\n", false),
        ("H1-15", "0\r\n: b\r\n\r\n", false),
    ] {
        for piece in [usize::MAX, 7, 1] {
            assert_eq!(passes(body, piece), expected, "{id}: {body:?} in pieces of {piece}");
        }
    }
}

#[tokio::test]
async fn many_pipelined_requests_are_answered_in_order() {
    let sent = [GOOD.repeat(1000), post("Content-Length: 3\r\n\r\nabc"), get("a : b")].concat();
    let mut expected = vec![200; 1001];
    expected.push(400);
    for piece in [usize::MAX, 1000, 13, 1] {
        assert_eq!(answers(sent.as_bytes(), piece).await, expected, "in pieces of {piece}");
    }
}

#[tokio::test]
async fn the_verdict_is_on_the_right_request() {
    // Without half-close hyper reads on before the first request has been looked at.
    for bad in [get("a : b"), line("GET / HTTP/1.2")] {
        for piece in [usize::MAX, GOOD.len(), 1] {
            let (mut client, server) = connected(&[GOOD, GOOD, &bad, GOOD].concat()).await;
            serve(Slow { io: server, piece }, false).await;
            let mut received = String::new();
            client.read_to_string(&mut received).await.unwrap();
            assert_eq!(received.matches("200 OK").count(), 2, "{received}");
            assert_eq!(received.matches("HTTP/1.1 ").count(), 3, "{received}");
        }
    }
}

/// A connection whose client has sent something and stays.
async fn connected(sent: &str) -> (DuplexStream, DuplexStream) {
    let (mut client, server) = duplex(1 << 16);
    client.write_all(sent.as_bytes()).await.unwrap();
    (client, server)
}

#[tokio::test(start_paused = true)]
async fn sl_01_a_slow_head_is_answered_in_time() {
    let (mut client, server) = connected(&format!("{GOOD}GET / HT")).await;
    let begin = tokio::time::Instant::now();
    let mut received = String::new();
    let dripping = async {
        let (mut reader, mut writer) = tokio::io::split(&mut client);
        let drip = async {
            while writer.write_all(b"x").await.is_ok() {
                tokio::time::sleep(Duration::from_secs(1)).await;
            }
        };
        tokio::select! {
            read = reader.read_to_string(&mut received) => drop(read.unwrap()),
            () = drip => {}
        }
    };
    tokio::join!(dripping, serve(server, true));
    assert!(received.contains("408"), "{received}");
    assert_eq!(begin.elapsed().as_secs(), Limits::default().header_deadline.as_secs());
}

#[tokio::test(start_paused = true)]
async fn a_client_may_be_idle_between_requests() {
    let (mut client, server) = connected(GOOD).await;
    let patient = async {
        tokio::time::sleep(Limits::default().header_deadline * 10).await;
        client.write_all(GOOD.as_bytes()).await.unwrap();
        client.shutdown().await.unwrap();
        let mut received = String::new();
        client.read_to_string(&mut received).await.unwrap();
        assert_eq!(received.matches("200 OK").count(), 2);
    };
    tokio::join!(patient, serve(server, true));
}

#[tokio::test]
async fn half_a_head_is_no_request() {
    assert_eq!(answers(b"GET / HTTP/1.1\r\nHost: a\r\n", 1).await, [0; 0]);
    assert_eq!(answers([GOOD, "GET"].concat().as_bytes(), 1).await, [200]);
}

#[tokio::test]
async fn what_follows_a_refused_head_is_read_so_that_the_answer_arrives() {
    let (mut client, server) = connected(&get("a : b")).await;
    client.write_all(&[b'x'; 50_000]).await.unwrap();
    serve(server, false).await;
    client.write_all(b"x").await.unwrap_err(); // the server is gone, and with it nothing unread
    let mut received = String::new();
    client.read_to_string(&mut received).await.unwrap();
    assert!(received.starts_with("HTTP/1.1 400"), "{received}");
}

#[tokio::test]
async fn h1_22_a_tunnel_begins_when_it_is_accepted() {
    let connect = "CONNECT a:80 HTTP/1.1\r\nHost: a\r\n\r\n";
    let raw = "\x16\x03\x01 anything\n\n\0";

    let (mut client, server) = connected(connect).await;
    let (mut guard, verdict) = Http1Guard::new(server, Limits::default());
    let mut received = vec![0; connect.len()];
    guard.read_exact(&mut received).await.unwrap();
    assert_eq!(received, connect.as_bytes());
    verdict.tunnel();
    client.write_all(raw.as_bytes()).await.unwrap();
    let mut received = vec![0; raw.len()];
    guard.read_exact(&mut received).await.unwrap();
    assert_eq!(received, raw.as_bytes());

    // Before that, bytes that are not HTTP end the connection, and no substitute can fall into the tunnel.
    let sent = [connect, raw].concat();
    let (mut guard, verdict) = Http1Guard::new(sent.as_bytes(), Limits::default());
    let mut received = Vec::new();
    assert_eq!(guard.read_to_end(&mut received).await.unwrap_err().kind(), io::ErrorKind::InvalidData);
    assert_eq!(received, connect.as_bytes());
    assert!(verdict.take().is_none() && verdict.take().is_none());

    // The beginning of a line that is held back goes through the tunnel.
    let (mut client, server) = connected(&[connect, "early"].concat()).await;
    let (mut guard, verdict) = Http1Guard::new(server, Limits::default());
    let mut received = vec![0; connect.len()];
    guard.read_exact(&mut received).await.unwrap();
    verdict.tunnel();
    client.shutdown().await.unwrap();
    received.clear();
    guard.read_to_end(&mut received).await.unwrap();
    assert_eq!(received, b"early");
}

#[test]
fn http2_requests() {
    let request = |method: Method, uri: &str, fields: &[(&'static str, &str)]| {
        let mut request = Request::builder().version(Version::HTTP_2).method(method).uri(uri);
        for (name, value) in fields {
            request = request.header(*name, *value);
        }
        check_request(&request.body(()).unwrap().into_parts().0).map_err(|malformed| malformed.status.as_u16())
    };
    let get = |uri, fields| request(Method::GET, uri, fields);
    assert_eq!(get("http://a/b", &[("te", "trailers")]), Ok(()));
    assert_eq!(get("https://a:443/b", &[("host", "a:443")]), Ok(()));
    assert_eq!(get("/b", &[("host", "a")]), Ok(()));
    assert_eq!(request(Method::CONNECT, "a:80", &[]), Ok(()));
    for (id, result) in [
        ("H2-10", get("http://a/", &[("connection", "close")])),
        ("H2-10", get("http://a/", &[("keep-alive", "1")])),
        ("H2-10", get("http://a/", &[("proxy-connection", "close")])),
        ("H2-10", get("http://a/", &[("transfer-encoding", "chunked")])),
        ("H2-10", get("http://a/", &[("upgrade", "h2c")])),
        ("H2-10", get("http://a/", &[("te", "gzip")])),
        ("H2-10", get("http://a/", &[("te", "trailers, gzip")])),
        ("H2-12", request(Method::CONNECT, "http://a:80/", &[])),
        ("N-06", get("http://a/", &[("host", "b")])),
        ("N-06", get("http://a/", &[("host", "a"), ("host", "a")])),
        ("N-06", get("http://user@a/", &[])),
        ("N-06", get("/b", &[])),
    ] {
        assert_eq!(result, Err(400), "{id}");
    }
}

#[tokio::test]
async fn the_preface_tells_the_version() {
    let preface = "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";
    for (sent, expected) in [
        (GOOD.to_owned(), HttpVersion::Http1),
        ("P".to_owned(), HttpVersion::Http1),
        ("PRI * HTTP/2.0\r\n\r\nSM\r\n\rx".to_owned(), HttpVersion::Http1),
        (preface.to_owned(), HttpVersion::Http2),
        (format!("{preface}more"), HttpVersion::Http2),
    ] {
        for piece in [usize::MAX, 5, 1] {
            let io = Slow { io: sent.as_bytes(), piece };
            let (version, mut io) = detect(io, Duration::from_secs(10)).await.unwrap();
            assert_eq!(version, expected, "{sent:?}");
            let mut received = String::new();
            io.read_to_string(&mut received).await.unwrap();
            assert_eq!(received, sent, "nothing is lost");
        }
    }
}

#[tokio::test(start_paused = true)]
async fn h2_14_the_preface_has_a_deadline() {
    let deadline = Duration::from_secs(10);
    assert!(matches!(detect(&b""[..], deadline).await, Err(DetectError::Closed)));
    for sent in ["", "PRI * HTTP/2.0"] {
        let (_client, server) = connected(sent).await;
        assert!(matches!(detect(server, deadline).await, Err(DetectError::Timeout(_))), "{sent:?}");
    }
}
