//! [`Api`]: a contract as data, from which router, documents and suite are made.

use std::fmt;

use http::Method;

use super::digest;
use super::openapi::{self, Dialect, Document, OperationDocument};

/// A contract, described: its name, its versions, its operations.
///
/// ```
/// # use samspill::extract::Json;
/// # use samspill::{Call, Problem};
/// use samspill::contract::Contract;
///
/// #[samspill::api(name = "statistics", versions = 1..=1)]
/// pub trait Statistics {
///     /// How often each thing happened.
///     #[get("/counts")]
///     async fn counts(&self, call: &Call) -> Result<Json<Vec<u64>>, Problem>;
/// }
///
/// let api = StatisticsApi::api();
/// assert_eq!((api.name(), api.versions().collect::<Vec<_>>()), ("statistics", vec![1]));
/// let counts = &api.operations()[0];
/// assert_eq!((counts.name(), counts.method().as_str(), counts.path()), ("counts", "GET", "/counts"));
/// ```
#[derive(Debug)]
pub struct Api {
    pub(super) name: &'static str,
    pub(super) docs: &'static str,
    pub(super) oldest: u32,
    pub(super) newest: u32,
    pub(super) deprecations: Vec<Deprecation>,
    pub(super) operations: Vec<Operation>,
}

/// A version that will go.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Deprecation {
    pub(super) version: u32,
    pub(super) since: Day,
    pub(super) sunset: Option<Day>,
    /// A page that says why, and what to do.
    pub(super) link: Option<&'static str>,
}

/// A date, `2026-11-01`, and when it begins, in seconds since 1970.
pub(crate) type Day = (&'static str, i64);

/// One method of a contract.
///
/// ```
/// # use samspill::extract::Json;
/// # use samspill::{Call, Problem};
/// use samspill::contract::Contract;
///
/// #[samspill::api(name = "statistics", versions = 1..=3)]
/// pub trait Statistics {
///     #[get("/counts", since = 2)]
///     async fn counts(&self, call: &Call) -> Result<Json<Vec<u64>>, Problem>;
/// }
///
/// let counts = &StatisticsApi::api().operations()[0];
/// assert_eq!((counts.name(), counts.method().as_str(), counts.path()), ("counts", "GET", "/counts"));
/// assert_eq!(counts.versions().collect::<Vec<_>>(), [2, 3]);
/// ```
pub struct Operation {
    pub(super) name: &'static str,
    pub(super) docs: &'static str,
    pub(super) method: Method,
    /// Without its version: `/quotes`.
    pub(super) path: &'static str,
    /// The first version that has it.
    pub(super) since: u32,
    /// The last version that has it.
    pub(super) until: u32,
    describe: fn(&mut OperationDocument<'_>),
}

impl fmt::Debug for Operation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { name, method, path, since, until, .. } = self;
        write!(f, "{name}: {method} {path} of {since}..={until}")
    }
}

impl Api {
    #[doc(hidden)]
    pub fn new(name: &'static str, docs: &'static str, oldest: u32, newest: u32) -> Self {
        Self { name, docs, oldest, newest, deprecations: Vec::new(), operations: Vec::new() }
    }

    #[doc(hidden)]
    #[must_use]
    pub fn deprecated(
        mut self,
        version: u32,
        since: (&'static str, i64),
        sunset: Option<(&'static str, i64)>,
        link: Option<&'static str>,
    ) -> Self {
        self.deprecations.push(Deprecation { version, since, sunset, link });
        self
    }

    #[doc(hidden)]
    #[must_use]
    pub fn operation(
        mut self,
        name: &'static str,
        docs: &'static str,
        method: Method,
        (path, since, until): (&'static str, u32, u32),
        describe: fn(&mut OperationDocument<'_>),
    ) -> Self {
        self.operations.push(Operation { name, docs, method, path, since, until, describe });
        self
    }

    /// What callers call it, as a host: `shipping-cost-calculator`.
    pub fn name(&self) -> &'static str {
        self.name
    }

    /// Every version that is served, the oldest first.
    pub fn versions(&self) -> impl Iterator<Item = u32> + use<> {
        self.oldest..=self.newest
    }

    /// Its operations, in the order of the trait.
    pub fn operations(&self) -> &[Operation] {
        &self.operations
    }

    /// The OpenAPI document of one version; none for a version that is not there.
    pub fn openapi(&self, version: u32, dialect: Dialect) -> Option<Document> {
        (self.oldest..=self.newest).contains(&version).then(|| openapi::document(self, version, dialect))
    }

    /// What one version means: SHA-256 of its document, of which documentation is no part.
    ///
    /// ```
    /// # use samspill::extract::Json;
    /// # use samspill::{Call, Problem};
    /// use samspill::contract::Contract;
    ///
    /// #[samspill::api(name = "statistics", versions = 1..=2)]
    /// pub trait Statistics {
    ///     #[get("/counts")]
    ///     async fn counts(&self, call: &Call) -> Result<Json<Vec<u64>>, Problem>;
    ///
    ///     #[get("/total", since = 2)]
    ///     async fn total(&self, call: &Call) -> Result<Json<u64>, Problem>;
    /// }
    ///
    /// let api = StatisticsApi::api();
    /// assert_ne!(api.digest(1), api.digest(2));
    /// assert_eq!(api.digest(3), None);
    /// ```
    pub fn digest(&self, version: u32) -> Option<String> {
        self.openapi(version, Dialect::V3_0).map(|document| digest::of(&document))
    }

    pub(super) fn deprecation(&self, version: u32) -> Option<&Deprecation> {
        self.deprecations.iter().find(|deprecation| deprecation.version == version)
    }
}

impl Operation {
    /// The method's name in the trait.
    pub fn name(&self) -> &'static str {
        self.name
    }

    /// Its verb.
    pub fn method(&self) -> &Method {
        &self.method
    }

    /// Its path, without a version: `/invoices/{id}`.
    pub fn path(&self) -> &'static str {
        self.path
    }

    /// The versions that have it.
    pub fn versions(&self) -> impl Iterator<Item = u32> + use<> {
        self.since..=self.until
    }

    pub(super) fn is_in(&self, version: u32) -> bool {
        (self.since..=self.until).contains(&version)
    }

    pub(super) fn describe(&self, document: &mut OperationDocument<'_>) {
        (self.describe)(document);
    }
}
