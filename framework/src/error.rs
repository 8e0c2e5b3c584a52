//! [`Error`]: what `main` of a service may end with.

use std::error::Error as StdError;
use std::fmt;
use std::process::ExitCode;

use crate::settings::SettingsError;

/// Exit code for bad usage or bad settings (`EX_USAGE` of sysexits.h).
const EXIT_USAGE: u8 = 64;

/// Why a service could not start or had to stop. Any error becomes one with `?`.
///
/// ```
/// fn open() -> Result<(), samspill::Error> {
///     "80a".parse::<u16>()?;
///     Ok(())
/// }
/// assert_eq!(open().unwrap_err().to_string(), "invalid digit found in string");
/// ```
// It does not implement `std::error::Error`: then `From` below could not be written (the same as in `anyhow`).
pub struct Error(Box<dyn StdError + Send + Sync>);

impl Error {
    /// An error that is a sentence.
    ///
    /// ```
    /// fn check(copies: u32) -> Result<(), samspill::Error> {
    ///     if copies > 0 { Ok(()) } else { Err(samspill::Error::new("there must be a copy")) }
    /// }
    /// assert_eq!(check(0).unwrap_err().to_string(), "there must be a copy");
    /// ```
    pub fn new(message: impl Into<String>) -> Self {
        Self(message.into().into())
    }

    /// 64 for settings that are wrong, 1 for everything else.
    pub(crate) fn exit_code(&self) -> ExitCode {
        if self.0.is::<SettingsError>() { ExitCode::from(EXIT_USAGE) } else { ExitCode::FAILURE }
    }
}

impl<E: StdError + Send + Sync + 'static> From<E> for Error {
    fn from(error: E) -> Self {
        Self(Box::new(error))
    }
}

/// The error and all its causes, outermost first.
impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        samspill_observability::chain(self.0.as_ref()).fmt(f)
    }
}

impl fmt::Debug for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}
