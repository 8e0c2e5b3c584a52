//! Writes the trait and what comes from it.

use proc_macro2::{Span, TokenStream};
use quote::{ToTokens, format_ident, quote, quote_spanned};
use syn::ext::IdentExt;
use syn::{Ident, LitStr, Type};

use super::{Contract, Day, Deprecation, Operation};

pub(super) fn contract(contract: &Contract) -> TokenStream {
    let the_trait = the_trait(contract);
    let api = api(contract);
    let client = client(contract);
    let mock = mock(contract);
    quote! { #the_trait #api #client #mock }
}

fn api_ident(contract: &Contract) -> Ident {
    format_ident!("{}Api", contract.ident)
}

fn client_ident(contract: &Contract) -> Ident {
    format_ident!("{}Client", contract.ident)
}

/// The trait itself. Its methods promise futures that may move between threads; implementations write `async fn`.
fn the_trait(contract: &Contract) -> TokenStream {
    let Contract { attributes, visibility, ident, operations, .. } = contract;
    let methods = operations.iter().map(|operation| {
        let Operation { attributes, ident, call, arguments, answer, error, .. } = operation;
        let names = arguments.iter().map(|argument| &argument.ident);
        let kinds = arguments.iter().map(|argument| &argument.kind);
        quote! {
            #(#attributes)*
            fn #ident(
                &self,
                call: #call,
                #(#names: #kinds,)*
            ) -> impl ::core::future::Future<Output = ::core::result::Result<#answer, #error>> + ::core::marker::Send;
        }
    });
    quote! {
        #(#attributes)*
        #visibility trait #ident: ::core::marker::Send + ::core::marker::Sync + 'static {
            #(#methods)*
        }
    }
}

/// The contract as a type: its router, its documents, its suite.
fn api(contract: &Contract) -> TokenStream {
    let Contract { visibility, ident, name, docs, oldest, newest, deprecations, operations, .. } = contract;
    let (api, client) = (api_ident(contract), client_ident(contract));
    let deprecations = deprecations.iter().map(deprecation);
    let descriptions = operations.iter().map(describe);
    let handlers = operations.iter().map(|operation| handler(ident, operation));
    let summary = format!("The contract `{}`, of which [`{ident}`] is the implementation's side.", name.value());
    quote! {
        #[doc = #summary]
        #[derive(Clone, Copy, Debug)]
        #visibility struct #api;

        impl ::samspill::contract::Contract for #api {
            type Client = #client;

            fn api() -> &'static ::samspill::contract::Api {
                static API: ::std::sync::LazyLock<::samspill::contract::Api> = ::std::sync::LazyLock::new(|| {
                    ::samspill::contract::Api::new(#name, #docs, #oldest, #newest)
                        #(#deprecations)*
                        #(#descriptions)*
                });
                &API
            }
        }

        impl #api {
            /// Serves an implementation: hand it to `Service::serve`.
            #visibility fn router(implementation: impl #ident) -> ::samspill::contract::ApiRouter {
                let implementation = ::std::sync::Arc::new(implementation);
                ::samspill::contract::ApiRouter::new::<Self>() #(#handlers)*
            }

            /// The OpenAPI document of one version; none for a version that is not there.
            #visibility fn openapi(
                version: u32,
                dialect: ::samspill::contract::Dialect,
            ) -> ::core::option::Option<::samspill::contract::Document> {
                <Self as ::samspill::contract::Contract>::api().openapi(version, dialect)
            }

            /// What one version means, in 64 hexadecimal digits: it changes when the API does, not when its documentation
            /// does. None for a version that is not there.
            #visibility fn digest(version: u32) -> ::core::option::Option<::std::string::String> {
                <Self as ::samspill::contract::Contract>::api().digest(version)
            }

            /// Tries whether whatever serves at a base URL keeps the contract, in whatever language it is written.
            #visibility async fn conformance(base_url: &str) -> ::samspill::contract::Conformance {
                ::samspill::contract::Conformance::of::<Self>(base_url).await
            }
        }
    }
}

fn deprecation(deprecation: &Deprecation) -> TokenStream {
    let Deprecation { version, since, sunset, link } = deprecation;
    let since = day(since);
    let sunset = optional(sunset.as_ref().map(day).as_ref());
    let link = optional(link.as_ref());
    quote! { .deprecated(#version, #since, #sunset, #link) }
}

fn day(day: &Day) -> TokenStream {
    let Day { text, seconds } = day;
    quote! { (#text, #seconds) }
}

fn optional(value: Option<&impl quote::ToTokens>) -> TokenStream {
    match value {
        Some(value) => quote! { ::core::option::Option::Some(#value) },
        None => quote! { ::core::option::Option::None },
    }
}

// The compiler says what a type lacks wherever it is used. It says the same thing at the same place once: so a type is used
// by nothing but these, which are at its own place, and no function that is called has a bound of its own.

fn of_argument(kind: &Type, item: &str) -> TokenStream {
    item_of(kind, &quote! { ::samspill::contract::Argument }, item)
}

fn of_reply(answer: &Type, item: &str) -> TokenStream {
    item_of(answer, &quote! { ::samspill::contract::Reply }, item)
}

fn of_error(error: &Type, item: &str) -> TokenStream {
    item_of(error, &quote! { ::samspill::ApiError }, item)
}

/// An item of a trait, of which the compiler underlines the whole type and nothing else.
fn item_of(kind: &Type, the_trait: &TokenStream, item: &str) -> TokenStream {
    let (first, last) = ends(kind);
    let start = quote_spanned! { first => <#kind as #the_trait> };
    let item = Ident::new(item, last);
    quote_spanned! { last => #start::#item }
}

/// Where the first and the last token of a type are.
fn ends(kind: &Type) -> (Span, Span) {
    let mut spans = kind.to_token_stream().into_iter().map(|token| token.span());
    let first = spans.next().unwrap_or_else(Span::call_site);
    (first, spans.last().unwrap_or(first))
}

/// One operation, for the documents.
fn describe(operation: &Operation) -> TokenStream {
    let Operation { ident, docs, path, since, until, arguments, answer, error, verb, .. } = operation;
    let name = ident.unraw().to_string();
    let method = verb.constant();
    let arguments = arguments.iter().map(|argument| of_argument(&argument.kind, "describe"));
    let (answer, kinds) = (of_reply(answer, "describe"), of_error(error, "kinds"));
    let route = route(path, *since, *until);
    quote! {
        .operation(#name, #docs, ::samspill::contract::Method::#method, #route, |operation| {
            #(#arguments(operation);)*
            #answer(operation);
            operation.refuses(#kinds());
        })
    }
}

/// Path and versions, as every call of the library takes them.
fn route(path: &LitStr, since: u32, until: u32) -> TokenStream {
    quote! { (#path, #since, #until) }
}

/// One operation, for the router.
fn handler(contract: &Ident, operation: &Operation) -> TokenStream {
    let Operation { ident, arguments, answer, error, .. } = operation;
    let name = ident.unraw().to_string();
    let names: Vec<_> = (0..arguments.len()).map(|index| format_ident!("argument_{index}")).collect();
    let reads = arguments.iter().zip(&names).map(|(argument, name)| {
        let (_first, last) = ends(&argument.kind);
        let (read, request) = (of_argument(&argument.kind, "read"), Ident::new("request", Span::call_site()));
        quote_spanned! { last => let #name = #read(&mut #request).await?; }
    });
    let (write, into_problem) = (of_reply(answer, "write"), of_error(error, "into_problem"));
    let request = if arguments.is_empty() {
        quote! { _request }
    } else {
        quote! { mut request }
    };
    quote! {
        .handler(#name, {
            let implementation = ::std::sync::Arc::clone(&implementation);
            move |call: ::samspill::Call, #request: ::samspill::contract::Received| {
                let implementation = ::std::sync::Arc::clone(&implementation);
                async move {
                    #(#reads)*
                    match #contract::#ident(&*implementation, &call, #(#names,)*).await {
                        ::core::result::Result::Ok(answer) => ::core::result::Result::Ok(#write(answer)),
                        ::core::result::Result::Err(error) => ::core::result::Result::Err(#into_problem(error)),
                    }
                }
            }
        })
    }
}

/// The typed client.
fn client(contract: &Contract) -> TokenStream {
    let Contract { visibility, ident, name, operations, .. } = contract;
    let client = client_ident(contract);
    let methods = operations.iter().map(|operation| client_method(contract, operation));
    let summary =
        format!("Calls the contract `{}`, whoever implements it: [`{ident}`] from the caller's side.", name.value());
    quote! {
        #[doc = #summary]
        #[derive(Clone, Debug)]
        #visibility struct #client(::samspill::Client);

        impl ::core::convert::From<::samspill::Client> for #client {
            fn from(client: ::samspill::Client) -> Self {
                Self(client)
            }
        }

        impl #client {
            #(#methods)*
        }
    }
}

fn client_method(contract: &Contract, operation: &Operation) -> TokenStream {
    let visibility = &contract.visibility;
    let Operation { attributes, ident, verb, path, until, arguments, answer, error, .. } = operation;
    let method = verb.constant();
    let names: Vec<_> = arguments.iter().map(|argument| &argument.ident).collect();
    let values = arguments.iter().map(|argument| of_argument(&argument.kind, "Value"));
    let writes = arguments.iter().map(|argument| of_argument(&argument.kind, "write"));
    let is_deprecated = contract.deprecations.iter().any(|deprecation| deprecation.version == *until);
    let deprecated = is_deprecated.then(|| {
        let note = format!("v{until} of `{}` will go", contract.name.value());
        quote! { #[deprecated(note = #note)] }
    });
    quote! {
        #(#attributes)*
        #deprecated
        #visibility fn #ident(
            &self,
            call: &::samspill::Call,
            #(#names: #values,)*
        ) -> ::samspill::contract::ApiCall<#answer, #error> {
            ::samspill::contract::ApiCall::new(&self.0, call, ::samspill::contract::Method::#method, #path, #until)
                #(.argument(&#names, #writes))*
        }
    }
}

/// An implementation for the tests of callers.
fn mock(contract: &Contract) -> TokenStream {
    let Contract { visibility, ident, operations, .. } = contract;
    let mock = format_ident!("Mock{}", ident);
    let summary = format!("An implementation of [`{ident}`] for tests: each method answers what it was told to.");
    let mock_name = mock.to_string();
    let fields = operations.iter().map(|operation| {
        let Operation { ident, arguments, answer, error, .. } = operation;
        let kinds = arguments.iter().map(|argument| &argument.kind);
        quote! {
            #ident: ::core::option::Option<::std::sync::Arc<
                dyn ::core::ops::Fn(&::samspill::Call, #(#kinds),*) -> ::core::result::Result<#answer, #error>
                    + ::core::marker::Send
                    + ::core::marker::Sync,
            >>
        }
    });
    let setters = operations.iter().map(|operation| {
        let Operation { ident, arguments, answer, error, .. } = operation;
        let kinds = arguments.iter().map(|argument| &argument.kind);
        let setter = format_ident!("with_{}", ident.unraw());
        let summary = format!("Says what [`{ident}`]({}::{ident}) answers.", contract.ident);
        quote! {
            #[doc = #summary]
            #[must_use]
            #visibility fn #setter(
                mut self,
                answer: impl ::core::ops::Fn(&::samspill::Call, #(#kinds),*) -> ::core::result::Result<#answer, #error>
                    + ::core::marker::Send
                    + ::core::marker::Sync
                    + 'static,
            ) -> Self {
                self.#ident = ::core::option::Option::Some(::std::sync::Arc::new(answer));
                self
            }
        }
    });
    let methods = operations.iter().map(|operation| {
        let Operation { ident, arguments, answer, error, .. } = operation;
        let names: Vec<_> = (0..arguments.len()).map(|index| format_ident!("argument_{index}")).collect();
        let kinds = arguments.iter().map(|argument| &argument.kind);
        let method = ident.unraw().to_string();
        quote! {
            async fn #ident(
                &self,
                call: &::samspill::Call,
                #(#names: #kinds,)*
            ) -> ::core::result::Result<#answer, #error> {
                match &self.#ident {
                    ::core::option::Option::Some(answer) => answer(call, #(#names),*),
                    ::core::option::Option::None => ::samspill::contract::not_mocked(#mock_name, #method),
                }
            }
        }
    });
    quote! {
        #[doc = #summary]
        #[derive(Clone, Default)]
        #visibility struct #mock { #(#fields,)* }

        impl ::core::fmt::Debug for #mock {
            fn fmt(&self, f: &mut ::core::fmt::Formatter<'_>) -> ::core::fmt::Result {
                f.debug_struct(#mock_name).finish_non_exhaustive()
            }
        }

        impl #mock {
            /// One that answers nothing yet: a method that is called unprepared panics and says so.
            #[must_use]
            #visibility fn new() -> Self {
                <Self as ::core::default::Default>::default()
            }

            #(#setters)*
        }

        impl #ident for #mock {
            #(#methods)*
        }
    }
}
