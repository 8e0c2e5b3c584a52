//! `#[derive(ApiError)]`: an enum becomes problems, and problems become the enum again.

use proc_macro2::TokenStream;
use quote::{format_ident, quote, quote_spanned};
use syn::ext::IdentExt;
use syn::parse::ParseStream;
use syn::{
    Attribute, Data, DeriveInput, Error, Fields, Ident, LitInt, LitStr, Result, Token, Type, Variant, parenthesized,
};

use crate::api::{Mistakes, docs};
use crate::say_once;

const HELP: &str =
    "write `#[problem(status = 422, title = \"Destination is not served\")]`, or `#[problem(transparent)]`";

/// A variant, understood.
struct Kind {
    ident: Ident,
    docs: String,
    shape: Shape,
}

enum Shape {
    /// Says what the attribute says; its fields are members of the problem.
    Own { said: Said, uri: String, fields: Vec<Ident> },
    /// Holds a problem of somebody else: the framework's, another service's, a database's.
    Transparent,
}

/// What an attribute says of a problem.
struct Said {
    status: u16,
    title: LitStr,
    uri: Option<LitStr>,
    /// May name the variant's fields in braces, as `format!` does.
    detail: Option<LitStr>,
    /// A field of the request, and what is wrong with it, which may name the variant's fields too.
    field: Option<(LitStr, LitStr)>,
    retry_after_s: Option<u64>,
    /// The gRPC code, where it is not the nearest to the status.
    grpc_code: Option<Ident>,
}

pub(crate) fn derive(item: TokenStream) -> Result<TokenStream> {
    let input: DeriveInput = syn::parse2(item)?;
    let Data::Enum(data) = &input.data else {
        return Err(Error::new(
            input.ident.span(),
            "an API's error is an enum: one variant for each thing that can be wrong",
        ));
    };
    if !input.generics.params.is_empty() {
        return Err(Error::new_spanned(
            &input.generics,
            "an API's error has no type parameters: what goes over the wire has one shape",
        ));
    }
    if data.variants.is_empty() {
        let message = format!("`{}` has no variants: name at least one thing that can be wrong", input.ident);
        return Err(Error::new(input.ident.span(), message));
    }
    let mut mistakes = Mistakes::default();
    let mut kinds: Vec<Kind> = Vec::new();
    for variant in &data.variants {
        match kind(variant) {
            Ok(kind) => kinds.push(kind),
            Err(error) => mistakes.note(error),
        }
    }
    if let Some(second) = kinds.iter().filter(|kind| matches!(kind.shape, Shape::Transparent)).nth(1) {
        let message = format!("`{}` is a second transparent variant: which one would a problem become?", second.ident);
        mistakes.add(&second.ident, message);
    }
    for (index, later) in kinds.iter().enumerate() {
        let Shape::Own { uri, .. } = &later.shape else { continue };
        let is_same = |earlier: &&Kind| matches!(&earlier.shape, Shape::Own { uri: other, .. } if other == uri);
        if let Some(earlier) = kinds[..index].iter().find(is_same) {
            let message =
                format!("`{}` is a problem of type \"{uri}\" already: which one would it become?", earlier.ident);
            mistakes.add(&later.ident, message);
        }
    }
    mistakes.none().map(|()| expand(&input.ident, &kinds))
}

fn kind(variant: &Variant) -> Result<Kind> {
    let mut attributes = variant.attrs.iter().filter(|attribute| attribute.path().is_ident("problem"));
    let name = &variant.ident;
    let Some(attribute) = attributes.next() else {
        return Err(Error::new(name.span(), format!("`{name}` says nothing to the caller; {HELP}")));
    };
    let shape = match arguments(attribute)? {
        Arguments::Transparent => match &variant.fields {
            Fields::Unnamed(fields) if fields.unnamed.len() == 1 && is_problem(&fields.unnamed[0].ty) => {
                Shape::Transparent
            }
            _ => {
                return Err(Error::new(
                    name.span(),
                    format!("a transparent variant holds a `samspill::Problem` and nothing else: `{name}(Problem)`"),
                ));
            }
        },
        Arguments::Own(said) => {
            let fields = match &variant.fields {
                Fields::Unit => Vec::new(),
                Fields::Named(fields) => fields.named.iter().filter_map(|field| field.ident.clone()).collect(),
                Fields::Unnamed(fields) => {
                    let message = format!("give the fields names, callers see them: `{name} {{ country: String }}`");
                    return Err(Error::new_spanned(fields, message));
                }
            };
            if let Some(taken) = fields.iter().find(|field| RESERVED.contains(&field.unraw().to_string().as_str())) {
                return Err(Error::new(
                    taken.span(),
                    format!("`{}` is a member of every problem; call it something else", taken.unraw()),
                ));
            }
            let own = || format!("urn:samspill:problem:{}", kebab(&name.to_string()));
            let uri = said.uri.as_ref().map_or_else(own, LitStr::value);
            Shape::Own { said, uri, fields }
        }
    };
    Ok(Kind { ident: name.clone(), docs: docs(&variant.attrs), shape })
}

fn is_problem(kind: &Type) -> bool {
    matches!(kind, Type::Path(path) if path.path.segments.last().is_some_and(|last| last.ident == "Problem"))
}

/// The members that a problem has anyway (RFC 9457 §3.1, and ours).
const RESERVED: [&str; 7] = ["type", "title", "status", "detail", "instance", "errors", "trace_id"];

enum Arguments {
    Own(Said),
    Transparent,
}

fn arguments(attribute: &Attribute) -> Result<Arguments> {
    attribute.parse_args_with(|input: ParseStream<'_>| {
        let (mut status, mut title, mut uri, mut retry_after_s) = (None, None, None, None);
        let (mut detail, mut field, mut grpc_code) = (None, None, None);
        let mut seen: Vec<Ident> = Vec::new();
        while !input.is_empty() {
            let name = input.fork().call(Ident::parse_any)?;
            say_once(&mut seen, name)?;
            if input.peek(Token![type]) {
                input.parse::<Token![type]>()?;
                input.parse::<Token![=]>()?;
                uri = Some(input.parse()?);
            } else {
                let key: Ident = input.parse().map_err(|error| Error::new(error.span(), HELP))?;
                if key == "transparent" {
                    return if input.is_empty() && status.is_none() && title.is_none() {
                        Ok(Arguments::Transparent)
                    } else {
                        Err(Error::new(
                            key.span(),
                            "a transparent variant says what its problem says, and nothing else",
                        ))
                    };
                }
                if key == "field" {
                    let content;
                    parenthesized!(content in input);
                    let name = content.parse()?;
                    content.parse::<Token![,]>()?;
                    field = Some((name, content.parse()?));
                    if !input.is_empty() {
                        input.parse::<Token![,]>()?;
                    }
                    continue;
                }
                input.parse::<Token![=]>()?;
                match key.to_string().as_str() {
                    "grpc_code" => grpc_code = Some(grpc_code_of(input.parse()?)?),
                    "detail" => detail = Some(input.parse()?),
                    "status" => status = Some(status_code(&input.parse()?)?),
                    "title" => title = Some(input.parse()?),
                    "retry_after_s" => retry_after_s = Some(input.parse::<LitInt>()?.base10_parse()?),
                    other => {
                        let known = "there are `status`, `title`, `type`, `detail`, `field(…)`, `retry_after_s`, `grpc_code` and `transparent`";
                        return Err(Error::new(key.span(), format!("`{other}` is not known here; {known}")));
                    }
                }
            }
            if !input.is_empty() {
                input.parse::<Token![,]>()?;
            }
        }
        let missing = |what| Error::new_spanned(attribute, format!("the {what} is missing; {HELP}"));
        let status = status.ok_or_else(|| missing("status"))?;
        let title = title.ok_or_else(|| missing("title"))?;
        Ok(Arguments::Own(Said { status, title, uri, detail, field, retry_after_s, grpc_code }))
    })
}

fn status_code(number: &LitInt) -> Result<u16> {
    match number.base10_parse() {
        Ok(status @ 400..=599) => Ok(status),
        _ => Err(Error::new(number.span(), "an error's status is 400 to 599")),
    }
}

/// A code of gRPC, as `tonic::Code` spells it.
fn grpc_code_of(code: Ident) -> Result<Ident> {
    const CODES: [&str; 16] = [
        "Cancelled",
        "Unknown",
        "InvalidArgument",
        "DeadlineExceeded",
        "NotFound",
        "AlreadyExists",
        "PermissionDenied",
        "ResourceExhausted",
        "FailedPrecondition",
        "Aborted",
        "OutOfRange",
        "Unimplemented",
        "Internal",
        "Unavailable",
        "DataLoss",
        "Unauthenticated",
    ];
    if CODES.contains(&code.to_string().as_str()) {
        return Ok(code);
    }
    Err(Error::new(code.span(), format!("gRPC has no such code; there are {}", CODES.join(", "))))
}

/// `UnknownDestination` is `unknown-destination`.
fn kebab(name: &str) -> String {
    let letters: Vec<char> = name.chars().collect();
    let mut text = String::new();
    for (index, letter) in letters.iter().enumerate() {
        // A word begins at a capital after a small letter, and at the last capital of several before a small one.
        let follows_small = index > 0 && letters.get(index - 1).is_some_and(|before| !before.is_uppercase());
        let precedes_small = index > 0 && letters.get(index + 1).is_some_and(|after| after.is_lowercase());
        if letter.is_uppercase() && (follows_small || precedes_small) {
            text.push('-');
        }
        text.extend(letter.to_lowercase());
    }
    text
}

fn expand(name: &Ident, kinds: &[Kind]) -> TokenStream {
    let describe = kinds.iter().filter_map(describe);
    let into = kinds.iter().map(into_problem);
    let from = kinds.iter().filter_map(from_problem);
    let display = kinds.iter().map(display);
    let transparent = kinds.iter().find(|kind| matches!(kind.shape, Shape::Transparent)).map(|kind| &kind.ident);
    let otherwise = match transparent {
        Some(variant) => quote! { ::core::result::Result::Ok(Self::#variant(problem)) },
        None => quote! { ::core::result::Result::Err(problem) },
    };
    let conversions = transparent.map(|variant| conversions(name, variant));
    quote! {
        impl ::samspill::ApiError for #name {
            fn kinds() -> ::std::vec::Vec<::samspill::contract::ProblemKind> {
                ::std::vec![#(#describe),*]
            }

            fn into_problem(self) -> ::samspill::Problem {
                match self { #(#into)* }
            }

            fn from_problem(problem: ::samspill::Problem) -> ::core::result::Result<Self, ::samspill::Problem> {
                #(#from)*
                #otherwise
            }
        }

        impl ::core::convert::From<#name> for ::samspill::Problem {
            fn from(error: #name) -> Self {
                ::samspill::ApiError::into_problem(error)
            }
        }

        impl ::core::convert::From<#name> for ::samspill::contract::Status {
            fn from(error: #name) -> Self {
                ::samspill::ApiError::into_problem(error).to_status()
            }
        }

        impl ::core::fmt::Display for #name {
            fn fmt(&self, f: &mut ::core::fmt::Formatter<'_>) -> ::core::fmt::Result {
                match self { #(#display)* }
            }
        }

        impl ::core::error::Error for #name {}

        #conversions
    }
}

/// `?` on what the framework and other services' clients may fail with.
fn conversions(name: &Ident, variant: &Ident) -> TokenStream {
    quote! {
        impl ::core::convert::From<::samspill::Problem> for #name {
            fn from(problem: ::samspill::Problem) -> Self {
                Self::#variant(problem)
            }
        }

        impl ::core::convert::From<::samspill::CallError> for #name {
            fn from(error: ::samspill::CallError) -> Self {
                Self::#variant(error.into())
            }
        }

        impl<E: ::samspill::ApiError> ::core::convert::From<::samspill::contract::ApiFailure<E>> for #name {
            fn from(error: ::samspill::contract::ApiFailure<E>) -> Self {
                Self::#variant(error.into())
            }
        }
    }
}

fn describe(kind: &Kind) -> Option<TokenStream> {
    let Shape::Own { said: Said { status, title, .. }, uri, fields } = &kind.shape else { return None };
    let docs = &kind.docs;
    let members = fields.iter().map(|field| field.unraw().to_string());
    Some(quote! {
        ::samspill::contract::ProblemKind {
            status: #status,
            uri: #uri,
            title: #title,
            docs: #docs,
            members: &[#(#members),*],
        }
    })
}

fn into_problem(kind: &Kind) -> TokenStream {
    let ident = &kind.ident;
    let Shape::Own { said, uri, fields } = &kind.shape else {
        return quote! { Self::#ident(problem) => problem, };
    };
    let Said { status, title, detail, field, retry_after_s, grpc_code, .. } = said;
    let detail = detail.as_ref().map(|text| quote! { .detail(::std::format!(#text)) });
    let field = field.as_ref().map(|(name, text)| quote! { .field(#name, ::std::format!(#text)) });
    let retry = retry_after_s.map(|seconds| quote! { .retry_after(::core::time::Duration::from_secs(#seconds)) });
    let code = grpc_code.as_ref().map(|code| quote! { .grpc_code(::samspill::contract::Code::#code) });
    let members = fields.iter().map(|field| {
        let name = field.unraw().to_string();
        quote_spanned! { field.span() => .member(#name, ::samspill::contract::to_member(&#field)) }
    });
    quote! {
        Self::#ident { #(#fields),* } =>
            ::samspill::contract::problem(#status, #title).kind(#uri)#detail #field #retry #code #(#members)*,
    }
}

fn display(kind: &Kind) -> TokenStream {
    let ident = &kind.ident;
    match &kind.shape {
        Shape::Own { said: Said { title, .. }, .. } => quote! { Self::#ident { .. } => f.write_str(#title), },
        Shape::Transparent => quote! { Self::#ident(problem) => ::core::fmt::Display::fmt(problem, f), },
    }
}

fn from_problem(kind: &Kind) -> Option<TokenStream> {
    let ident = &kind.ident;
    let Shape::Own { uri, fields, .. } = &kind.shape else { return None };
    if fields.is_empty() {
        return Some(quote! {
            if problem.kind_uri() == #uri {
                return ::core::result::Result::Ok(Self::#ident {});
            }
        });
    }
    let members = fields.iter().map(|field| {
        let name = field.unraw().to_string();
        quote_spanned! { field.span() => ::samspill::contract::from_member(&problem, #name) }
    });
    let values: Vec<_> = fields.iter().map(|field| format_ident!("member_{}", field.unraw())).collect();
    Some(quote! {
        if problem.kind_uri() == #uri {
            return match (#(#members,)*) {
                (#(::core::option::Option::Some(#values),)*) =>
                    ::core::result::Result::Ok(Self::#ident { #(#fields: #values),* }),
                _ => ::core::result::Result::Err(problem),
            };
        }
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn abbreviations_are_one_word() {
        for (name, expected) in [
            ("UnknownDestination", "unknown-destination"),
            ("NoSuchURL", "no-such-url"),
            ("HTTPTaken", "http-taken"),
            ("Late", "late"),
            ("V2Only", "v2-only"),
        ] {
            assert_eq!(kebab(name), expected);
        }
    }
}
