//! What a service shows of its contract: the documents, and a page that people can read.

use maud::{DOCTYPE, Markup, html as markup};
use serde_json::Value;

use super::api::Api;
use super::openapi::{Dialect, Document};

/// A document, as JSON. `root` is the API's, relative to the document, which may be anywhere behind an edge.
pub(super) fn json(api: &Api, version: u32, dialect: Dialect, root: &str) -> String {
    document(api, version, dialect).with_server(root).to_string()
}

/// A document, to be read.
pub(super) fn html(api: &Api, version: u32) -> String {
    page(api, version, document(api, version, Dialect::V3_0).as_json()).into_string()
}

fn document(api: &Api, version: u32, dialect: Dialect) -> Document {
    api.openapi(version, dialect).unwrap_or_else(|| unreachable!("because the version is one of the contract's"))
}

const STYLE: &str = "
body { font: 1rem/1.5 system-ui, sans-serif; max-width: 56rem; margin: 2rem auto; padding: 0 1rem; color: #1a2733 }
h1 small { font-weight: normal; color: #5b6b7a } nav a { margin-right: 1rem } code { background: #f0f3f6; padding: .1rem .3rem }
section { border-top: 1px solid #d5dde4; padding: 1rem 0 } table { border-collapse: collapse; width: 100% }
th, td { text-align: left; vertical-align: top; padding: .25rem 1rem .25rem 0 } td, p { white-space: pre-line }
.going { background: #fff4d6; padding: .5rem 1rem } .verb { display: inline-block; min-width: 4rem; font-weight: bold }
";

fn page(api: &Api, version: u32, document: &Value) -> Markup {
    let paths = document["paths"].as_object();
    let operations = paths.into_iter().flatten().flat_map(|(path, item)| {
        item.as_object().into_iter().flatten().map(move |(verb, operation)| (path, verb, operation))
    });
    markup! {
        (DOCTYPE)
        html lang="en" {
            head {
                meta charset="utf-8";
                meta name="viewport" content="width=device-width";
                title { (api.name()) " v" (version) }
                style { (maud::PreEscaped(STYLE)) }
            }
            body {
                h1 { (api.name()) " " small { "version " (version) } }
                nav {
                    @for other in api.versions() {
                        @if other == version { b { "v" (other) } " " } @else { a href={ "v" (other) ".html" } { "v" (other) } }
                    }
                    a href={ "v" (version) ".json" } { "OpenAPI 3.0" }
                    a href={ "v" (version) "-3.1.json" } { "OpenAPI 3.1" }
                }
                @if let Some(deprecation) = api.deprecation(version) {
                    p.going {
                        "This version is deprecated"
                        @if let Some((sunset, _)) = deprecation.sunset { ", and may be gone from " (sunset) }
                        "."
                        @if let Some(link) = deprecation.link { " " a href=(link) { "Why, and what to do" } }
                    }
                }
                @if let Some(description) = document["info"]["description"].as_str() { p { (description) } }
                @for (path, verb, operation) in operations { (section(path, verb, operation)) }
                @let schemas = document["components"]["schemas"].as_object();
                h2 { "Types" }
                @for (name, schema) in schemas.into_iter().flatten() {
                    section id={ "type-" (name) } {
                        h3 { (name) }
                        @if let Some(description) = schema["description"].as_str() { p { (description) } }
                        (members(schema))
                    }
                }
            }
        }
    }
}

fn section(path: &str, verb: &str, operation: &Value) -> Markup {
    markup! {
        section {
            h2 { span.verb { (verb.to_uppercase()) } " " code { (path) } }
            @if let Some(summary) = operation["summary"].as_str() { p { (summary) "." } }
            @if let Some(description) = operation["description"].as_str() { p { (description) } }
            table {
                @for parameter in operation["parameters"].as_array().into_iter().flatten() {
                    tr {
                        th { (parameter["name"].as_str().unwrap_or_default()) @if parameter["required"] != true { " ?" } }
                        td { (kind(&parameter["schema"])) " in the " (parameter["in"].as_str().unwrap_or_default()) }
                        td { (parameter["description"].as_str().unwrap_or_default()) }
                    }
                }
                @for (media_type, content) in operation["requestBody"]["content"].as_object().into_iter().flatten() {
                    tr { th { "body" } td { (kind(&content["schema"])) } td { (media_type) } }
                }
                @for (status, response) in operation["responses"].as_object().into_iter().flatten() {
                    tr {
                        th { (status) }
                        td {
                            @for content in response["content"].as_object().into_iter().flatten().map(|(_, content)| content) {
                                (kind(&content["schema"]))
                            }
                        }
                        td { (response["description"].as_str().unwrap_or_default()) }
                    }
                }
            }
        }
    }
}

fn members(schema: &Value) -> Markup {
    let required: Vec<&str> = schema["required"].as_array().into_iter().flatten().filter_map(Value::as_str).collect();
    markup! {
        @if let Some(properties) = schema["properties"].as_object() {
            table {
                @for (name, property) in properties {
                    tr {
                        th { (name) @if !required.contains(&name.as_str()) { " ?" } }
                        td { (kind(property)) }
                        td { (property["description"].as_str().unwrap_or_default()) }
                    }
                }
            }
        } @else { p { (kind(schema)) } }
    }
}

/// A type in a few words.
fn kind(schema: &Value) -> Markup {
    let reference = schema["$ref"].as_str().or_else(|| schema["allOf"][0]["$ref"].as_str());
    if let Some(name) = reference.and_then(|reference| reference.rsplit('/').next()) {
        return markup! { a href={ "#type-" (name) } { (name) } };
    }
    if let Some(choices) = schema["enum"].as_array() {
        return markup! { @for choice in choices { code { (choice) } " " } };
    }
    if let Some(choices) = schema["oneOf"].as_array().or_else(|| schema["anyOf"].as_array()) {
        return markup! {
            @for (index, choice) in choices.iter().enumerate() { @if index > 0 { " or " } (kind(choice)) }
        };
    }
    let bounds = [("minimum", "≥"), ("maximum", "≤"), ("minLength", "length ≥"), ("maxLength", "length ≤")];
    let values = &schema["additionalProperties"];
    markup! {
        @match schema["type"].as_str() {
            Some("array") => { "list of " (kind(&schema["items"])) },
            Some("object") if schema["properties"].is_object() => {
                @for (index, (name, property)) in schema["properties"].as_object().into_iter().flatten().enumerate() {
                    @if index > 0 { ", " } (name) ": " (kind(property))
                }
            },
            Some("object") if values.is_object() => { "names with " (kind(values)) },
            Some(name) => (name),
            None => "any",
        }
        @for (keyword, sign) in bounds {
            @if let Some(bound) = schema[keyword].as_number() { " " (sign) " " (bound) }
        }
    }
}
