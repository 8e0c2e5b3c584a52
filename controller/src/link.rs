//! The runtime's end of the line: one JSON object per line over the inherited Unix socket, both ways.

use std::io;

use futures_util::{Stream, StreamExt};
use samspill_model::link::{ToController, ToRuntime};
use tokio::io::AsyncWriteExt;
use tokio::net::UnixStream;
use tokio::net::unix::OwnedWriteHalf;
use tokio::sync::mpsc;
use tokio_util::codec::{FramedRead, LinesCodec, LinesCodecError};

/// A line longer than this is nothing that a runtime says: an inventory has about 1 KiB per instance.
const MAX_LINE_BYTES: usize = 64 << 20;

/// Why nothing more is understood from the runtime.
#[derive(Debug, thiserror::Error)]
pub enum LinkError {
    /// The socket failed, or the line is longer than any should be.
    #[error("cannot read from the runtime")]
    Read(#[source] LinesCodecError),
    /// It is from another version of this program.
    #[error("the runtime said what this controller does not understand; are both of the same version?")]
    Understand(#[source] serde_json::Error),
}

/// What the runtime says, and where to answer. The stream ends with the runtime.
pub(crate) fn open(
    stream: std::os::unix::net::UnixStream,
) -> io::Result<(impl Stream<Item = Result<ToController, LinkError>> + Send + Unpin, mpsc::UnboundedSender<ToRuntime>)>
{
    stream.set_nonblocking(true)?;
    let (reader, writer) = UnixStream::from_std(stream)?.into_split();
    let lines = FramedRead::new(reader, LinesCodec::new_with_max_length(MAX_LINE_BYTES));
    let messages = lines.map(|line| {
        let line = line.map_err(LinkError::Read)?;
        serde_json::from_str(&line).map_err(LinkError::Understand)
    });
    // Unbounded, because plans are few, and a runtime that reads slowly must not stop the controller.
    let (sender, receiver) = mpsc::unbounded_channel();
    samspill_net::task::spawn("runtime-link", write(writer, receiver));
    Ok((messages, sender))
}

async fn write(mut writer: OwnedWriteHalf, mut messages: mpsc::UnboundedReceiver<ToRuntime>) {
    while let Some(message) = messages.recv().await {
        let mut line = serde_json::to_vec(&message).expect("the model's types can be written as JSON");
        line.push(b'\n');
        if let Err(error) = writer.write_all(&line).await {
            // The reading half sees the same end, and that is the one that counts.
            tracing::warn!(%error, "cannot write to the runtime");
            return;
        }
    }
}
