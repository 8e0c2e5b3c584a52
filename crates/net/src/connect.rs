//! Connections to others.

use std::io;
use std::net::SocketAddr;
use std::time::Duration;

use tokio::net::TcpStream;

/// Why there is no connection.
#[derive(Debug, thiserror::Error)]
pub enum ConnectError {
    /// The peer did not answer in time.
    #[error("{address} did not accept the connection within {timeout:?}")]
    Timeout {
        /// Who did not.
        address: SocketAddr,
        /// How long we waited.
        timeout: Duration,
    },
    /// The peer, or the way to it, refused.
    #[error("cannot connect to {address}")]
    Failed {
        /// To whom.
        address: SocketAddr,
        /// What the system said.
        source: io::Error,
    },
}

/// Connects, with `TCP_NODELAY`.
#[expect(clippy::disallowed_methods, reason = "the one place that connects")]
pub async fn tcp(address: SocketAddr, timeout: Duration) -> Result<TcpStream, ConnectError> {
    let failed = |source| ConnectError::Failed { address, source };
    match tokio::time::timeout(timeout, TcpStream::connect(address)).await {
        Ok(connected) => {
            let stream = connected.map_err(failed)?;
            stream.set_nodelay(true).map_err(failed)?;
            Ok(stream)
        }
        Err(_elapsed) => Err(ConnectError::Timeout { address, timeout }),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Listener;

    const GENEROUS: Duration = Duration::from_secs(10);

    #[tokio::test]
    async fn a_connection_has_no_delay() {
        let listener = Listener::bind(([127, 0, 0, 1], 0).into()).await.unwrap();
        let stream = tcp(listener.local_addr(), GENEROUS).await.unwrap();
        assert!(stream.nodelay().unwrap());
        let (accepted, peer) = listener.accept().await;
        assert!(accepted.nodelay().unwrap());
        assert_eq!(peer, stream.local_addr().unwrap());
    }

    #[tokio::test]
    async fn a_refusal_names_the_address() {
        let listener = Listener::bind(([127, 0, 0, 1], 0).into()).await.unwrap();
        let address = listener.local_addr();
        drop(listener);
        let error = tcp(address, GENEROUS).await.unwrap_err();
        assert!(matches!(error, ConnectError::Failed { address: named, .. } if named == address));
    }
}
