//! [`Priority`]: how much a caller would miss the answer.

use http::{HeaderMap, HeaderValue};
use samspill_observability::conventions::header::SAMSPILL_PRIORITY;

/// How much a caller would miss the answer, for whoever has too much to do: what matters least is refused first.
///
/// It is carried from call to call, so a request has one priority through all services. The header is
/// `samspill-priority`: `critical`, `normal` or `background`. An unknown word is [`Normal`](Self::Normal), and the edge
/// removes what a stranger claims.
///
/// ```
/// use samspill::Priority;
///
/// assert!(Priority::Background < Priority::Normal && Priority::Normal < Priority::Critical);
/// assert_eq!(samspill::test::call().priority(), Priority::Normal);
/// ```
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Priority {
    /// It can be done later, or not at all: reports, warming of caches.
    Background,
    /// Somebody waits for it.
    #[default]
    Normal,
    /// Others fail without it: payments, health, control.
    Critical,
}

impl Priority {
    /// As in the header.
    ///
    /// ```
    /// assert_eq!(samspill::Priority::default().as_str(), "normal");
    /// ```
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Background => "background",
            Self::Normal => "normal",
            Self::Critical => "critical",
        }
    }

    pub(super) fn read(headers: &HeaderMap) -> Self {
        match headers.get(SAMSPILL_PRIORITY).map(HeaderValue::as_bytes) {
            Some(b"critical") => Self::Critical,
            Some(b"background") => Self::Background,
            _ => Self::Normal,
        }
    }

    /// Said only where it is not what is assumed anyway.
    pub(super) fn write(self, headers: &mut HeaderMap) {
        if self != Self::Normal {
            headers.insert(SAMSPILL_PRIORITY, HeaderValue::from_static(self.as_str()));
        }
    }
}
