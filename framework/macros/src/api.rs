//! `#[samspill::api]`: a trait becomes a contract.

mod expand;
mod parse;

pub(crate) use parse::{Mistakes, Takes, api_name, docs, is_reference_to, last_segment, takes};

use proc_macro2::{Span, TokenStream};
use syn::{Attribute, Ident, LitStr, Result, Type, Visibility};

/// A trait, understood.
struct Contract {
    attributes: Vec<Attribute>,
    visibility: Visibility,
    ident: Ident,
    /// What the documents call it.
    name: LitStr,
    docs: String,
    oldest: u32,
    newest: u32,
    deprecations: Vec<Deprecation>,
    operations: Vec<Operation>,
}

/// A version that will go.
struct Deprecation {
    version: u32,
    since: Day,
    sunset: Option<Day>,
    /// A page that says why, and what to do.
    link: Option<LitStr>,
}

/// A date, as it is written and in seconds since 1970.
struct Day {
    text: LitStr,
    seconds: i64,
}

/// A method, understood.
struct Operation {
    attributes: Vec<Attribute>,
    ident: Ident,
    docs: String,
    verb: Verb,
    path: LitStr,
    since: u32,
    until: u32,
    /// `&Call`, as the author spells it.
    call: Type,
    arguments: Vec<Argument>,
    answer: Type,
    error: Type,
}

struct Argument {
    ident: Ident,
    kind: Type,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Verb {
    Get,
    Post,
    Put,
    Patch,
    Delete,
}

impl Verb {
    const ALL: [Self; 5] = [Self::Get, Self::Post, Self::Put, Self::Patch, Self::Delete];

    /// As the attribute spells it.
    fn attribute(self) -> &'static str {
        match self {
            Self::Get => "get",
            Self::Post => "post",
            Self::Put => "put",
            Self::Patch => "patch",
            Self::Delete => "delete",
        }
    }

    /// Its constant in `http::Method`.
    fn constant(self) -> Ident {
        Ident::new(&self.attribute().to_ascii_uppercase(), Span::call_site())
    }

    fn takes_body(self) -> bool {
        matches!(self, Self::Post | Self::Put | Self::Patch)
    }
}

pub(crate) fn contract(arguments: TokenStream, item: TokenStream) -> Result<TokenStream> {
    parse::contract(arguments, item).map(|contract| expand::contract(&contract))
}
