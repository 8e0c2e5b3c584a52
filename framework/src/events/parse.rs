//! Reads an event stream, by the rules of WHATWG HTML §9.2.6.

use std::collections::VecDeque;

/// More than this of one event is refused, so that no service can fill another's memory. In bytes.
const EVENT_LIMIT_BYTES: usize = 1024 * 1024;

/// Some browsers' and editors' way to say UTF-8; one is passed over.
const BYTE_ORDER_MARK: &[u8] = b"\xef\xbb\xbf";

/// Takes the bytes of a stream, cut anywhere, and gives its events.
#[derive(Debug, Default)]
pub(super) struct Parser {
    /// The line that has begun.
    line: Vec<u8>,
    /// The last line ended in a CR, to which a LF belongs.
    after_return: bool,
    is_past_first_line: bool,
    /// The event that has begun. Its id stays for the next ones.
    begun: Message,
    found: VecDeque<Message>,
}

/// An event as it was on the wire. Empty is what was not said.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Message {
    pub(super) data: String,
    pub(super) id: String,
    pub(super) kind: String,
}

/// An event does not end.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("an event has more than {EVENT_LIMIT_BYTES} bytes")]
pub(super) struct TooLarge;

impl Parser {
    /// Takes the next bytes.
    pub(super) fn feed(&mut self, mut bytes: &[u8]) -> Result<(), TooLarge> {
        if bytes.is_empty() {
            return Ok(()); // what follows a CR is still to come
        }
        if std::mem::take(&mut self.after_return) {
            bytes = bytes.strip_prefix(b"\n").unwrap_or(bytes);
        }
        while let Some(end) = bytes.iter().position(|byte| matches!(byte, b'\r' | b'\n')) {
            let (rest_of_line, rest) = bytes.split_at(end);
            self.extend_line(rest_of_line)?;
            let line = std::mem::take(&mut self.line);
            self.take_line(&line);
            bytes = match rest {
                [b'\r'] => {
                    self.after_return = true;
                    &[]
                }
                [b'\r', b'\n', rest @ ..] | [_, rest @ ..] => rest,
                [] => &[],
            };
        }
        self.extend_line(bytes)
    }

    /// The next event that is complete.
    pub(super) fn next(&mut self) -> Option<Message> {
        self.found.pop_front()
    }

    fn extend_line(&mut self, bytes: &[u8]) -> Result<(), TooLarge> {
        if self.begun.data.len() + self.line.len() + bytes.len() > EVENT_LIMIT_BYTES {
            return Err(TooLarge);
        }
        self.line.extend_from_slice(bytes);
        Ok(())
    }

    fn take_line(&mut self, mut line: &[u8]) {
        if !std::mem::replace(&mut self.is_past_first_line, true) {
            line = line.strip_prefix(BYTE_ORDER_MARK).unwrap_or(line);
        }
        // No character of UTF-8 has the byte of a line end in it, so a line is decoded by itself.
        let line = String::from_utf8_lossy(line);
        if line.is_empty() {
            return self.dispatch();
        }
        let (field, value) = line.split_once(':').unwrap_or((&line, ""));
        let value = value.strip_prefix(' ').unwrap_or(value);
        match field {
            "data" => self.begun.data.extend([value, "\n"]),
            "event" => value.clone_into(&mut self.begun.kind),
            "id" if !value.contains('\0') => value.clone_into(&mut self.begun.id),
            // `retry` speaks to those who reconnect by themselves; a comment's field is empty; others are to be ignored.
            _ => {}
        }
    }

    fn dispatch(&mut self) {
        let next = Message { id: self.begun.id.clone(), ..Message::default() };
        let mut message = std::mem::replace(&mut self.begun, next);
        if message.data.pop().is_some() {
            self.found.push_back(message); // its last line's end is gone
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn parse<'a>(pieces: impl IntoIterator<Item = &'a [u8]>) -> Vec<Message> {
        let mut parser = Parser::default();
        for piece in pieces {
            parser.feed(piece).unwrap();
        }
        std::iter::from_fn(|| parser.next()).collect()
    }

    #[track_caller]
    fn check(text: &str, expected: &[(&str, &str, &str)]) {
        let message = |&(kind, id, data): &(&str, &str, &str)| Message {
            data: data.to_owned(),
            id: id.to_owned(),
            kind: kind.to_owned(),
        };
        assert_eq!(parse([text.as_bytes()]), expected.iter().map(message).collect::<Vec<_>>(), "{text:?}");
    }

    #[test]
    fn the_examples_of_the_standard() {
        check("data: YHOO\ndata: +2\ndata: 10\n\n", &[("", "", "YHOO\n+2\n10")]);
        check(
            ": test stream\n\ndata: first event\nid: 1\n\ndata:second event\nid\n\ndata:  third event\n\n",
            &[("", "1", "first event"), ("", "", "second event"), ("", "", " third event")],
        );
        check("data\n\ndata\ndata\n\ndata:", &[("", "", ""), ("", "", "\n")]);
        check("data:test\n\ndata: test\n\n", &[("", "", "test"), ("", "", "test")]);
        check(
            "event: add\ndata: 73857293\n\nevent: remove\ndata: 2153\n\n",
            &[("add", "", "73857293"), ("remove", "", "2153")],
        );
    }

    #[test]
    fn odd_streams() {
        for end in ["\n", "\r", "\r\n"] {
            check(
                &["id: 7", "data: a", "data: b", "", "data: c", "", ""].join(end),
                &[("", "7", "a\nb"), ("", "7", "c")],
            );
        }
        check("\u{feff}data: a\n\n", &[("", "", "a")]);
        check("\u{feff}\u{feff}data: a\n\n\u{feff}data: b\n\n", &[]);
        check("id: 1\u{0}\nid: 2\nid: \u{0}\ndata: a\n\n", &[("", "2", "a")]);
        check("event: a\n\ndata: b\n\n", &[("", "", "b")]);
        check("retry: 1\nnonsense\n data: no\nDATA: no\n::\ndata: a:b\n\n", &[("", "", "a:b")]);
        check("\n\n\r\r\n", &[]);
    }

    #[test]
    fn a_line_end_is_one_whatever_is_between_its_halves() {
        let pieces: [&[u8]; 4] = [b"data: a\r", b"", b"\ndata: b\r", b"\n\r\n"];
        assert_eq!(parse(pieces), parse([b"data: a\ndata: b\n\n".as_slice()]));
    }

    #[test]
    fn an_event_without_an_end_is_refused() {
        let half = "x".repeat(EVENT_LIMIT_BYTES / 2);
        let mut parser = Parser::default();
        for _ in 0..3 {
            parser.feed(format!("data:{half}\n\n: {half}\n").as_bytes()).unwrap();
        }
        parser.feed(format!("data:{half}\n").as_bytes()).unwrap();
        assert_eq!(parser.feed(format!("data:{half}").as_bytes()), Err(TooLarge));
        let mut parser = Parser::default();
        parser.feed(half.as_bytes()).unwrap();
        parser.feed(half.as_bytes()).unwrap();
        assert_eq!(parser.feed(b"x"), Err(TooLarge));
    }

    /// The standard's text, read as it is written: over the whole text at once.
    fn reference(bytes: &[u8]) -> Vec<Message> {
        let text = String::from_utf8_lossy(bytes);
        let text = text.strip_prefix('\u{feff}').unwrap_or(&text).replace("\r\n", "\n").replace('\r', "\n");
        let mut lines: Vec<&str> = text.split('\n').collect();
        lines.pop(); // it has no end
        let (mut found, mut data, mut id, mut kind) = (Vec::new(), String::new(), String::new(), String::new());
        for line in lines {
            if line.is_empty() {
                if !data.is_empty() {
                    let data = data.strip_suffix('\n').unwrap_or(&data).to_owned();
                    found.push(Message { data, id: id.clone(), kind: kind.clone() });
                }
                (data, kind) = (String::new(), String::new());
                continue;
            }
            let (field, value) = match line.find(':') {
                Some(0) => continue,
                Some(colon) => (&line[..colon], &line[colon + 1..]),
                None => (line, ""),
            };
            let value = if let Some(' ') = value.chars().next() { &value[1..] } else { value };
            match field {
                "event" => kind = value.to_owned(),
                "data" => data = format!("{data}{value}\n"),
                "id" if !value.contains('\0') => id = value.to_owned(),
                _ => {}
            }
        }
        found
    }

    fn stream() -> impl Strategy<Value = Vec<u8>> {
        let pieces: Vec<&[u8]> = vec![
            b"data",
            b"id",
            b"event",
            b"retry",
            b":",
            b": ",
            b" ",
            b"\n",
            b"\n",
            b"\n\n",
            b"\r",
            b"\r\n",
            b"\r\n\r\n",
            b"x",
            b"\0",
            b"\xef\xbb\xbf",
            b"\xc3\xa5",
            b"\xc3",
            b"\xff",
            b"data: 1\n",
        ];
        proptest::collection::vec(proptest::sample::select(pieces), 0..40).prop_map(|pieces| pieces.concat())
    }

    proptest! {
        #[test]
        fn wherever_it_is_cut_the_events_are_the_same(
            bytes in stream(),
            cuts in proptest::collection::vec(any::<proptest::sample::Index>(), 0..20),
        ) {
            let mut cuts: Vec<usize> = cuts.iter().map(|cut| cut.index(bytes.len() + 1)).collect();
            cuts.extend([0, bytes.len()]);
            cuts.sort_unstable();
            let pieces = cuts.windows(2).map(|ends| &bytes[ends[0]..ends[1]]);
            let expected = reference(&bytes);
            prop_assert_eq!(parse(pieces), expected.as_slice());
            prop_assert_eq!(parse([bytes.as_slice()]), expected.as_slice());
            prop_assert_eq!(parse(bytes.chunks(1)), expected.as_slice());
        }
    }
}
