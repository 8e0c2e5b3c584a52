//! Reads the trait, and says everything that is wrong with it at once.

use proc_macro2::{Span, TokenStream};
use quote::ToTokens;
use syn::ext::IdentExt;
use syn::parse::{Parse, ParseStream};
use syn::punctuated::Punctuated;
use syn::spanned::Spanned;
use syn::{
    Attribute, Error, Expr, ExprLit, FnArg, GenericArgument, Ident, Item, ItemTrait, Lit, LitInt, LitStr, Meta, Pat,
    PathArguments, Result, ReturnType, Token, TraitItem, TraitItemFn, Type, TypeReference, parenthesized,
};

use super::{Argument, Contract, Day, Deprecation, Operation, Verb};
use crate::{date, say_once};

pub(super) fn contract(arguments: TokenStream, item: TokenStream) -> Result<Contract> {
    let header: Header = syn::parse2(arguments)?;
    let item = match syn::parse2::<Item>(item)? {
        Item::Trait(item) => item,
        other => {
            let span = other.span();
            return Err(Error::new(span, "a contract is a trait; put `#[samspill::api(…)]` on `pub trait Name { … }`"));
        }
    };
    let mut mistakes = Mistakes::default();
    check_trait(&item, &mut mistakes);

    let mut operations = Vec::new();
    for member in item.items {
        match member {
            TraitItem::Fn(method) => match operation(method, &header, &mut mistakes) {
                Ok(operation) => operations.push(operation),
                Err(error) => mistakes.note(error),
            },
            other => {
                mistakes.add(&other, "a contract has only methods; a constant or a type is no part of an API");
            }
        }
    }
    check_overlaps(&operations, &mut mistakes);
    let contract = Contract {
        docs: docs(&item.attrs),
        attributes: item.attrs,
        visibility: item.vis,
        ident: item.ident,
        name: header.name,
        oldest: header.oldest,
        newest: header.newest,
        deprecations: header.deprecations,
        operations,
    };
    mistakes.none().map(|()| contract)
}

/// Every mistake so far.
#[derive(Default)]
pub(crate) struct Mistakes(Option<Error>);

impl Mistakes {
    /// Notes what is wrong with these tokens, which the compiler then underlines.
    pub(crate) fn add(&mut self, tokens: impl ToTokens, message: impl std::fmt::Display) {
        self.note(Error::new_spanned(tokens, message));
    }

    pub(crate) fn note(&mut self, error: Error) {
        match &mut self.0 {
            Some(all) => all.combine(error),
            none => *none = Some(error),
        }
    }

    pub(crate) fn none(self) -> Result<()> {
        self.0.map_or(Ok(()), Err)
    }
}

/// What stands in `#[samspill::api(…)]`.
struct Header {
    name: LitStr,
    oldest: u32,
    newest: u32,
    deprecations: Vec<Deprecation>,
}

impl Parse for Header {
    fn parse(input: ParseStream<'_>) -> Result<Self> {
        const HELP: &str = "say which API this is: `#[samspill::api(name = \"statistics\", versions = 1..=2)]`";
        let (mut name, mut versions, mut deprecations) = (None, None, Vec::new());
        let mut seen = Vec::new();
        while !input.is_empty() {
            let key: Ident = input.parse()?;
            if key != "deprecated" {
                say_once(&mut seen, key.clone())?;
            }
            match key.to_string().as_str() {
                "name" => {
                    input.parse::<Token![=]>()?;
                    name = Some(api_name(input.parse()?)?);
                }
                "versions" => {
                    input.parse::<Token![=]>()?;
                    versions = Some(version_range(&input.parse()?)?);
                }
                "deprecated" => {
                    let content;
                    parenthesized!(content in input);
                    deprecations.push((key.span(), content.parse::<DeprecationArguments>()?.0));
                }
                other => {
                    let message =
                        format!("`{other}` is not known here; there are `name`, `versions` and `deprecated(…)`");
                    return Err(Error::new(key.span(), message));
                }
            }
            if !input.is_empty() {
                input.parse::<Token![,]>()?;
            }
        }
        let name = name.ok_or_else(|| Error::new(Span::call_site(), format!("the name is missing; {HELP}")))?;
        let (oldest, newest) =
            versions.ok_or_else(|| Error::new(Span::call_site(), format!("the versions are missing; {HELP}")))?;
        for (span, deprecation) in &deprecations {
            if !(oldest..=newest).contains(&deprecation.version) {
                let version = deprecation.version;
                return Err(Error::new(*span, format!("there is no v{version}: the versions are {oldest}..={newest}")));
            }
            if deprecations.iter().filter(|(_, other)| other.version == deprecation.version).nth(1).is_some() {
                return Err(Error::new(*span, format!("v{} is deprecated twice", deprecation.version)));
            }
            if deprecation.version == newest {
                return Err(Error::new(*span, "the newest version cannot be deprecated: callers have nowhere to go"));
            }
        }
        let deprecations = deprecations.into_iter().map(|(_span, deprecation)| deprecation).collect();
        Ok(Self { name, oldest, newest, deprecations })
    }
}

/// A name is a DNS label: it is what callers put into `Host`.
pub(crate) fn api_name(name: LitStr) -> Result<LitStr> {
    let text = name.value();
    let is_label = (1..=63).contains(&text.len())
        && text.bytes().all(|c| c.is_ascii_lowercase() || c.is_ascii_digit() || c == b'-')
        && !text.starts_with('-')
        && !text.ends_with('-');
    if is_label {
        return Ok(name);
    }
    Err(Error::new(name.span(), "callers use the name as a host: lower-case letters, digits and hyphens, at most 63"))
}

/// `1..=2`.
fn version_range(range: &Expr) -> Result<(u32, u32)> {
    const HELP: &str = "write the versions as `1..=2`: the oldest that is still served, and the newest";
    let Expr::Range(range) = range else { return Err(Error::new_spanned(range, HELP)) };
    let (Some(start), Some(end), syn::RangeLimits::Closed(_)) = (&range.start, &range.end, &range.limits) else {
        return Err(Error::new_spanned(range, HELP));
    };
    let (oldest, newest) = (version(start)?, version(end)?);
    if oldest > newest {
        return Err(Error::new_spanned(range, "the oldest version comes first: `1..=2`"));
    }
    Ok((oldest, newest))
}

fn version(expression: &Expr) -> Result<u32> {
    if let Expr::Lit(ExprLit { lit: Lit::Int(number), .. }) = expression {
        return version_number(number);
    }
    Err(Error::new_spanned(expression, "a version is a whole number, 1 or more"))
}

fn version_number(number: &LitInt) -> Result<u32> {
    match number.base10_parse() {
        Ok(version) if version > 0 => Ok(version),
        _ => Err(Error::new(number.span(), "a version is a whole number, 1 or more")),
    }
}

/// `v1, since = "2026-11-01", sunset = "2027-05-01", link = "https://…"`.
struct DeprecationArguments(Deprecation);

impl Parse for DeprecationArguments {
    fn parse(input: ParseStream<'_>) -> Result<Self> {
        const HELP: &str = "write `deprecated(v1, since = \"2026-11-01\", sunset = \"2027-05-01\")`";
        let which: Ident = input.parse().map_err(|error| Error::new(error.span(), HELP))?;
        let number = which.to_string().strip_prefix('v').and_then(|digits| digits.parse().ok());
        let version = number.ok_or_else(|| Error::new(which.span(), HELP))?;
        let (mut since, mut sunset, mut link) = (None, None, None);
        let mut seen = Vec::new();
        while !input.is_empty() {
            input.parse::<Token![,]>()?;
            let key: Ident = input.parse()?;
            say_once(&mut seen, key.clone())?;
            input.parse::<Token![=]>()?;
            let value: LitStr = input.parse()?;
            match key.to_string().as_str() {
                "since" => since = Some(Day { seconds: date::seconds(&value)?, text: value }),
                "sunset" => sunset = Some(Day { seconds: date::seconds(&value)?, text: value }),
                "link" => link = Some(value),
                _ => return Err(Error::new(key.span(), HELP)),
            }
        }
        let since = since.ok_or_else(|| Error::new(which.span(), format!("since when? {HELP}")))?;
        // RFC 9745 §4.
        if let Some(early) = sunset.as_ref().filter(|sunset| sunset.seconds < since.seconds) {
            return Err(Error::new(early.text.span(), "the sunset cannot come before the deprecation"));
        }
        Ok(Self(Deprecation { version, since, sunset, link }))
    }
}

fn check_trait(item: &ItemTrait, mistakes: &mut Mistakes) {
    if !item.generics.params.is_empty() {
        mistakes.add(&item.generics, "a contract has no type parameters: what goes over the wire has one shape");
    }
    if let Some(unsafety) = &item.unsafety {
        mistakes.add(unsafety, "a contract is not unsafe");
    }
    if !item.supertraits.is_empty() {
        mistakes.add(&item.supertraits, "a contract stands alone: say of an implementation what it needs, not here");
    }
    if let Some(condition) = &item.generics.where_clause {
        mistakes.add(condition, "a contract has no conditions: what goes over the wire has one shape");
    }
    if !item.items.iter().any(|member| matches!(member, TraitItem::Fn(_))) {
        mistakes.add(&item.ident, "this contract has no methods; add one: `#[get(\"/counts\")] async fn …`");
    }
}

/// Reads one method. What it can live with is noted, what it cannot is the error.
fn operation(method: TraitItemFn, header: &Header, mistakes: &mut Mistakes) -> Result<Operation> {
    let signature = method.sig;
    let name = signature.ident.unraw().to_string();
    if signature.asyncness.is_none() {
        mistakes.add(signature.fn_token, format!("`{name}` must be an `async fn`: answers come over the network"));
    }
    if !signature.generics.params.is_empty() {
        mistakes.add(&signature.generics, format!("`{name}` cannot be generic: what goes over the wire has one shape"));
    }
    if let Some(condition) = &signature.generics.where_clause {
        mistakes.add(condition, format!("`{name}` cannot have conditions: what goes over the wire has one shape"));
    }
    if let Some(unsafety) = &signature.unsafety {
        mistakes.add(unsafety, format!("`{name}` cannot be unsafe: whoever calls it is in another process"));
    }
    if let Some(abi) = &signature.abi {
        mistakes.add(abi, format!("`{name}` has no ABI: whoever calls it is in another process"));
    }
    if let Some(body) = &method.default {
        mistakes.add(body, format!("`{name}` cannot have a body here: a contract says what, an implementation how"));
    }
    if let Some(condition) = method.attrs.iter().find(|attribute| attribute.path().is_ident("cfg")) {
        let message = format!("`{name}` is there or not: callers cannot know how a service was built");
        mistakes.add(condition, message);
    }
    let (route, attributes) = route(&name, signature.ident.span(), method.attrs)?;
    let (since, until) = route.versions(&name, header)?;
    let (call, arguments) = arguments(&name, &signature.inputs, signature.ident.span())?;
    let (answer, error) = answer(&name, &signature.output, signature.ident.span())?;
    check_path(&name, &route.path, mistakes);
    check_arguments(&name, &route, &arguments, mistakes);
    Ok(Operation {
        docs: docs(&attributes),
        attributes,
        ident: signature.ident,
        verb: route.verb,
        path: route.path,
        since,
        until,
        call,
        arguments,
        answer,
        error,
    })
}

/// `#[post("/quotes", since = 2)]`.
struct Route {
    verb: Verb,
    path: LitStr,
    since: Option<(Span, u32)>,
    until: Option<(Span, u32)>,
}

/// The one verb among a method's attributes, and the others.
fn route(name: &str, span: Span, attributes: Vec<Attribute>) -> Result<(Route, Vec<Attribute>)> {
    let (mut found, mut others) = (None, Vec::new());
    for attribute in attributes {
        let verb = Verb::ALL.into_iter().find(|verb| attribute.path().is_ident(verb.attribute()));
        match verb {
            None => others.push(attribute),
            Some(_) if found.is_some() => {
                return Err(Error::new_spanned(attribute, format!("`{name}` has two verbs; make it two methods")));
            }
            Some(verb) => found = Some(parse_route(name, verb, &attribute)?),
        }
    }
    let help = "say how it is called: `#[get(\"/path\")]`, or post, put, patch, delete";
    let route = found.ok_or_else(|| Error::new(span, format!("`{name}` has no verb; {help}")))?;
    Ok((route, others))
}

fn parse_route(name: &str, verb: Verb, attribute: &Attribute) -> Result<Route> {
    let spelled = verb.attribute();
    let help = format!(
        "say how `{name}` is called: `#[{spelled}(\"/path\")]`, or `#[{spelled}(\"/path\", since = 2, until = 3)]`"
    );
    let Meta::List(list) = &attribute.meta else { return Err(Error::new_spanned(attribute, help)) };
    list.parse_args_with(|input: ParseStream<'_>| {
        let path: LitStr = input.parse().map_err(|error| Error::new(error.span(), &help))?;
        let (mut since, mut until) = (None, None);
        let mut seen = Vec::new();
        while !input.is_empty() {
            input.parse::<Token![,]>()?;
            let key: Ident = input.parse().map_err(|error| Error::new(error.span(), &help))?;
            say_once(&mut seen, key.clone())?;
            input.parse::<Token![=]>()?;
            let number: LitInt = input.parse()?;
            let value = Some((number.span(), version_number(&number)?));
            match key.to_string().as_str() {
                "since" => since = value,
                "until" => until = value,
                _ => return Err(Error::new(key.span(), &help)),
            }
        }
        Ok(Route { verb, path, since, until })
    })
}

impl Route {
    /// The versions that have it, both ends included.
    fn versions(&self, name: &str, header: &Header) -> Result<(u32, u32)> {
        let Header { oldest, newest, .. } = *header;
        for (span, version) in [self.since, self.until].into_iter().flatten() {
            if !(oldest..=newest).contains(&version) {
                let message = format!("`{name}` names v{version}, and the versions are {oldest}..={newest}");
                return Err(Error::new(span, message));
            }
        }
        let since = self.since.map_or(oldest, |(_, version)| version);
        let until = self.until.map_or(newest, |(_, version)| version);
        if since > until {
            let span = self.since.or(self.until).map_or(self.path.span(), |(span, _)| span);
            return Err(Error::new(span, format!("`{name}` would begin with v{since} and end with v{until}")));
        }
        Ok((since, until))
    }
}

fn check_path(name: &str, path: &LitStr, mistakes: &mut Mistakes) {
    let text = path.value();
    let mut segments = text.split('/');
    if segments.next() != Some("") {
        return mistakes.add(path, format!("the path of `{name}` starts with a slash: \"/{text}\""));
    }
    let mut parameters = Vec::new();
    for (index, segment) in segments.enumerate() {
        let is_version = segment.strip_prefix('v').is_some_and(|rest| rest.parse::<u32>().is_ok());
        if index == 0 && is_version {
            let message =
                format!("`{name}` gets its version in front by itself: leave it out, and say `since` and `until`");
            mistakes.add(path, message);
        }
        match segment.strip_prefix('{').and_then(|rest| rest.strip_suffix('}')) {
            Some(parameter) if !is_name(parameter) => {
                mistakes.add(
                    path,
                    format!("`{{{parameter}}}` is no name for a parameter of `{name}`; write it as `{{id}}`"),
                );
            }
            Some(parameter) if parameters.contains(&parameter) => {
                mistakes.add(path, format!("`{name}` has the parameter `{{{parameter}}}` twice"));
            }
            Some(parameter) => parameters.push(parameter),
            None if segment.is_empty() && text != "/" => {
                mistakes.add(path, format!("the path of `{name}` has an empty part; write it as \"/quotes\""));
            }
            None if segment.starts_with(':') => {
                let parameter = &segment[1..];
                mistakes.add(path, format!("a parameter of `{name}` is written `{{{parameter}}}`"));
            }
            None if !segment.bytes().all(|c| c.is_ascii_alphanumeric() || b"-._~:@".contains(&c)) => {
                let help = "a parameter is written `{id}`, and a query is an argument";
                mistakes.add(path, format!("`{segment}` does not fit into the path of `{name}`; {help}"));
            }
            None => {}
        }
    }
}

fn is_name(text: &str) -> bool {
    text.starts_with(|c: char| c.is_ascii_lowercase()) && text.bytes().all(|c| c.is_ascii_alphanumeric() || c == b'_')
}

/// `(&self, call: &Call, …)`.
fn arguments(name: &str, inputs: &Punctuated<FnArg, Token![,]>, span: Span) -> Result<(Type, Vec<Argument>)> {
    let mut inputs = inputs.iter();
    match inputs.next() {
        Some(FnArg::Receiver(this)) if this.reference.is_some() && this.mutability.is_none() => {}
        _ => {
            return Err(Error::new(
                span,
                format!("`{name}` must take `&self` first: one implementation serves all calls"),
            ));
        }
    }
    let call = match inputs.next() {
        Some(FnArg::Typed(typed)) if is_call(&typed.ty) => (*typed.ty).clone(),
        other => {
            let span = other.map_or(span, Spanned::span);
            let message = format!("`{name}` must take `call: &Call` after `&self`: it carries trace and deadline");
            return Err(Error::new(span, message));
        }
    };
    let arguments: Result<_> = inputs
        .map(|input| match input {
            FnArg::Typed(typed) => match &*typed.pat {
                Pat::Ident(pattern) if pattern.ident == "call" => {
                    Err(Error::new_spanned(&pattern.ident, "`call` is the `&Call`; give this argument another name"))
                }
                Pat::Ident(pattern) => Ok(Argument { ident: pattern.ident.clone(), kind: (*typed.ty).clone() }),
                other => {
                    Err(Error::new_spanned(other, "give the argument a name; the implementation may take it apart"))
                }
            },
            FnArg::Receiver(receiver) => Err(Error::new_spanned(receiver, "`self` comes first")),
        })
        .collect();
    Ok((call, arguments?))
}

fn is_call(kind: &Type) -> bool {
    is_reference_to(kind, "Call")
}

pub(crate) fn is_reference_to(kind: &Type, expected: &str) -> bool {
    let Type::Reference(TypeReference { mutability: None, elem, .. }) = kind else { return false };
    last_segment(elem).is_some_and(|name| name == expected)
}

pub(crate) fn last_segment(kind: &Type) -> Option<String> {
    let Type::Path(path) = kind else { return None };
    path.path.segments.last().map(|segment| segment.ident.to_string())
}

/// What an argument takes of the request, as far as its type's name says it.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Takes {
    Body,
    Path,
    Other,
}

pub(crate) fn takes(kind: &Type) -> Takes {
    match last_segment(kind).as_deref() {
        Some("Json" | "Form" | "Bytes" | "String" | "Body") => Takes::Body,
        Some("Path") => Takes::Path,
        Some("Valid") => first_generic(kind).map_or(Takes::Other, takes),
        _ => Takes::Other,
    }
}

fn first_generic(kind: &Type) -> Option<&Type> {
    let Type::Path(path) = kind else { return None };
    let PathArguments::AngleBracketed(generics) = &path.path.segments.last()?.arguments else { return None };
    generics.args.iter().find_map(|argument| match argument {
        GenericArgument::Type(kind) => Some(kind),
        _ => None,
    })
}

fn check_arguments(name: &str, route: &Route, arguments: &[Argument], mistakes: &mut Mistakes) {
    let bodies: Vec<_> = arguments.iter().filter(|argument| takes(&argument.kind) == Takes::Body).collect();
    if let [_, second, ..] = bodies.as_slice() {
        mistakes.add(&second.kind, format!("`{name}` takes the body twice; put both into one struct"));
    } else if let [body] = bodies.as_slice() {
        if !route.verb.takes_body() {
            let verb = route.verb.attribute().to_ascii_uppercase();
            mistakes.add(&body.kind, format!("a {verb} has no body; take a `Query<…>`, or make `{name}` a post"));
        } else if arguments.last().is_some_and(|last| last.ident != body.ident) {
            mistakes.add(&body.ident, format!("put `{}` last: it takes the body, which is read once", body.ident));
        }
    }
    let parameters = route.path.value().matches('{').count();
    let has_parameters = parameters > 0;
    let paths: Vec<_> = arguments.iter().filter(|argument| takes(&argument.kind) == Takes::Path).collect();
    match paths.as_slice() {
        [] if has_parameters => {
            mistakes.add(&route.path, format!("nobody takes the path's parameters; give `{name}` a `Path<…>`"));
        }
        [only] if !has_parameters => {
            mistakes
                .add(&only.kind, format!("the path of `{name}` has no parameters; write it as \"/invoices/{{id}}\""));
        }
        [only] => {
            if let Some(count) = parts(&only.kind).filter(|count| *count != parameters) {
                let message = format!("the path of `{name}` has {parameters} parameters, and this takes {count}");
                mistakes.add(&only.kind, message);
            }
        }
        [_, second, ..] => {
            mistakes.add(&second.kind, format!("`{name}` takes the path twice; make it one `Path<(…)>`"));
        }
        _ => {}
    }
}

/// How many parameters a `Path<…>` takes, if its type's name says it: a struct's does not.
fn parts(kind: &Type) -> Option<usize> {
    const SINGLE: [&str; 13] =
        ["u8", "u16", "u32", "u64", "u128", "usize", "i8", "i16", "i32", "i64", "bool", "char", "String"];
    match first_generic(kind)? {
        Type::Tuple(tuple) => Some(tuple.elems.len()),
        inner @ Type::Path(_) if matches!(last_segment(kind).as_deref(), Some("Valid")) => parts(inner),
        inner => last_segment(inner).filter(|name| SINGLE.contains(&name.as_str())).map(|_single| 1),
    }
}

/// `Result<A, E>`.
fn answer(name: &str, output: &ReturnType, span: Span) -> Result<(Type, Type)> {
    let message = format!("`{name}` must answer with `Result<Json<…>, YourError>`, its error derived with `ApiError`");
    let ReturnType::Type(_, kind) = output else { return Err(Error::new(span, message)) };
    let Type::Path(path) = &**kind else { return Err(Error::new_spanned(kind, message)) };
    let result = path.path.segments.last().filter(|segment| segment.ident == "Result");
    let Some(PathArguments::AngleBracketed(generics)) = result.map(|segment| &segment.arguments) else {
        return Err(Error::new_spanned(kind, message));
    };
    let types: Vec<&Type> = generics
        .args
        .iter()
        .filter_map(|argument| match argument {
            GenericArgument::Type(kind) => Some(kind),
            _ => None,
        })
        .collect();
    match types.as_slice() {
        [answer, error] => Ok(((*answer).clone(), (*error).clone())),
        _ => Err(Error::new_spanned(kind, message)),
    }
}

/// No request may fit two methods.
fn check_overlaps(operations: &[Operation], mistakes: &mut Mistakes) {
    let shape = |operation: &Operation| shape(&operation.path.value());
    for (index, later) in operations.iter().enumerate() {
        let clash = operations[..index].iter().find(|earlier| {
            earlier.verb == later.verb
                && shape(earlier) == shape(later)
                && earlier.since <= later.until
                && later.since <= earlier.until
        });
        if let Some(earlier) = clash {
            let verb = later.verb.attribute().to_ascii_uppercase();
            let (first, second, path) = (&earlier.ident, &later.ident, later.path.value());
            let message =
                format!("`{first}` is {verb} {path} too; end it with `until`, and begin `{second}` with `since`");
            mistakes.add(&later.path, message);
        }
        let other_names = operations[..index].iter().find(|earlier| {
            shape(earlier) == shape(later)
                && earlier.path.value() != later.path.value()
                && earlier.since <= later.until
                && later.since <= earlier.until
        });
        if let Some(earlier) = other_names.filter(|_| clash.is_none()) {
            let (first, path) = (&earlier.ident, earlier.path.value());
            let message = format!("`{first}` has the same path with other names; write it as {path:?} here too");
            mistakes.add(&later.path, message);
        }
    }
}

/// A path without the names of its parameters.
fn shape(path: &str) -> String {
    let part = |segment: &str| if segment.starts_with('{') { "{}".to_owned() } else { segment.to_owned() };
    path.split('/').map(part).collect::<Vec<_>>().join("/")
}

/// The text of the doc comments.
pub(crate) fn docs(attributes: &[Attribute]) -> String {
    let mut lines = Vec::new();
    for attribute in attributes.iter().filter(|attribute| attribute.path().is_ident("doc")) {
        if let Meta::NameValue(meta) = &attribute.meta
            && let Expr::Lit(ExprLit { lit: Lit::Str(text), .. }) = &meta.value
        {
            let text = text.value();
            // Rustdoc's own rule: one space after the slashes is not text, what is left indents a list or code.
            lines.push(text.strip_prefix(' ').unwrap_or(&text).trim_end().to_owned());
        }
    }
    lines.join("\n").trim().to_owned()
}
