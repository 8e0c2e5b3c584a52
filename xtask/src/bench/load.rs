//! The load and what answers it: blocking threads and raw sockets, so that the contestants are measured and not we.

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::Duration;

use anyhow::{Context as _, Result, ensure};

/// Connections that send one request after the other.
const CONNECTIONS: usize = 16;

/// Bytes in each answer.
const BODY: usize = 1024;

/// Answers every request with 1 KiB, for as long as the process lives.
pub(crate) fn serve(port: u16) -> Result<SocketAddr> {
    let listener = TcpListener::bind(("127.0.0.1", port))?;
    let address = listener.local_addr()?;
    thread::spawn(move || {
        for stream in listener.incoming().flatten() {
            thread::spawn(move || answer(stream));
        }
    });
    Ok(address)
}

fn answer(mut stream: TcpStream) -> std::io::Result<()> {
    stream.set_nodelay(true)?;
    let mut response =
        format!("HTTP/1.1 200 OK\r\ncontent-type: text/plain\r\ncontent-length: {BODY}\r\n\r\n").into_bytes();
    response.resize(response.len() + BODY, b'x');
    let mut buffer = [0; 4096];
    loop {
        // Requests are small and one at a time: each arrives in one piece, or its end tells.
        let mut length = 0;
        while !buffer[..length].ends_with(b"\r\n\r\n") {
            match stream.read(&mut buffer[length..])? {
                0 => return Ok(()),
                count => length += count,
            }
        }
        stream.write_all(&response)?;
    }
}

/// A GET of the echo, as the proxies are asked.
pub(crate) fn echo(host: &str) -> String {
    format!(
        "GET /echo HTTP/1.1\r\nhost: {host}\r\nuser-agent: xtask\r\naccept: */*\r\naccept-language: en\r\n\
         x-request-id: 7b2c\r\ntraceparent: {UNSAMPLED}\r\n\r\n"
    )
}

/// The trace of a request of which no span is made.
pub(crate) const UNSAMPLED: &str = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-00";

/// The trace of a request of which every span is made.
pub(crate) const SAMPLED: &str = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01";

/// Sends a request to `address` again and again for the given time; returns how often it was answered. Any answer but a 200
/// is an error.
pub(crate) fn send(address: SocketAddr, request: &str, time: Duration) -> Result<u64> {
    let is_over = Arc::new(AtomicBool::new(false));
    let clients: Vec<_> = (0..CONNECTIONS)
        .map(|_| {
            let (is_over, request) = (Arc::clone(&is_over), request.to_owned());
            thread::spawn(move || client(address, request.as_bytes(), &is_over))
        })
        .collect();
    thread::sleep(time);
    is_over.store(true, Ordering::Relaxed);
    let mut answered = 0;
    for client in clients {
        answered += client.join().map_err(|_panic| anyhow::anyhow!("a client panicked"))??;
    }
    Ok(answered)
}

fn client(address: SocketAddr, request: &[u8], is_over: &AtomicBool) -> Result<u64> {
    let mut stream = TcpStream::connect(address).with_context(|| format!("cannot connect to {address}"))?;
    stream.set_nodelay(true)?;
    stream.set_read_timeout(Some(Duration::from_secs(10)))?;
    let mut answered = 0;
    let mut buffer = vec![0; 16 * 1024];
    while !is_over.load(Ordering::Relaxed) {
        stream.write_all(request)?;
        let mut length = 0;
        loop {
            let count = stream.read(&mut buffer[length..])?;
            ensure!(count > 0, "{address} closed the connection");
            length += count;
            if whole(&buffer[..length]).is_some_and(|whole| length >= whole) {
                break;
            }
        }
        ensure!(buffer.starts_with(b"HTTP/1.1 200"), "{address}: {}", String::from_utf8_lossy(&buffer[..length]));
        answered += 1;
    }
    Ok(answered)
}

/// How long an answer is, once its head is there.
fn whole(answer: &[u8]) -> Option<usize> {
    let head = answer.windows(4).position(|window| window == b"\r\n\r\n")? + 4;
    let name = b"content-length: ";
    let value = answer[..head].windows(name.len()).position(|window| window.eq_ignore_ascii_case(name))? + name.len();
    let digits = answer[value..].iter().take_while(|byte| byte.is_ascii_digit());
    Some(head + digits.fold(0, |length, digit| length * 10 + usize::from(digit - b'0')))
}
