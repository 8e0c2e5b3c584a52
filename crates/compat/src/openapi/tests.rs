//! Rule by rule: a document, an edit, and what is told of it.

use serde_json::{Value, json};

use super::*;
use crate::{Effect, Rule};

/// A small contract with a bit of everything.
fn document() -> Value {
    json!({
        "openapi": "3.0.3",
        "info": {"title": "shipping-cost", "version": "2.0.0"},
        "paths": {
            "/v2/quotes": {
                "parameters": [{"name": "X-Tenant", "in": "header", "schema": {"type": "string"}}],
                "get": {
                    "operationId": "list",
                    "parameters": [
                        {"name": "limit", "in": "query", "schema": {"type": "integer", "format": "uint32", "minimum": 1, "maximum": 100}},
                        {"name": "country", "in": "query", "required": true, "schema": {"type": "string", "pattern": "^[A-Z]{2}$"}},
                    ],
                    "responses": {
                        "200": {
                            "description": "all",
                            "headers": {"X-Total": {"required": true, "schema": {"type": "integer"}}},
                            "content": {"application/json": {"schema": {"type": "array", "items": {"$ref": "#/components/schemas/Quote"}}}},
                        },
                        "default": {"$ref": "#/components/responses/Problem"},
                    },
                },
                "post": {
                    "requestBody": {"required": true, "content": {"application/json": {"schema": {"$ref": "#/components/schemas/Request"}}}},
                    "responses": {
                        "200": {"description": "one", "content": {"application/json": {"schema": {"$ref": "#/components/schemas/Quote"}}}},
                        "422": {"$ref": "#/components/responses/Problem"},
                    },
                },
            },
            "/v2/quotes/{id}": {
                "delete": {
                    "parameters": [{"name": "id", "in": "path", "required": true, "schema": {"type": "string"}}],
                    "responses": {"204": {"description": "gone"}},
                },
            },
        },
        "components": {
            "responses": {
                "Problem": {"description": "problem", "content": {"application/problem+json": {"schema": {"type": "object"}}}},
            },
            "schemas": {
                "Request": {
                    "type": "object",
                    "required": ["grams", "speed"],
                    "properties": {
                        "grams": {"type": "integer", "format": "int32", "minimum": 1},
                        "speed": {"$ref": "#/components/schemas/Speed"},
                        "note": {"type": "string", "nullable": true, "maxLength": 80, "default": ""},
                    },
                },
                "Speed": {"type": "string", "enum": ["slow", "fast"]},
                "Quote": {
                    "type": "object",
                    "required": ["cents", "route"],
                    "properties": {
                        "cents": {"type": "integer", "description": "of a euro"},
                        "speed": {"allOf": [{"$ref": "#/components/schemas/Speed"}], "description": "as asked for"},
                        "route": {"$ref": "#/components/schemas/Node"},
                        "price": {
                            "oneOf": [
                                {"type": "object", "required": ["kind"], "properties": {"kind": {"type": "string", "enum": ["fixed"]}}},
                                {"type": "object", "required": ["kind", "until"], "properties": {"kind": {"type": "string", "enum": ["spot"]}, "until": {"type": "string"}}},
                            ],
                        },
                        "labels": {"type": "object", "additionalProperties": {"type": "string"}},
                    },
                },
                "Node": {
                    "type": "object",
                    "required": ["place"],
                    "additionalProperties": false,
                    "properties": {
                        "place": {"type": "string"},
                        "next": {"type": "array", "maxItems": 4, "items": {"$ref": "#/components/schemas/Node"}},
                    },
                },
            },
        },
    })
}

enum Edit {
    /// A member, or an element: made or replaced.
    Set(&'static str, Value),
    Cut(&'static str),
}
use Edit::{Cut, Set};

fn edited(edits: &[Edit]) -> Value {
    let mut document = document();
    for edit in edits {
        let (Set(pointer, _) | Cut(pointer)) = edit;
        let (parent, key) = pointer.rsplit_once('/').unwrap();
        let key = key.replace("~1", "/");
        let parent = document.pointer_mut(parent).unwrap_or_else(|| panic!("{pointer}"));
        match (parent, edit) {
            (Value::Object(members), Set(_, value)) => drop(members.insert(key, value.clone())),
            (Value::Object(members), Cut(_)) => drop(members.remove(&key).unwrap()),
            (Value::Array(list), Set(_, value)) if key == "-" => list.push(value.clone()),
            (Value::Array(list), Set(_, value)) => list[key.parse::<usize>().unwrap()] = value.clone(),
            (Value::Array(list), Cut(_)) => drop(list.remove(key.parse().unwrap())),
            _ => panic!("{pointer}"),
        }
    }
    document
}

fn parse(value: &Value) -> OpenApi {
    OpenApi::parse(&value.to_string()).unwrap()
}

fn compare(old: &Value, new: &Value) -> Vec<Change> {
    OpenApi::compare(&parse(old), &parse(new))
}

type Told = (Rule, Effect, &'static str, &'static str);

/// Compares in both directions, so that each rule is seen beside its opposite.
fn check(edits: &[Edit], forth: &[Told], back: &[Told]) {
    let (old, new) = (document(), edited(edits));
    for (old, new, expected) in [(&old, &new, forth), (&new, &old, back)] {
        let changes = compare(old, new);
        let told: Vec<_> =
            changes.iter().map(|change| (change.rule, change.effect, change.pointer.clone(), change.place())).collect();
        let expected: Vec<_> = expected
            .iter()
            .map(|(rule, effect, pointer, place)| (*rule, *effect, (*pointer).to_owned(), (*place).to_owned()))
            .collect();
        assert_eq!(told, expected);
    }
}

const CALLERS: Effect = Effect::CompatibleForCallers;
const SERVICE: Effect = Effect::CompatibleForService;
const BREAKING: Effect = Effect::Breaking;
const DOCUMENTATION: Effect = Effect::Documentation;

const REQUEST: &str = "POST /v2/quotes → request body";
const QUOTE: &str = "/components/schemas/Quote";

#[test]
fn the_same_document_has_no_changes() {
    check(&[], &[], &[]);
}

#[test]
fn operations() {
    let (at, place) = ("#/paths/~1v2~1quotes/post", "POST /v2/quotes");
    check(
        &[Cut("/paths/~1v2~1quotes/post")],
        &[(Rule::OperationRemoved, SERVICE, at, place)],
        &[(Rule::OperationAdded, CALLERS, at, place)],
    );
}

#[test]
fn a_path_parameter_may_have_another_name() {
    let mut renamed = document();
    let mut item = renamed["paths"].as_object_mut().unwrap().remove("/v2/quotes/{id}").unwrap();
    item["delete"]["parameters"][0]["name"] = json!("quote");
    renamed["paths"]["/v2/quotes/{quote}"] = item;
    let changes = compare(&document(), &renamed);
    assert_eq!(changes.len(), 1, "{changes:?}");
    assert_eq!((changes[0].rule, changes[0].effect), (Rule::DocumentationChanged, DOCUMENTATION));
    assert_eq!(changes[0].is.as_deref(), Some("/v2/quotes/{quote}"));
}

#[test]
fn two_versions_are_compared_without_their_numbers() {
    let text = document().to_string().replace("/v2/", "/v3/");
    let next: Value = serde_json::from_str(&text).unwrap();
    assert_eq!(OpenApi::compare_versions(&parse(&document()), &parse(&next)), []);
    let moved = compare(&document(), &next);
    assert_eq!(moved.len(), 6, "within one version it is another path: {moved:?}");
}

#[test]
fn parameters() {
    let get = "/paths/~1v2~1quotes/get";
    let limit = "#/paths/~1v2~1quotes/get/parameters/0";
    assert!(document().pointer(get).is_some());
    check(
        &[Cut("/paths/~1v2~1quotes/get/parameters/0")],
        &[(Rule::ParameterRemoved, SERVICE, limit, "GET /v2/quotes → query limit")],
        &[(Rule::OptionalParameterAdded, CALLERS, limit, "GET /v2/quotes → query limit")],
    );
    let country = "#/paths/~1v2~1quotes/get/parameters/1";
    check(
        &[Cut("/paths/~1v2~1quotes/get/parameters/1")],
        &[(Rule::ParameterRemoved, BREAKING, country, "GET /v2/quotes → query country")],
        &[(Rule::RequiredParameterAdded, BREAKING, country, "GET /v2/quotes → query country")],
    );
    let required = "#/paths/~1v2~1quotes/get/parameters/0/required";
    check(
        &[Set("/paths/~1v2~1quotes/get/parameters/0/required", json!(true))],
        &[(Rule::ParameterBecameRequired, SERVICE, required, "GET /v2/quotes → query limit")],
        &[(Rule::ParameterBecameOptional, CALLERS, required, "GET /v2/quotes → query limit")],
    );
    let style = &[(Rule::ParameterStyleChanged, BREAKING, limit, "GET /v2/quotes → query limit")];
    check(&[Set("/paths/~1v2~1quotes/get/parameters/0/explode", json!(false))], style, style);
    let maximum = "#/paths/~1v2~1quotes/get/parameters/0/schema/maximum";
    check(
        &[Set("/paths/~1v2~1quotes/get/parameters/0/schema/maximum", json!(50))],
        &[(Rule::ConstraintNarrowed, SERVICE, maximum, "GET /v2/quotes → query limit")],
        &[(Rule::ConstraintWidened, CALLERS, maximum, "GET /v2/quotes → query limit")],
    );
}

#[test]
fn a_parameter_of_the_path_is_one_of_each_operation() {
    let tenant = "#/paths/~1v2~1quotes/parameters/0/required";
    check(
        &[Set("/paths/~1v2~1quotes/parameters/0/required", json!(true))],
        &[
            (Rule::ParameterBecameRequired, SERVICE, tenant, "GET /v2/quotes → header X-Tenant"),
            (Rule::ParameterBecameRequired, SERVICE, tenant, "POST /v2/quotes → header X-Tenant"),
        ],
        &[
            (Rule::ParameterBecameOptional, CALLERS, tenant, "GET /v2/quotes → header X-Tenant"),
            (Rule::ParameterBecameOptional, CALLERS, tenant, "POST /v2/quotes → header X-Tenant"),
        ],
    );
    // HTTP does not tell x-tenant from X-Tenant.
    check(&[Set("/paths/~1v2~1quotes/parameters/0/name", json!("x-tenant"))], &[], &[]);
}

#[test]
fn request_bodies() {
    let body = "#/paths/~1v2~1quotes/post/requestBody";
    check(
        &[Cut("/paths/~1v2~1quotes/post/requestBody")],
        &[(Rule::RequestBodyRemoved, BREAKING, body, REQUEST)],
        &[(Rule::RequiredRequestBodyAdded, BREAKING, body, REQUEST)],
    );
    let required = "#/paths/~1v2~1quotes/post/requestBody/required";
    check(
        &[Set("/paths/~1v2~1quotes/post/requestBody/required", json!(false))],
        &[(Rule::RequestBodyBecameOptional, CALLERS, required, REQUEST)],
        &[(Rule::RequestBodyBecameRequired, SERVICE, required, REQUEST)],
    );
    let form = "#/paths/~1v2~1quotes/post/requestBody/content/text~1csv";
    check(
        &[Set("/paths/~1v2~1quotes/post/requestBody/content/text~1csv", json!({}))],
        &[(Rule::MediaTypeAdded, CALLERS, form, "POST /v2/quotes → request body → text/csv")],
        &[(Rule::MediaTypeRemoved, SERVICE, form, "POST /v2/quotes → request body → text/csv")],
    );
    let optional = "#/paths/~1v2~1quotes~1{id}/delete/requestBody";
    let place = "DELETE /v2/quotes/{id} → request body";
    check(
        &[Set("/paths/~1v2~1quotes~1{id}/delete/requestBody", json!({"content": {}}))],
        &[(Rule::OptionalRequestBodyAdded, CALLERS, optional, place)],
        &[(Rule::RequestBodyRemoved, SERVICE, optional, place)],
    );
}

#[test]
fn answers() {
    let gone = "#/paths/~1v2~1quotes~1{id}/delete/responses/404";
    check(
        &[Set("/paths/~1v2~1quotes~1{id}/delete/responses/404", json!({"description": "no such quote"}))],
        &[(Rule::StatusAdded, SERVICE, gone, "DELETE /v2/quotes/{id} → answer 404")],
        &[(Rule::StatusRemoved, CALLERS, gone, "DELETE /v2/quotes/{id} → answer 404")],
    );
    let total = "#/paths/~1v2~1quotes/get/responses/200/headers/X-Total";
    check(
        &[Cut("/paths/~1v2~1quotes/get/responses/200/headers/X-Total")],
        &[(Rule::HeaderRemoved, SERVICE, total, "GET /v2/quotes → answer 200 → header x-total")],
        &[(Rule::HeaderAdded, CALLERS, total, "GET /v2/quotes → answer 200 → header x-total")],
    );
    let required = "#/paths/~1v2~1quotes/get/responses/200/headers/X-Total/required";
    check(
        &[Set("/paths/~1v2~1quotes/get/responses/200/headers/X-Total/required", json!(false))],
        &[(Rule::HeaderBecameOptional, SERVICE, required, "GET /v2/quotes → answer 200 → header x-total")],
        &[(Rule::HeaderBecameRequired, CALLERS, required, "GET /v2/quotes → answer 200 → header x-total")],
    );
    let csv = "#/paths/~1v2~1quotes/get/responses/200/content/text~1csv";
    check(
        &[Set("/paths/~1v2~1quotes/get/responses/200/content/text~1csv", json!({}))],
        &[(Rule::MediaTypeAdded, SERVICE, csv, "GET /v2/quotes → answer 200 → text/csv")],
        &[(Rule::MediaTypeRemoved, CALLERS, csv, "GET /v2/quotes → answer 200 → text/csv")],
    );
}

#[test]
fn properties_of_a_request() {
    let insured = "#/components/schemas/Request/properties/insured";
    let place = "POST /v2/quotes → request body → insured";
    let add = || Set("/components/schemas/Request/properties/insured", json!({"type": "boolean"}));
    check(
        &[add()],
        &[(Rule::OptionalPropertyAddedToRequest, CALLERS, insured, place)],
        &[(Rule::PropertyRemovedFromRequest, SERVICE, insured, place)],
    );
    check(
        &[add(), Set("/components/schemas/Request/required/-", json!("insured"))],
        &[(Rule::RequiredPropertyAddedToRequest, BREAKING, insured, place)],
        &[(Rule::PropertyRemovedFromRequest, BREAKING, insured, place)],
    );
    let grams = "#/components/schemas/Request/properties/grams";
    let place = "POST /v2/quotes → request body → grams";
    check(
        &[Cut("/components/schemas/Request/required/0")],
        &[(Rule::PropertyBecameOptional, CALLERS, grams, place)],
        &[(Rule::PropertyBecameRequired, SERVICE, grams, place)],
    );
}

#[test]
fn properties_of_an_answer() {
    let cents = "#/components/schemas/Quote/properties/cents";
    let places = ["POST /v2/quotes → answer 200 → cents"];
    check(
        &[Cut("/components/schemas/Quote/properties/cents"), Cut("/components/schemas/Quote/required/0")],
        &[(Rule::PropertyRemovedFromAnswer, SERVICE, cents, places[0])],
        &[(Rule::PropertyAddedToAnswer, CALLERS, cents, places[0])],
    );
    check(
        &[Cut("/components/schemas/Quote/required/0")],
        &[(Rule::PropertyBecameOptional, SERVICE, cents, places[0])],
        &[(Rule::PropertyBecameRequired, CALLERS, cents, places[0])],
    );
    // Node refuses what it does not know: whoever checks answers against the old document refuses the new one.
    let zip = "#/components/schemas/Node/properties/zip";
    let place = "POST /v2/quotes → answer 200 → route → zip";
    check(
        &[Set("/components/schemas/Node/properties/zip", json!({"type": "string"}))],
        &[(Rule::PropertyAddedToAnswer, SERVICE, zip, place)],
        &[(Rule::PropertyRemovedFromAnswer, SERVICE, zip, place)],
    );
}

#[test]
fn what_only_one_side_sees_counts_only_there() {
    let id = "#/components/schemas/Request/properties/id";
    let place = "POST /v2/quotes → request body → id";
    check(&[Set("/components/schemas/Request/properties/id", json!({"type": "string", "readOnly": true}))], &[], &[]);
    let (old, new) = (
        edited(&[Set("/components/schemas/Request/properties/id", json!({"type": "string", "readOnly": true}))]),
        edited(&[Set("/components/schemas/Request/properties/id", json!({"type": "string"}))]),
    );
    let changes = compare(&old, &new);
    let told: Vec<_> = changes.iter().map(|change| (change.rule, change.pointer.as_str(), change.place())).collect();
    assert_eq!(told, [(Rule::OptionalPropertyAddedToRequest, id, place.to_owned())]);
}

#[test]
fn types_and_formats() {
    let place = "POST /v2/quotes → request body → grams";
    let kind = "#/components/schemas/Request/properties/grams/type";
    let text = &[(Rule::TypeChanged, BREAKING, kind, place)];
    check(&[Set("/components/schemas/Request/properties/grams/type", json!("string"))], text, text);
    check(
        &[Set("/components/schemas/Request/properties/grams/type", json!("number"))],
        &[(Rule::TypeChanged, CALLERS, kind, place)],
        &[(Rule::TypeChanged, SERVICE, kind, place)],
    );
    let format = "#/components/schemas/Request/properties/grams/format";
    check(
        &[Set("/components/schemas/Request/properties/grams/format", json!("int64"))],
        &[(Rule::FormatChanged, CALLERS, format, place)],
        &[(Rule::FormatChanged, SERVICE, format, place)],
    );
    let other = &[(Rule::FormatChanged, BREAKING, format, place)];
    check(&[Set("/components/schemas/Request/properties/grams/format", json!("uint32"))], other, other);
    let note = "#/components/schemas/Request/properties/note";
    let place = "POST /v2/quotes → request body → note";
    check(
        &[Cut("/components/schemas/Request/properties/note/nullable")],
        &[(Rule::NullRefused, SERVICE, note, place)],
        &[(Rule::NullAllowed, CALLERS, note, place)],
    );
    let default = "#/components/schemas/Request/properties/note/default";
    let changed = &[(Rule::DefaultChanged, BREAKING, default, place)];
    check(&[Set("/components/schemas/Request/properties/note/default", json!("-"))], changed, changed);
}

#[test]
fn an_enum_is_told_for_both_sides() {
    let value = "#/components/schemas/Speed/enum/2";
    let (answer, request) = ("POST /v2/quotes → answer 200 → speed", "POST /v2/quotes → request body → speed");
    check(
        &[Set("/components/schemas/Speed/enum/-", json!("overnight"))],
        &[(Rule::EnumValueAdded, SERVICE, value, answer), (Rule::EnumValueAdded, CALLERS, value, request)],
        &[(Rule::EnumValueRemoved, CALLERS, value, answer), (Rule::EnumValueRemoved, SERVICE, value, request)],
    );
    // The order of the values, and a description for one of them, say nothing.
    check(&[Set("/components/schemas/Speed/enum", json!(["fast", "slow"]))], &[], &[]);
    let described = json!({"oneOf": [{"type": "string", "enum": ["slow"], "description": "by ship"}, {"type": "string", "enum": ["fast"]}]});
    check(&[Set("/components/schemas/Speed", described)], &[], &[]);
}

#[test]
fn constraints() {
    let grams = "POST /v2/quotes → request body → grams";
    let minimum = "#/components/schemas/Request/properties/grams/minimum";
    check(
        &[Set("/components/schemas/Request/properties/grams/minimum", json!(2))],
        &[(Rule::ConstraintNarrowed, SERVICE, minimum, grams)],
        &[(Rule::ConstraintWidened, CALLERS, minimum, grams)],
    );
    check(
        &[Set("/components/schemas/Request/properties/grams/exclusiveMinimum", json!(true))],
        &[(Rule::ConstraintNarrowed, SERVICE, minimum, grams)],
        &[(Rule::ConstraintWidened, CALLERS, minimum, grams)],
    );
    let long = "#/components/schemas/Request/properties/note/maxLength";
    let note = "POST /v2/quotes → request body → note";
    check(
        &[Cut("/components/schemas/Request/properties/note/maxLength")],
        &[(Rule::ConstraintWidened, CALLERS, long, note)],
        &[(Rule::ConstraintNarrowed, SERVICE, long, note)],
    );
    let country = "#/paths/~1v2~1quotes/get/parameters/1/schema/pattern";
    let place = "GET /v2/quotes → query country";
    let other = &[(Rule::ConstraintChanged, BREAKING, country, place)];
    check(&[Set("/paths/~1v2~1quotes/get/parameters/1/schema/pattern", json!("^[A-Z]{3}$"))], other, other);
    let short = "#/components/schemas/Node/properties/place/minLength";
    let place = "POST /v2/quotes → answer 200 → route → place";
    check(
        &[Set("/components/schemas/Node/properties/place/minLength", json!(1))],
        &[(Rule::ConstraintNarrowed, CALLERS, short, place)],
        &[(Rule::ConstraintWidened, SERVICE, short, place)],
    );
    let closed = "#/components/schemas/Request/additionalProperties";
    check(
        &[Set("/components/schemas/Request/additionalProperties", json!(false))],
        &[(Rule::UnknownPropertiesRefused, SERVICE, closed, REQUEST)],
        &[(Rule::UnknownPropertiesAllowed, CALLERS, closed, REQUEST)],
    );
    let labels = "#/components/schemas/Quote/properties/labels/additionalProperties/type";
    let place = "POST /v2/quotes → answer 200 → labels → each value";
    let text = &[(Rule::TypeChanged, BREAKING, labels, place)];
    check(
        &[Set("/components/schemas/Quote/properties/labels/additionalProperties/type", json!("integer"))],
        text,
        text,
    );
}

/// What says nothing: a limit that always holds.
#[test]
fn a_limit_that_always_holds_is_none() {
    check(&[Set("/components/schemas/Node/properties/place/minLength", json!(0))], &[], &[]);
    check(&[Set("/components/schemas/Node/properties/next/uniqueItems", json!(false))], &[], &[]);
    check(&[Set("/components/schemas/Request/additionalProperties", json!(true))], &[], &[]);
}

#[test]
fn a_schema_that_contains_itself_ends() {
    let next = "#/components/schemas/Node/properties/next/maxItems";
    let place = "POST /v2/quotes → answer 200 → route → next";
    check(
        &[Set("/components/schemas/Node/properties/next/maxItems", json!(8))],
        &[(Rule::ConstraintWidened, SERVICE, next, place)],
        &[(Rule::ConstraintNarrowed, CALLERS, next, place)],
    );
    // One that is a part of itself says nothing more than its other parts.
    let own = json!({"allOf": [{"$ref": "#/components/schemas/Speed"}, {"type": "string", "enum": ["slow", "fast"]}]});
    check(&[Set("/components/schemas/Speed", own)], &[], &[]);
}

/// In one place a type was replaced by one without `items`; that must not hide what happens to it in the other.
#[test]
fn a_schema_that_is_missing_in_one_place_is_compared_in_the_other() {
    let list = |items: Value| {
        let mut x = json!({"type": "array", "items": items});
        if x["items"].is_null() {
            x.as_object_mut().unwrap().remove("items");
        }
        json!({"type": "object", "properties": {"x": x}})
    };
    let property =
        |name: &'static str, schema: &str| Set(name, json!({"$ref": format!("#/components/schemas/{schema}")}));
    let document = |first: &str, items: &str| {
        edited(&[
            Set("/components/schemas/A", list(json!({"type": items}))),
            Set("/components/schemas/B", list(Value::Null)),
            property("/components/schemas/Quote/properties/p1", first),
            property("/components/schemas/Quote/properties/p2", "A"),
        ])
    };
    let changes = compare(&document("A", "string"), &document("B", "integer"));
    let told: Vec<_> = changes.iter().map(|change| (change.rule, change.place())).collect();
    let place = |name: &str| (Rule::TypeChanged, format!("POST /v2/quotes → answer 200 → {name} → x → each item"));
    assert_eq!(told, [place("p1"), place("p2")]);
}

#[test]
fn a_long_chain_of_schemas_needs_no_deep_stack() {
    let chain = |last: &str| {
        let mut document = document();
        let schemas = document["components"]["schemas"].as_object_mut().unwrap();
        for number in 0..1_000 {
            let next = json!({"$ref": format!("#/components/schemas/C{}", number + 1)});
            schemas.insert(format!("C{number}"), json!({"type": "object", "properties": {"next": next}}));
        }
        schemas.insert("C1000".to_owned(), json!({"type": last}));
        schemas.insert("Speed".to_owned(), json!({"$ref": "#/components/schemas/C0"}));
        document
    };
    let changes = compare(&chain("string"), &chain("integer"));
    assert!(changes.iter().all(|change| change.pointer == "#/components/schemas/C1000/type"), "{}", changes.len());
    assert_eq!(changes.len(), 2, "once in the request, once in the answer");
}

#[test]
fn variants_are_found_by_their_tag() {
    let place = "POST /v2/quotes → answer 200 → price";
    let variant =
        json!({"type": "object", "required": ["kind"], "properties": {"kind": {"type": "string", "enum": ["free"]}}});
    check(
        &[Set("/components/schemas/Quote/properties/price/oneOf/-", variant.clone())],
        &[(Rule::VariantAdded, SERVICE, "#/components/schemas/Quote/properties/price/oneOf/2", place)],
        &[(Rule::VariantRemoved, CALLERS, "#/components/schemas/Quote/properties/price/oneOf/2", place)],
    );
    let spot = "#/components/schemas/Quote/properties/price/oneOf/1/properties/until";
    let until = "POST /v2/quotes → answer 200 → price → variant kind=spot → until";
    check(
        &[Cut("/components/schemas/Quote/properties/price/oneOf/1/required/1")],
        &[(Rule::PropertyBecameOptional, SERVICE, spot, until)],
        &[(Rule::PropertyBecameRequired, CALLERS, spot, until)],
    );
    let mut turned = document();
    let price = turned.pointer_mut(&format!("{QUOTE}/properties/price/oneOf")).unwrap();
    price.as_array_mut().unwrap().reverse();
    assert_eq!(compare(&document(), &turned), []);
    let anything = [(Rule::SchemaChanged, BREAKING, "#/components/schemas/Quote/properties/price/oneOf", place)];
    let changes = compare(&document(), &edited(&[Set("/components/schemas/Quote/properties/price", json!({}))]));
    let told: Vec<_> =
        changes.iter().map(|change| (change.rule, change.effect, change.pointer.as_str(), change.place())).collect();
    assert_eq!(told, anything.map(|(rule, effect, pointer, place)| (rule, effect, pointer, place.to_owned())));
}

/// An `Option` of a type with a name is written in three ways, by the age of the generator.
#[test]
fn null_beside_a_reference_is_nullable() {
    let speed = json!({"$ref": "#/components/schemas/Speed"});
    let ways = [
        json!({"nullable": true, "allOf": [speed]}),
        json!({"anyOf": [speed, {"nullable": true, "enum": [null]}]}),
        json!({"oneOf": [speed], "nullable": true}),
    ];
    let with = |schema: &Value| edited(&[Set("/components/schemas/Request/properties/speed", schema.clone())]);
    for way in &ways {
        for other in &ways {
            assert_eq!(compare(&with(way), &with(other)), [], "{way} {other}");
        }
        let changes = compare(&document(), &with(way));
        assert_eq!(changes.iter().map(|change| change.rule).collect::<Vec<_>>(), [Rule::NullAllowed], "{way}");
    }
}

/// Two members that OpenAPI 3.0 has not, which schemars writes for it all the same.
#[test]
fn constants_and_tuples() {
    let speed = |schema: Value| edited(&[Set("/components/schemas/Speed", schema)]);
    let described = json!({"oneOf": [{"type": "string", "const": "slow", "description": "by ship"}, {"type": "string", "enum": ["fast"]}]});
    assert_eq!(compare(&document(), &speed(described)), []);
    let rules =
        |old: Value, new: Value| compare(&speed(old), &speed(new)).iter().map(|change| change.rule).collect::<Vec<_>>();
    let constant = |value: &str| json!({"type": "string", "const": value});
    assert_eq!(rules(constant("a"), json!({"type": "string", "enum": ["a"]})), []);
    let other = [Rule::EnumValueAdded, Rule::EnumValueRemoved];
    assert_eq!(rules(constant("a"), constant("b")), [other, other].concat(), "once for each side");

    let tuple = |kinds: &[&str]| {
        let items: Vec<Value> = kinds.iter().map(|kind| json!({"type": kind})).collect();
        edited(&[Set("/components/schemas/Node/properties/place", json!({"type": "array", "items": items}))])
    };
    let told = |old: &Value, new: &Value| {
        compare(old, new).iter().map(|change| (change.rule, change.place())).collect::<Vec<_>>()
    };
    let place = "POST /v2/quotes → answer 200 → route → place";
    let pair = tuple(&["string", "integer"]);
    assert_eq!(told(&pair, &tuple(&["string", "string"])), [(Rule::TypeChanged, format!("{place} → item 2"))]);
    assert_eq!(told(&pair, &tuple(&["string"])), [(Rule::SchemaChanged, place.to_owned())]);
    let list = edited(&[Set(
        "/components/schemas/Node/properties/place",
        json!({"type": "array", "items": {"type": "string"}}),
    )]);
    assert_eq!(told(&pair, &list), [(Rule::SchemaChanged, format!("{place} → each item"))]);
}

/// `serde(flatten)` moves properties into a part of an `allOf`; on the wire they are where they were.
#[test]
fn an_all_of_is_one_schema() {
    let mut split = document();
    let schemas = split["components"]["schemas"].as_object_mut().unwrap();
    let mut quote = schemas["Quote"].clone();
    let cents = quote["properties"].as_object_mut().unwrap().remove("cents").unwrap();
    quote["required"] = json!(["route"]);
    schemas
        .insert("Money".to_owned(), json!({"type": "object", "required": ["cents"], "properties": {"cents": cents}}));
    schemas.insert("Quote".to_owned(), json!({"allOf": [{"$ref": "#/components/schemas/Money"}, quote]}));
    assert_eq!(compare(&document(), &split), []);
    split["components"]["schemas"]["Money"]["properties"]["cents"]["type"] = json!("string");
    let changes = compare(&document(), &split);
    let told: Vec<_> = changes.iter().map(|change| (change.rule, change.pointer.as_str(), change.place())).collect();
    let place = "POST /v2/quotes → answer 200 → cents".to_owned();
    assert_eq!(told, [(Rule::TypeChanged, "#/components/schemas/Money/properties/cents/type", place)]);
}

#[test]
fn a_type_may_have_another_name() {
    let text = document().to_string().replace("schemas/Quote", "schemas/Offer").replace("\"Quote\"", "\"Offer\"");
    let renamed: Value = serde_json::from_str(&text).unwrap();
    assert_ne!(renamed, document());
    assert_eq!(compare(&document(), &renamed), []);
}

#[test]
fn documentation_may_change() {
    let told = |pointer, place| [(Rule::DocumentationChanged, DOCUMENTATION, pointer, place)];
    let cents = told("#/components/schemas/Quote/properties/cents/description", "POST /v2/quotes → answer 200 → cents");
    check(&[Set("/components/schemas/Quote/properties/cents/description", json!("net"))], &cents, &cents);
    let operation = told("#/paths/~1v2~1quotes/get/operationId", "GET /v2/quotes");
    check(&[Set("/paths/~1v2~1quotes/get/operationId", json!("quotes"))], &operation, &operation);
    let deprecated = told("#/paths/~1v2~1quotes/get/deprecated", "GET /v2/quotes");
    check(&[Set("/paths/~1v2~1quotes/get/deprecated", json!(true))], &deprecated, &deprecated);
    let whole = told("#/x-samspill-deprecated", "the whole document");
    check(&[Set("/x-samspill-deprecated", json!({"since": "2026-11-01"}))], &whole, &whole);
}

#[test]
fn what_no_rule_knows_is_refused() {
    let told = |rule, pointer, place| [(rule, BREAKING, pointer, place)];
    let servers = told(Rule::ServerChanged, "#/servers", "the whole document");
    check(&[Set("/servers", json!([{"url": "/api"}]))], &servers, &servers);
    let security = told(Rule::SecurityChanged, "#/paths/~1v2~1quotes/get/security", "GET /v2/quotes");
    check(&[Set("/paths/~1v2~1quotes/get/security", json!([{"jwt": []}]))], &security, &security);
    let callbacks = told(Rule::OtherChanged, "#/paths/~1v2~1quotes/get/callbacks", "GET /v2/quotes");
    check(&[Set("/paths/~1v2~1quotes/get/callbacks", json!({}))], &callbacks, &callbacks);
    let not = told(
        Rule::SchemaChanged,
        "#/components/schemas/Node/properties/place/not",
        "POST /v2/quotes → answer 200 → route → place",
    );
    let changes =
        compare(&document(), &edited(&[Set("/components/schemas/Node/properties/place/not", json!({"enum": [""]}))]));
    let seen: Vec<_> =
        changes.iter().map(|change| (change.rule, change.effect, change.pointer.as_str(), change.place())).collect();
    assert_eq!(seen, not.map(|(rule, effect, pointer, place)| (rule, effect, pointer, place.to_owned())));
}

#[test]
fn was_and_is_say_what_has_changed() {
    let said = |edit: Edit| {
        let changes = compare(&document(), &edited(&[edit]));
        (changes[0].was.clone().unwrap_or_default(), changes[0].is.clone().unwrap_or_default())
    };
    let pair = |was: &str, is: &str| (was.to_owned(), is.to_owned());
    let grams = "/components/schemas/Request/properties/grams/type";
    assert_eq!(said(Set(grams, json!("string"))), pair("integer (int32)", "string (int32)"));
    let minimum = "/components/schemas/Request/properties/grams/minimum";
    assert_eq!(said(Set(minimum, json!(5))), pair("minimum 1", "minimum 5"));
    assert_eq!(said(Cut(minimum)), pair("minimum 1", "no minimum"));
    let note = "/components/schemas/Request/properties/note";
    assert_eq!(said(Cut(note)), pair("string or null, optional", ""));
    assert_eq!(said(Cut("/components/schemas/Speed/enum/1")), pair("\"fast\"", ""));
}

#[test]
fn a_document_that_cannot_be_compared_is_refused() {
    let error = |text: &str| OpenApi::parse(text).unwrap_err().to_string();
    assert_eq!(error("{"), "it is not JSON");
    assert_eq!(error("[]"), "it is no OpenAPI document: it has no `openapi` and no `paths`");
    assert_eq!(error(r#"{"openapi": "3.0.3"}"#), "it is no OpenAPI document: it has no `openapi` and no `paths`");
    assert_eq!(
        error(r#"{"openapi": "3.1.0", "paths": {}}"#),
        "it is OpenAPI 3.1.0; blessed documents are OpenAPI 3.0.3"
    );
    assert_eq!(error(r#"{"swagger": "2.0", "paths": {}}"#), "it is OpenAPI 2.0; blessed documents are OpenAPI 3.0.3");
    let leads = |reference: &str| {
        let text = edited(&[Set("/components/schemas/Speed", json!({"$ref": reference}))]).to_string();
        OpenApi::parse(&text).map(drop).map_err(|error| error.to_string())
    };
    let nowhere =
        |reference: &str| Err(format!("`$ref` at #/components/schemas/Speed/$ref leads nowhere: {reference}"));
    assert_eq!(leads("#/components/schemas/Sped"), nowhere("#/components/schemas/Sped"));
    assert_eq!(leads("other.json#/Speed"), nowhere("other.json#/Speed"));
    // A circle of nothing but references has many first ones; any of them will do.
    assert!(leads("#/components/schemas/Speed").is_err());
    // An example is data, whatever it looks like.
    assert!(
        OpenApi::parse(&edited(&[Set("/components/schemas/Speed/example", json!({"$ref": "x"}))]).to_string()).is_ok()
    );
}

#[test]
fn what_a_list_shows() {
    let mut document = document();
    assert_eq!(parse(&document).deprecated(), None);
    document["info"]["x-samspill-deprecated"] = json!({"since": "2026-11-01", "sunset": "2027-05-01"});
    let document = parse(&document);
    let deprecated = Deprecated { since: "2026-11-01".to_owned(), sunset: Some("2027-05-01".to_owned()) };
    assert_eq!((document.title(), document.operations()), (Some("shipping-cost"), 3));
    assert_eq!(document.deprecated(), Some(deprecated));
}

/// The document after each of its values in turn is removed, or replaced, with the place; without those that cannot be read.
fn mutants() -> impl Iterator<Item = (String, Value, OpenApi)> {
    let base = document();
    let pointers = pointers(&base);
    pointers.into_iter().flat_map(|pointer| [(pointer.clone(), false), (pointer, true)]).filter_map(
        move |(pointer, replace)| {
            let mut other = base.clone();
            let there = other.pointer_mut(&pointer).unwrap();
            match there {
                Value::String(text) if replace => text.push('x'),
                Value::Number(number) if replace => *there = json!(number.as_i64().unwrap() + 1),
                Value::Bool(flag) if replace => *there = json!(!*flag),
                _ if replace => return None,
                _ => cut(&mut other, &pointer),
            }
            let parsed = OpenApi::parse(&other.to_string()).ok()?;
            Some((pointer, other, parsed))
        },
    )
}

fn is_on_the_wire(changes: &[Change]) -> bool {
    changes.iter().any(|change| change.effect != Effect::Documentation)
}

/// What nobody tells is what nobody may rely on: only these members say nothing on the wire.
#[test]
fn every_member_counts_but_for_the_documentation() {
    let base = parse(&document());
    let mut silent = Vec::new();
    for (pointer, _, mutant) in mutants() {
        let (forth, back) = (OpenApi::compare(&base, &mutant), OpenApi::compare(&mutant, &base));
        assert_eq!(is_on_the_wire(&forth), is_on_the_wire(&back), "{pointer}");
        if !is_on_the_wire(&forth) {
            silent.push(pointer);
        }
    }
    silent.dedup();
    silent.sort_unstable();
    let expected = [
        "/components/responses/Problem/description",
        "/components/schemas/Quote/properties/cents/description",
        // The values of an enum have the type that they have.
        "/components/schemas/Quote/properties/price/oneOf/0/properties/kind/type",
        "/components/schemas/Quote/properties/price/oneOf/1/properties/kind/type",
        "/components/schemas/Quote/properties/speed/description",
        "/components/schemas/Speed/type",
        "/info",
        "/info/title",
        "/info/version",
        "/openapi",
        "/paths/~1v2~1quotes/get/operationId",
        "/paths/~1v2~1quotes/get/responses/200/description",
        "/paths/~1v2~1quotes/post/responses/200/description",
        // A parameter of the path always is.
        "/paths/~1v2~1quotes~1{id}/delete/parameters/0/required",
        "/paths/~1v2~1quotes~1{id}/delete/responses/204/description",
    ];
    assert_eq!(silent, expected);
}

/// Where another tool sees a difference on the wire, so do we.
#[test]
fn a_second_opinion() {
    let base = document();
    let mut asked = 0;
    for (pointer, other, mutant) in mutants() {
        // There drift panics: a media type, its schema, or a parameter of a path comes or goes.
        let (parent, key) = pointer.rsplit_once('/').unwrap();
        let is_media_type =
            parent.ends_with("/content") || key == "content" || (key == "schema" && parent.contains("/content/"));
        if is_media_type || pointer.contains("{id}/delete/parameters") {
            continue;
        }
        let Ok(opinion) = drift::compare(&base, &other) else { continue };
        asked += 1;
        let details = opinion.iter().flat_map(|change| &change.changes);
        let sees = details.filter(|change| change.class != drift::ChangeClass::Trivial).collect::<Vec<_>>();
        let changes = OpenApi::compare(&parse(&base), &mutant);
        assert!(is_on_the_wire(&changes) || sees.is_empty(), "{pointer}: {sees:?}");
    }
    assert!(asked > 100, "{asked}");
}

fn pointers(value: &Value) -> Vec<String> {
    let mut found = Vec::new();
    let mut pending = vec![Found::root(value)];
    while let Some(here) = pending.pop() {
        found.push(here.pointer.trim_start_matches('#').to_owned());
        pending.extend(here.members().map(|(_, member)| member));
        pending.extend(here.elements());
    }
    found.retain(|pointer| !pointer.is_empty());
    found
}

fn cut(document: &mut Value, pointer: &str) {
    let (parent, key) = pointer.rsplit_once('/').unwrap();
    match document.pointer_mut(parent).unwrap() {
        Value::Object(members) => drop(members.remove(&key.replace("~1", "/"))),
        Value::Array(list) => drop(list.remove(key.parse().unwrap())),
        _ => unreachable!("only these have members"),
    }
}
