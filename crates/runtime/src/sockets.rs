//! The sockets of the mesh, all on loopback. The runtime makes them and keeps a copy, so that a proxy that is started again
//! has the address and the accept queue of the one before.

use std::io;
use std::net::{Ipv4Addr, SocketAddr, SocketAddrV4, TcpListener};
use std::os::fd::OwnedFd;

use rustix::net::{AddressFamily, SocketFlags, SocketType, bind, getsockname, listen, socket_with, sockopt};

/// How many connections may wait for a proxy that is being started again. The kernel lowers it to `net.core.somaxconn`.
const BACKLOG: i32 = 4096;

/// A socket bound to a port of 127.0.0.1 that does not listen.
fn bound(port: u16) -> io::Result<OwnedFd> {
    let socket = socket_with(AddressFamily::INET, SocketType::STREAM, SocketFlags::CLOEXEC, None)?;
    sockopt::set_socket_reuseaddr(&socket, true)?;
    bind(&socket, &SocketAddrV4::new(Ipv4Addr::LOCALHOST, port))?;
    Ok(socket)
}

/// A listener on a port of 127.0.0.1; 0 takes a free one.
pub(crate) fn listener(port: u16) -> io::Result<TcpListener> {
    let socket = bound(port)?;
    listen(&socket, BACKLOG)?;
    Ok(TcpListener::from(socket))
}

/// A port that is ours as long as this lives, though nobody listens on it.
///
/// A socket that is bound but does not listen keeps the kernel from giving the port away, answers a connection with a refusal
/// at once, and, as both sides set `SO_REUSEADDR`, still lets the app bind the port (socket(7)).
#[derive(Debug)]
pub(crate) struct Reservation {
    _socket: OwnedFd,
    address: SocketAddr,
}

impl Reservation {
    pub(crate) fn new() -> io::Result<Self> {
        let socket = bound(0)?;
        let address = getsockname(&socket).map(SocketAddr::try_from)??;
        Ok(Self { _socket: socket, address })
    }

    pub(crate) fn address(&self) -> SocketAddr {
        self.address
    }

    /// A fresh socket on the port for one process to listen on. Fails while an earlier process still does.
    pub(crate) fn socket(&self) -> io::Result<OwnedFd> {
        bound(self.address.port())
    }
}

#[cfg(test)]
mod tests {
    use std::net::TcpStream;

    use super::*;

    #[test]
    fn a_reserved_port_refuses_until_somebody_listens_on_it() {
        let reservation = Reservation::new().unwrap();
        let refused = || TcpStream::connect(reservation.address()).unwrap_err().kind();
        assert_eq!(refused(), io::ErrorKind::ConnectionRefused);

        let inherited = reservation.socket().unwrap();
        listen(&inherited, 1).unwrap();
        drop(TcpStream::connect(reservation.address()).unwrap());
        assert!(reservation.socket().is_err(), "one process at a time");
        drop(inherited);

        // A program of any other kind binds the port itself; std sets SO_REUSEADDR, as nearly all do.
        drop(TcpListener::bind(reservation.address()).unwrap());
        assert_eq!(refused(), io::ErrorKind::ConnectionRefused);
    }

    #[test]
    fn a_reserved_port_is_given_to_nobody_else() {
        let reservation = Reservation::new().unwrap();
        let others = (0..2000).map(|_| listener(0).unwrap()).collect::<Vec<_>>();
        assert!(others.iter().all(|other| other.local_addr().unwrap() != reservation.address()));
    }

    #[test]
    fn a_copy_keeps_address_and_queue() {
        let ours = listener(0).unwrap();
        let theirs = ours.try_clone().unwrap();
        let address = ours.local_addr().unwrap();
        drop(theirs);
        let _client = TcpStream::connect(address).unwrap();
        let next = ours.try_clone().unwrap();
        next.accept().unwrap();
    }
}
