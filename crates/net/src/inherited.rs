//! Descriptors that the parent process passed, in systemd's manner: `LISTEN_FDS` of them from number 3 on, named by
//! `LISTEN_FDNAMES`, meant for the process `LISTEN_PID`.

use std::fs::File;
use std::os::fd::{AsFd, BorrowedFd, FromRawFd, OwnedFd};
use std::os::unix::net::{UnixListener, UnixStream};
use std::sync::atomic::{AtomicBool, Ordering};
use std::{io, net, process};

use rustix::fs::FileType;
use rustix::io::FdFlags;
use rustix::net::{AddressFamily, SocketType, sockopt};

/// After standard input, output and error.
const FIRST: i32 = 3;

/// How many callers may wait to be accepted; the kernel lowers it to `net.core.somaxconn`.
const BACKLOG: i32 = 4096;

/// Why the inherited descriptors are of no use.
#[derive(Debug, thiserror::Error)]
pub enum InheritError {
    /// What the parent said contradicts itself.
    #[error("LISTEN_FDS is `{count}` and LISTEN_FDNAMES is `{names}`: they do not fit")]
    Announcement {
        /// `LISTEN_FDS`.
        count: String,
        /// `LISTEN_FDNAMES`.
        names: String,
    },
    /// They have been taken before.
    #[error("the inherited descriptors have been taken already")]
    TakenBefore,
    /// One of them cannot be used.
    #[error("inherited descriptor `{name}` (number {number})")]
    Unusable {
        /// Its name.
        name: String,
        /// Its number.
        number: i32,
        /// What the system said.
        source: io::Error,
    },
}

/// The inherited descriptors, each to be taken once, by name and kind.
#[derive(Debug, Default)]
pub struct Descriptors(Vec<(String, Descriptor)>);

#[derive(Debug)]
enum Descriptor {
    TcpListener(net::TcpListener),
    UnixListener(UnixListener),
    UnixStream(UnixStream),
    File(File),
}

macro_rules! take_by_name {
    ($($(#[$doc:meta])* $method:ident -> $kind:ident as $type:ty;)*) => {$(
        $(#[$doc])*
        pub fn $method(&mut self, name: &str) -> Option<$type> {
            let wanted = |(named, descriptor): &(String, Descriptor)| {
                named == name && matches!(descriptor, Descriptor::$kind(_))
            };
            let position = self.0.iter().position(wanted)?;
            match self.0.remove(position).1 {
                Descriptor::$kind(found) => Some(found),
                _ => None,
            }
        }
    )*};
}

impl Descriptors {
    /// Takes what this process inherited; nothing, if the variables are not set or are meant for another process.
    ///
    /// Sockets become non-blocking, those that are bound only begin to listen, and none is inherited by our children.
    pub fn take() -> Result<Self, InheritError> {
        static TAKEN: AtomicBool = AtomicBool::new(false);
        let variable = |name| std::env::var_os(name).map(|value| value.to_string_lossy().into_owned());
        let names = announced(
            process::id(),
            variable("LISTEN_PID").as_deref(),
            variable("LISTEN_FDS").as_deref(),
            variable("LISTEN_FDNAMES").as_deref(),
        )?;
        if TAKEN.swap(true, Ordering::Relaxed) {
            return Err(InheritError::TakenBefore);
        }
        let adopted = (FIRST..).zip(names).map(|(number, name)| match adopt(number).and_then(Descriptor::try_from) {
            Ok(descriptor) => Ok((name, descriptor)),
            Err(source) => Err(InheritError::Unusable { name, number, source }),
        });
        Ok(Self(adopted.collect::<Result<_, _>>()?))
    }

    /// The names of those that have not been taken yet, in the parent's order.
    pub fn names(&self) -> impl Iterator<Item = &str> {
        self.0.iter().map(|(name, _)| name.as_str())
    }

    take_by_name! {
        /// A TCP socket that listens.
        tcp_listener -> TcpListener as net::TcpListener;
        /// A Unix socket that listens.
        unix_listener -> UnixListener as UnixListener;
        /// A Unix socket that is connected.
        unix_stream -> UnixStream as UnixStream;
        /// Anything that is not a socket, such as a pipe; blocking.
        file -> File as File;
    }
}

/// The names of the descriptors that are meant for us.
fn announced(
    own_pid: u32,
    pid: Option<&str>,
    count: Option<&str>,
    names: Option<&str>,
) -> Result<Vec<String>, InheritError> {
    let (Some(pid), Some(count)) = (pid, count) else { return Ok(Vec::new()) };
    if pid.parse() != Ok(own_pid) {
        return Ok(Vec::new());
    }
    let contradiction = || InheritError::Announcement { count: count.into(), names: names.unwrap_or_default().into() };
    let number: usize = count.parse().map_err(|_not_a_number| contradiction())?;
    let names: Vec<String> = match names {
        Some(names) if number > 0 => names.split(':').map(str::to_owned).collect(),
        _ => vec!["unknown".to_owned(); number], // systemd's name for what has none
    };
    if names.len() == number { Ok(names) } else { Err(contradiction()) }
}

/// Makes an inherited descriptor our own, and only ours: our children do not get it.
#[expect(unsafe_code, reason = "a number becomes an owned descriptor; no library can know that it is ours")]
fn adopt(number: i32) -> io::Result<OwnedFd> {
    // SAFETY: borrowed for one system call, which answers EBADF if the number is not open.
    rustix::io::fcntl_setfd(unsafe { BorrowedFd::borrow_raw(number) }, FdFlags::CLOEXEC)?;
    // SAFETY: it is open (above), the parent opened it for this process (LISTEN_PID), and `Descriptors::take` comes here
    // once per process, so nobody else owns it.
    Ok(unsafe { OwnedFd::from_raw_fd(number) })
}

impl TryFrom<OwnedFd> for Descriptor {
    type Error = io::Error;

    fn try_from(descriptor: OwnedFd) -> io::Result<Self> {
        let fd = descriptor.as_fd();
        if FileType::from_raw_mode(rustix::fs::fstat(fd)?.st_mode) != FileType::Socket {
            return Ok(Self::File(descriptor.into()));
        }
        rustix::io::ioctl_fionbio(fd, true)?;
        let listens = sockopt::socket_acceptconn(fd)?;
        match (sockopt::socket_domain(fd)?, sockopt::socket_type(fd)?) {
            (AddressFamily::INET | AddressFamily::INET6, SocketType::STREAM) => {
                if !listens {
                    rustix::net::listen(fd, BACKLOG)?;
                }
                Ok(Self::TcpListener(descriptor.into()))
            }
            (AddressFamily::UNIX, SocketType::STREAM) if listens => Ok(Self::UnixListener(descriptor.into())),
            (AddressFamily::UNIX, SocketType::STREAM) => Ok(Self::UnixStream(descriptor.into())),
            (family, kind) => {
                Err(io::Error::other(format!("neither a TCP nor a Unix stream socket: {family:?} {kind:?}")))
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use rustix::net::{SocketFlags, bind, socket_with};

    use super::*;

    #[test]
    fn only_what_is_meant_for_this_process_is_taken() {
        let names = |pid, count, names| announced(7, pid, count, names).ok();
        assert_eq!(names(None, None, None), Some(vec![]));
        assert_eq!(names(Some("8"), Some("1"), Some("a")), Some(vec![]));
        assert_eq!(names(Some("7"), Some("2"), Some("a:b")), Some(vec!["a".into(), "b".into()]));
        assert_eq!(names(Some("7"), Some("1"), None), Some(vec!["unknown".into()]));
        assert_eq!(names(Some("7"), Some("0"), Some("")), Some(vec![]));
        assert_eq!(names(Some("7"), Some("2"), Some("a")), None);
        assert_eq!(names(Some("7"), Some("-1"), Some("a")), None);
    }

    #[test]
    fn a_descriptor_is_what_it_is() {
        let bound = socket_with(AddressFamily::INET, SocketType::STREAM, SocketFlags::CLOEXEC, None).unwrap();
        bind(&bound, &net::SocketAddr::from(([127, 0, 0, 1], 0))).unwrap();
        let (stream, _peer) = UnixStream::pair().unwrap();
        let (pipe, _writer) = io::pipe().unwrap();
        let (second, _writer) = io::pipe().unwrap();
        let mut descriptors = Descriptors(vec![
            ("http".into(), bound.try_into().unwrap()),
            ("runtime".into(), OwnedFd::from(stream).try_into().unwrap()),
            ("token".into(), OwnedFd::from(pipe).try_into().unwrap()),
            ("token".into(), OwnedFd::from(second).try_into().unwrap()),
        ]);
        assert_eq!(descriptors.names().collect::<Vec<_>>(), ["http", "runtime", "token", "token"]);
        assert!(descriptors.file("http").is_none(), "of another kind");

        let address = descriptors.tcp_listener("http").unwrap().local_addr().unwrap();
        assert_ne!(address.port(), 0);
        assert!(descriptors.tcp_listener("http").is_none(), "taken");
        assert!(descriptors.unix_stream("runtime").is_some());
        assert!(descriptors.file("token").is_some() && descriptors.file("token").is_some());
        assert!(descriptors.unix_listener("token").is_none());
    }

    #[test]
    fn a_bound_socket_begins_to_listen() {
        let bound = socket_with(AddressFamily::INET, SocketType::STREAM, SocketFlags::CLOEXEC, None).unwrap();
        bind(&bound, &net::SocketAddr::from(([127, 0, 0, 1], 0))).unwrap();
        let copy = bound.try_clone().unwrap();
        assert!(!sockopt::socket_acceptconn(&copy).unwrap());
        let Ok(Descriptor::TcpListener(_listener)) = bound.try_into() else { panic!("not a listener") };
        assert!(sockopt::socket_acceptconn(&copy).unwrap());
    }

    #[test]
    fn other_sockets_are_refused() {
        let datagram = socket_with(AddressFamily::INET, SocketType::DGRAM, SocketFlags::CLOEXEC, None).unwrap();
        assert!(Descriptor::try_from(datagram).is_err());
    }
}
