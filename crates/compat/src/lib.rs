//! What has changed between two versions of a contract's document, and who notices.
//!
//! A contract is an OpenAPI 3.0 document ([`OpenApi`]) or a protobuf package ([`Proto`]). Both are compared by what they mean on the
//! wire, not by how they are written: a reference is followed, an `allOf` is folded into one schema, order does not count. The
//! answer is a list of [`Change`]s, each with its place in the document, the [`Rule`] that it falls under, and its [`Effect`].
//!
//! **No I/O:** documents come in as text, changes go out. Where the documents are kept, and which of them are blessed, is the
//! matter of `samspill api`.
//!
//! ```
//! use samspill_compat::{OpenApi, Rule};
//!
//! let document = |path: &str| {
//!     let text = format!(r#"{{"openapi": "3.0.3", "info": {{}}, "paths": {{"{path}": {{"get": {{"responses": {{}}}}}}}}}}"#);
//!     OpenApi::parse(&text)
//! };
//! let changes = OpenApi::compare(&document("/v1/offers")?, &document("/v1/quotes")?);
//! assert_eq!(changes[0].rule, Rule::OperationRemoved);
//! assert_eq!(changes[0].pointer, "#/paths/~1v1~1offers/get");
//! assert_eq!(changes[0].place(), "GET /v1/offers");
//! assert_eq!(changes[1].rule, Rule::OperationAdded);
//! # Ok::<(), samspill_compat::OpenApiError>(())
//! ```
//!
//! Reading order: `change`, `rule` (what comes out), `openapi` (documents and operations), `openapi/schema` (the two schemas of one
//! place), `openapi/flat` (what a schema means), `proto`.

mod change;

mod rule;

mod openapi;

mod proto;

pub use change::{Change, Effect};
pub use openapi::{Deprecated, OpenApi, OpenApiError};
pub use proto::{Proto, ProtoError};
pub use rule::Rule;
