//! The macros of `samspill`; their documentation is there, where its examples compile.
//!
//! Each macro first reads its input into plain data and notes every mistake with the place and what to do about it
//! (`parse`), and only then writes code (`expand`). What is written calls functions of `samspill`, and holds no logic.

mod api;
mod date;
mod error;
mod function;
mod test;

use proc_macro::TokenStream;

/// `#[samspill::api]`.
#[proc_macro_attribute]
pub fn api(arguments: TokenStream, item: TokenStream) -> TokenStream {
    api::contract(arguments.into(), item.into()).unwrap_or_else(|error| error.into_compile_error()).into()
}

/// `#[derive(samspill::ApiError)]`.
#[proc_macro_derive(ApiError, attributes(problem))]
pub fn api_error(item: TokenStream) -> TokenStream {
    error::derive(item.into()).unwrap_or_else(|error| error.into_compile_error()).into()
}

/// `#[samspill::function]`.
#[proc_macro_attribute]
pub fn function(arguments: TokenStream, item: TokenStream) -> TokenStream {
    function::expand(arguments.into(), item.into()).unwrap_or_else(|error| error.into_compile_error()).into()
}

/// `#[samspill::test]`.
#[proc_macro_attribute]
pub fn test(arguments: TokenStream, item: TokenStream) -> TokenStream {
    test::expand(arguments.into(), item.into()).unwrap_or_else(|error| error.into_compile_error()).into()
}

/// Notes a key of an attribute's arguments, which may stand there once.
fn say_once(seen: &mut Vec<syn::Ident>, key: syn::Ident) -> syn::Result<()> {
    if seen.contains(&key) {
        return Err(syn::Error::new(key.span(), format!("`{key}` is said twice")));
    }
    seen.push(key);
    Ok(())
}
