//! `#[samspill::test]`: a test with a runtime and captured logs.

use proc_macro2::TokenStream;
use quote::quote;
use syn::parse::{Parse, ParseStream};
use syn::spanned::Spanned;
use syn::{Error, Ident, ItemFn, LitBool, Result, Token};

const HELP: &str = "write `#[samspill::test]`, or `#[samspill::test(start_paused = true)]`";

/// `start_paused = true`.
#[derive(Default)]
struct Arguments {
    start_paused: Option<LitBool>,
}

impl Parse for Arguments {
    fn parse(input: ParseStream<'_>) -> Result<Self> {
        let mut arguments = Self::default();
        while !input.is_empty() {
            let key: Ident = input.parse().map_err(|error| Error::new(error.span(), HELP))?;
            if key != "start_paused" {
                return Err(Error::new(key.span(), format!("`{key}` is not known here; {HELP}")));
            }
            input.parse::<Token![=]>().map_err(|error| Error::new(error.span(), HELP))?;
            let value =
                input.parse().map_err(|error| Error::new(error.span(), "the clock is paused or not: true or false"))?;
            arguments.start_paused = Some(value);
            if !input.is_empty() {
                input.parse::<Token![,]>()?;
            }
        }
        Ok(arguments)
    }
}

pub(crate) fn expand(arguments: TokenStream, item: TokenStream) -> Result<TokenStream> {
    let arguments: Arguments = syn::parse2(arguments)?;
    let function: ItemFn = syn::parse2(item)?;
    check(&arguments, &function)?;

    let ItemFn { attrs, vis, mut sig, block } = function;
    let (inner, name, output) = (sig.clone(), sig.ident.clone(), sig.output.clone());
    let is_async = sig.asyncness.take().is_some();
    let run = if is_async {
        let start_paused = arguments.start_paused.is_some_and(|value| value.value());
        quote! { ::samspill::test::run_async(#start_paused, #name()) }
    } else {
        quote! { ::samspill::test::run(#name) }
    };
    // The function as it was written stands inside, so that the compiler's words about it stay the same.
    Ok(quote! {
        #[::core::prelude::v1::test]
        #(#attrs)*
        #vis fn #name() #output {
            #inner #block
            #run
        }
    })
}

fn check(arguments: &Arguments, function: &ItemFn) -> Result<()> {
    let signature = &function.sig;
    let name = &signature.ident;
    if let Some(input) = signature.inputs.first() {
        return Err(Error::new(
            input.span(),
            format!("nobody can give `{name}` an argument: make what it needs inside of it"),
        ));
    }
    if !signature.generics.params.is_empty() {
        return Err(Error::new(
            signature.generics.span(),
            format!("nobody can choose the types of `{name}`: a test is not generic"),
        ));
    }
    if let (None, Some(paused)) = (&signature.asyncness, &arguments.start_paused) {
        return Err(Error::new(
            paused.span(),
            format!("only an `async fn` has a clock that can be paused: make `{name}` one"),
        ));
    }
    let is_test = |path: &syn::Path| path.segments.last().is_some_and(|segment| segment.ident == "test");
    if let Some(second) = function.attrs.iter().find(|attribute| is_test(attribute.path())) {
        return Err(Error::new(second.span(), format!("`{name}` would run twice: leave this attribute out")));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn mistake(arguments: &str, item: &str) -> String {
        expand(arguments.parse().unwrap(), item.parse().unwrap()).unwrap_err().to_string()
    }

    #[test]
    fn mistakes_are_named() {
        let sound = "async fn t() {}";
        for (arguments, item, expected) in [
            ("paused = true", sound, "`paused` is not known here; write `#[samspill::test]`"),
            ("\"paused\"", sound, "write `#[samspill::test]`"),
            ("start_paused", sound, "write `#[samspill::test]`"),
            ("start_paused = 1", sound, "true or false"),
            ("start_paused = true", "fn t() {}", "make `t` one"),
            ("", "async fn t(mesh: TestMesh) {}", "nobody can give `t` an argument"),
            ("", "async fn t<T>() {}", "a test is not generic"),
            ("", "#[tokio::test] async fn t() {}", "`t` would run twice"),
        ] {
            let found = mistake(arguments, item);
            assert!(found.contains(expected), "({arguments}) {item}: {found}");
        }
        assert!(!mistake("", "struct T;").is_empty());
    }

    #[test]
    fn the_test_stands_inside_as_it_was_written() {
        let item = "#[should_fail] async fn t() -> Result<(), E> { one(); Ok(()) }";
        let written = expand("start_paused = true".parse().unwrap(), item.parse().unwrap()).unwrap();
        let expected: TokenStream = "#[::core::prelude::v1::test] #[should_fail] fn t() -> Result<(), E> {
            async fn t() -> Result<(), E> { one(); Ok(()) }
            ::samspill::test::run_async(true, t())
        }"
        .parse()
        .unwrap();
        assert_eq!(written.to_string(), expected.to_string());
    }
}
