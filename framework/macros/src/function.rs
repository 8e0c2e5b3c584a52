//! `#[samspill::function]`: one function becomes a service.

use proc_macro2::{Span, TokenStream};
use quote::{format_ident, quote, quote_spanned};
use syn::parse::{Parse, ParseStream};
use syn::spanned::Spanned;
use syn::{Error, FnArg, Ident, ItemFn, LitStr, Result, ReturnType, Token, Type};

use crate::api::{Takes, api_name, is_reference_to, last_segment, takes};

const HELP: &str = "write `#[samspill::function]`, or `#[samspill::function(name = \"thumbnail\")]`";

const SHAPES: &str = "it takes `call: &Call` and then what a contract's method takes, such as `Json<T>`; or the whole \
                      `request: axum::extract::Request`";

/// `name = "thumbnail"`.
#[derive(Default)]
struct Arguments {
    name: Option<LitStr>,
}

impl Parse for Arguments {
    fn parse(input: ParseStream<'_>) -> Result<Self> {
        let mut arguments = Self::default();
        while !input.is_empty() {
            let key: Ident = input.parse().map_err(|error| Error::new(error.span(), HELP))?;
            if key != "name" {
                return Err(Error::new(key.span(), format!("`{key}` is not known here; {HELP}")));
            }
            input.parse::<Token![=]>().map_err(|error| Error::new(error.span(), HELP))?;
            arguments.name = Some(api_name(input.parse()?)?);
            if !input.is_empty() {
                input.parse::<Token![,]>()?;
            }
        }
        Ok(arguments)
    }
}

/// What the function takes.
enum Shape {
    Request,
    Arguments { takes_service: bool, takes_body: bool, kinds: Vec<Type> },
}

pub(crate) fn expand(arguments: TokenStream, item: TokenStream) -> Result<TokenStream> {
    let Arguments { name } = syn::parse2(arguments)?;
    let function: ItemFn = syn::parse2(item)?;
    let shape = shape(&function)?;
    let served = served(&function.sig.ident, &shape);
    let service = match shape {
        Shape::Arguments { takes_service: true, .. } => quote! { service },
        _ => quote! { _service },
    };
    let name = match name {
        Some(name) => quote! { #name },
        None => quote! { ::core::env!("CARGO_PKG_NAME") },
    };
    Ok(quote! {
        #function

        fn main() -> ::std::process::ExitCode {
            ::samspill::function::run(#name, |#service: ::samspill::Service| #served)
        }
    })
}

fn shape(function: &ItemFn) -> Result<Shape> {
    let signature = &function.sig;
    let name = &signature.ident;
    if name == "main" {
        return Err(Error::new(
            name.span(),
            "`main` is written for you: call the function something else, `handle_request`",
        ));
    }
    if signature.asyncness.is_none() {
        return Err(Error::new(
            signature.fn_token.span(),
            format!("`{name}` must be an `async fn`: one thread serves many requests"),
        ));
    }
    if !signature.generics.params.is_empty() {
        return Err(Error::new(
            signature.generics.span(),
            format!("`{name}` cannot be generic: what goes over the wire has one shape"),
        ));
    }
    let mut kinds = Vec::new();
    for input in &signature.inputs {
        match input {
            FnArg::Typed(typed) => kinds.push((*typed.ty).clone()),
            FnArg::Receiver(this) => {
                return Err(Error::new(this.span(), format!("`{name}` belongs to no type: {SHAPES}")));
            }
        }
    }
    if let [only] = kinds.as_slice()
        && last_segment(only).is_some_and(|name| name == "Request")
    {
        return Ok(Shape::Request);
    }
    let takes_service = kinds.first().is_some_and(|kind| is_reference_to(kind, "Service"));
    if takes_service {
        kinds.remove(0);
    }
    if !kinds.first().is_some_and(|kind| is_reference_to(kind, "Call")) {
        let span = signature.inputs.get(usize::from(takes_service)).map_or(name.span(), Spanned::span);
        return Err(Error::new(span, format!("`{name}` has another shape: {SHAPES}")));
    }
    kinds.remove(0);
    let takes_body = check_arguments(name, &kinds)?;
    if matches!(signature.output, ReturnType::Default) {
        let message =
            format!("`{name}` must answer with `Result<Json<…>, Problem>`, or with an error derived with `ApiError`");
        return Err(Error::new(name.span(), message));
    }
    Ok(Shape::Arguments { takes_service, takes_body, kinds })
}

/// Whether one of them takes the body.
fn check_arguments(name: &Ident, kinds: &[Type]) -> Result<bool> {
    let bodies: Vec<usize> = (0..kinds.len()).filter(|&index| takes(&kinds[index]) == Takes::Body).collect();
    if let Some(path) = kinds.iter().find(|kind| takes(kind) == Takes::Path) {
        return Err(Error::new(
            path.span(),
            format!("`{name}` is served at `/`, which has no parameters: take a `Query<…>`"),
        ));
    }
    match bodies.as_slice() {
        [] => Ok(false),
        [body] if body + 1 == kinds.len() => Ok(true),
        [body] => Err(Error::new(kinds[*body].span(), "put this last: it takes the body, which is read once")),
        [_, second, ..] => {
            Err(Error::new(kinds[*second].span(), format!("`{name}` takes the body twice; put both into one struct")))
        }
    }
}

fn served(function: &Ident, shape: &Shape) -> TokenStream {
    let Shape::Arguments { takes_service, takes_body, kinds } = shape else {
        return quote! { ::samspill::function::of_request(#function) };
    };
    let names: Vec<_> =
        (0..kinds.len()).map(|index| format_ident!("argument_{index}", span = Span::mixed_site())).collect();
    // Each type is named at its own place, so that the compiler says there what it lacks.
    let reads = names.iter().zip(kinds).map(|(name, kind)| {
        quote_spanned! { kind.span() => let #name = <#kind as ::samspill::contract::Argument>::read(&mut request).await?; }
    });
    let request = if kinds.is_empty() {
        quote! { _request }
    } else {
        quote! { mut request }
    };
    let (service, clone) = if *takes_service {
        (quote! { &service, }, quote! { let service = ::core::clone::Clone::clone(&service); })
    } else {
        (quote! {}, quote! {})
    };
    quote! {
        ::samspill::function::of_arguments(
            #takes_body,
            move |call: ::samspill::Call, #request: ::samspill::contract::Received| {
                #clone
                async move {
                    #(#reads)*
                    ::samspill::contract::answer(#function(#service &call, #(#names,)*).await)
                }
            },
        )
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn expanded(arguments: &str, item: &str) -> Result<String> {
        expand(arguments.parse().unwrap(), item.parse().unwrap()).map(|code| code.to_string())
    }

    #[test]
    fn mistakes_are_named() {
        let sound = "async fn f(request: Request) -> Response {}";
        for (arguments, item, expected) in [
            ("called = \"x\"", sound, "`called` is not known here; write `#[samspill::function]`"),
            ("\"x\"", sound, "write `#[samspill::function]`"),
            ("name = \"Not A Name\"", sound, "lower-case letters, digits and hyphens"),
            ("", "async fn main(request: Request) {}", "`main` is written for you"),
            ("", "fn f(request: Request) -> Response {}", "`f` must be an `async fn`"),
            ("", "async fn f<T>(request: Request) -> T {}", "`f` cannot be generic"),
            ("", "async fn f(&self) -> Response {}", "`f` belongs to no type"),
            ("", "async fn f() -> Response {}", "it takes `call: &Call`"),
            ("", "async fn f(ask: Json<Ask>) -> Result<A, E> {}", "it takes `call: &Call`"),
            ("", "async fn f(call: Call) -> Result<A, E> {}", "it takes `call: &Call`"),
            ("", "async fn f(call: &Call) {}", "`f` must answer with `Result<Json<…>, Problem>`"),
            ("", "async fn f(call: &Call, id: Path<u64>) -> Result<A, E> {}", "take a `Query<…>`"),
            ("", "async fn f(call: &Call, a: Json<A>, b: Bytes) -> Result<A, E> {}", "takes the body twice"),
            ("", "async fn f(call: &Call, a: Json<A>, b: Query<B>) -> Result<A, E> {}", "put this last"),
        ] {
            let found = expanded(arguments, item).unwrap_err().to_string();
            assert!(found.contains(expected), "({arguments}) {item}: {found}");
        }
        assert!(expanded("", "struct T;").is_err());
    }

    #[test]
    fn only_a_function_without_a_body_is_also_a_get() {
        for (item, takes_body) in [
            ("async fn f(call: &Call) -> Result<A, E> {}", "false"),
            ("async fn f(call: &Call, ask: Valid<Query<Ask>>) -> Result<A, E> {}", "false"),
            ("async fn f(service: &Service, call: &Call, ask: Valid<Json<Ask>>) -> Result<A, E> {}", "true"),
        ] {
            let code = expanded("", item).unwrap();
            assert!(code.contains(&format!("of_arguments ({takes_body} ,")), "{item}: {code}");
        }
    }
}
