//! Where the body of an HTTP/1 request ends.

#![warn(clippy::arithmetic_side_effects, clippy::indexing_slicing, clippy::string_slice)]

use super::{is_field_byte, is_token_byte};

/// The rest of a body.
#[derive(Debug)]
pub(super) enum Body {
    /// So many bytes are to come.
    Length(u64),
    /// RFC 9112 §7.1.
    Chunked(Chunked),
}

/// What is expected next in a chunked body.
#[derive(Clone, Copy, Debug)]
pub(super) enum Chunked {
    /// A digit of a chunk's size; after the first also the end of the line, or an extension.
    Size {
        size: u64,
        digits: u8,
    },
    Extension {
        size: u64,
    },
    SizeLineFeed {
        size: u64,
    },
    Data {
        left: u64,
    },
    DataReturn,
    DataLineFeed,
    /// The start of a trailer, or of the empty line that ends it all.
    TrailerStart,
    TrailerName,
    TrailerValue,
    TrailerLineFeed,
    LastLineFeed,
    Done,
}

/// A size has at most as many hexadecimal digits as fit in 64 bits, leading zeros included.
const MAX_SIZE_DIGITS: u8 = 16;

impl Body {
    pub(super) fn of_length(length: u64) -> Self {
        Self::Length(length)
    }

    pub(super) fn chunked() -> Self {
        Self::Chunked(Chunked::Size { size: 0, digits: 0 })
    }

    pub(super) fn is_done(&self) -> bool {
        matches!(self, Self::Length(0) | Self::Chunked(Chunked::Done))
    }

    /// How many of these bytes belong to the body.
    pub(super) fn scan(&mut self, bytes: &[u8]) -> Result<usize, &'static str> {
        match self {
            Self::Length(left) => Ok(take(left, bytes).0),
            Self::Chunked(state) => state.scan(bytes),
        }
    }
}

impl Chunked {
    fn scan(&mut self, bytes: &[u8]) -> Result<usize, &'static str> {
        let mut rest = bytes;
        while !matches!(self, Self::Done) {
            if let Self::Data { left } = self {
                rest = take(left, rest).1;
                if *left == 0 {
                    *self = Self::DataReturn;
                }
            }
            let Some((&byte, after)) = rest.split_first() else { break };
            *self = self.next(byte)?;
            rest = after;
        }
        Ok(bytes.len().saturating_sub(rest.len()))
    }

    fn next(self, byte: u8) -> Result<Self, &'static str> {
        Ok(match (self, byte) {
            (Self::Size { size, digits }, b'0'..=b'9' | b'a'..=b'f' | b'A'..=b'F') if digits < MAX_SIZE_DIGITS => {
                let digit = char::from(byte).to_digit(16).unwrap_or_default();
                Self::Size { size: size << 4 | u64::from(digit), digits: digits.saturating_add(1) }
            }
            (Self::Size { digits: 0, .. }, _) => return Err("a chunk's size is not a number"),
            (Self::Size { size, .. }, b';') => Self::Extension { size },
            (Self::Size { size, .. } | Self::Extension { size }, b'\r') => Self::SizeLineFeed { size },
            (Self::Extension { .. }, byte) if is_field_byte(byte) => self,
            (Self::SizeLineFeed { size: 0 }, b'\n') => Self::TrailerStart,
            (Self::SizeLineFeed { size }, b'\n') => Self::Data { left: size },
            (Self::DataReturn, b'\r') => Self::DataLineFeed,
            (Self::DataLineFeed, b'\n') => Self::chunk_start(),
            (Self::TrailerStart, b'\r') => Self::LastLineFeed,
            (Self::TrailerStart | Self::TrailerName, byte) if is_token_byte(byte) => Self::TrailerName,
            (Self::TrailerName, b':') => Self::TrailerValue,
            (Self::TrailerValue, b'\r') => Self::TrailerLineFeed,
            (Self::TrailerValue, byte) if is_field_byte(byte) => self,
            (Self::TrailerLineFeed, b'\n') => Self::TrailerStart,
            (Self::LastLineFeed, b'\n') => Self::Done,
            (Self::TrailerStart | Self::TrailerName | Self::TrailerValue | Self::TrailerLineFeed, _) => {
                return Err("a trailer is malformed");
            }
            _ => return Err("a chunk is malformed"),
        })
    }

    fn chunk_start() -> Self {
        Self::Size { size: 0, digits: 0 }
    }
}

/// Takes up to `left` bytes: how many they were, and the bytes after them.
fn take<'a>(left: &mut u64, bytes: &'a [u8]) -> (usize, &'a [u8]) {
    let count = usize::try_from(*left).unwrap_or(usize::MAX).min(bytes.len());
    *left = left.saturating_sub(count as u64);
    (count, bytes.get(count..).unwrap_or_default())
}
