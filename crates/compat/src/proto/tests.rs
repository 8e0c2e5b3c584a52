//! Rule by rule: a file, the file after an edit, and what is told of it.

use super::*;
use crate::{Effect, Rule};

const FILE: &str = "\
syntax = \"proto3\";
package shop.v1;

import \"google/protobuf/timestamp.proto\";

service Tracking {
  rpc Get(GetRequest) returns (Parcel);
  rpc Watch(GetRequest) returns (stream Parcel);
}

enum State {
  STATE_UNSPECIFIED = 0;
  STATE_SENT = 1;
  STATE_LOST = 2;
  reserved 9;
}

message GetRequest {
  string id = 1;
}

message Parcel {
  reserved 7 to 8;
  reserved \"colour\";
  string id = 1;
  uint32 grams = 2;
  State state = 3;
  repeated string notes = 4;
  map<string, string> labels = 5;
  oneof to {
    string person = 10;
    string shop = 11;
  }
  google.protobuf.Timestamp at = 12;
}
";

fn sources(text: &str) -> BTreeMap<String, String> {
    BTreeMap::from([("shop/v1/shop.proto".to_owned(), text.to_owned())])
}

fn package(text: &str) -> Proto {
    Proto::compile(&sources(text), &[]).unwrap().remove("shop.v1").unwrap()
}

type Told = (Rule, Effect, &'static str, &'static str);

fn check(from: &str, to: &str, expected: &[Told]) {
    assert!(FILE.contains(from), "{from}");
    let changes = Proto::compare(&package(FILE), &package(&FILE.replace(from, to)));
    let told: Vec<_> =
        changes.iter().map(|change| (change.rule, change.effect, change.pointer.as_str(), change.place())).collect();
    let expected: Vec<_> =
        expected.iter().map(|(rule, effect, pointer, place)| (*rule, *effect, *pointer, (*place).to_owned())).collect();
    assert_eq!(told, expected, "{from}");
}

const CALLERS: Effect = Effect::CompatibleForCallers;
const SERVICE: Effect = Effect::CompatibleForService;
const BREAKING: Effect = Effect::Breaking;

#[test]
fn the_same_package_has_no_changes() {
    check("uint32 grams = 2;", "// A comment.\n  uint32 grams = 2;", &[]);
}

#[test]
fn what_is_new_is_allowed() {
    check(
        "uint32 grams = 2;",
        "uint32 grams = 2; string from = 13;",
        &[(Rule::FieldAdded, CALLERS, "shop.v1.Parcel.from", "Parcel → from")],
    );
    check(
        "message GetRequest {",
        "message Other {}\nmessage GetRequest {",
        &[(Rule::MessageAdded, CALLERS, "shop.v1.Other", "Other")],
    );
    check(
        "  rpc Get(",
        "  rpc Put(Parcel) returns (Parcel);\n  rpc Get(",
        &[(Rule::RpcAdded, CALLERS, "shop.v1.Tracking.Put", "Tracking → Put")],
    );
    check("enum State", "service Empty {}\nenum State", &[(Rule::ServiceAdded, CALLERS, "shop.v1.Empty", "Empty")]);
    check("enum State", "enum Size { S = 0; }\nenum State", &[(Rule::EnumAdded, CALLERS, "shop.v1.Size", "Size")]);
    check(
        "STATE_LOST = 2;",
        "STATE_LOST = 2; STATE_FOUND = 3;",
        &[(Rule::ConstantAdded, SERVICE, "shop.v1.State.STATE_FOUND", "State → STATE_FOUND")],
    );
    for rule in
        [Rule::FieldAdded, Rule::MessageAdded, Rule::RpcAdded, Rule::ServiceAdded, Rule::EnumAdded, Rule::ConstantAdded]
    {
        assert!(rule.is_allowed(), "{rule:?}");
    }
}

#[test]
fn a_field_that_goes_is_reserved() {
    let grams = ("shop.v1.Parcel.grams", "Parcel → grams");
    let removed = [(Rule::FieldRemoved, SERVICE, grams.0, grams.1)];
    check("uint32 grams = 2;", "", &removed);
    check("uint32 grams = 2;", "reserved 2;", &removed);
    check("uint32 grams = 2;", "reserved \"grams\";", &removed);
    check("uint32 grams = 2;", "reserved 2; reserved \"grams\";", &[(Rule::FieldRetired, SERVICE, grams.0, grams.1)]);
    check(
        "map<string, string> labels = 5;",
        "",
        &[(Rule::FieldRemoved, SERVICE, "shop.v1.Parcel.labels", "Parcel → labels")],
    );
    check("reserved 7 to 8;", "reserved 8; reserved 7;", &[]);
    check("reserved 7 to 8;", "reserved 7;", &[(Rule::ReservationRemoved, BREAKING, "shop.v1.Parcel", "Parcel")]);
    check("reserved \"colour\";", "", &[(Rule::ReservationRemoved, BREAKING, "shop.v1.Parcel", "Parcel")]);
    assert!(Rule::FieldRetired.is_allowed() && !Rule::FieldRemoved.is_allowed());
}

#[test]
fn a_field_stays_what_it_is() {
    let told = |rule| [(rule, BREAKING, "shop.v1.Parcel.grams", "Parcel → grams")];
    check("uint32 grams = 2;", "uint64 grams = 2;", &told(Rule::FieldTypeChanged));
    check("uint32 grams = 2;", "repeated uint32 grams = 2;", &told(Rule::FieldLabelChanged));
    check("uint32 grams = 2;", "optional uint32 grams = 2;", &told(Rule::FieldLabelChanged));
    check("uint32 grams = 2;", "uint32 grams = 2 [json_name = \"weight\"];", &told(Rule::FieldJsonNameChanged));
    check(
        "uint32 grams = 2;",
        "uint32 weight = 2;",
        &[(Rule::FieldRenamed, BREAKING, "shop.v1.Parcel.weight", "Parcel → weight")],
    );
    check(
        "uint32 grams = 2;",
        "bytes picture = 2;",
        &[(Rule::FieldNumberReused, BREAKING, "shop.v1.Parcel.picture", "Parcel → picture")],
    );
    check(
        "State state = 3;",
        "string state = 3;",
        &[(Rule::FieldTypeChanged, BREAKING, "shop.v1.Parcel.state", "Parcel → state")],
    );
    check(
        "    string shop = 11;\n  }",
        "  }\n  string shop = 11;",
        &[(Rule::FieldOneofChanged, BREAKING, "shop.v1.Parcel.shop", "Parcel → shop")],
    );
    let map = [(Rule::FieldTypeChanged, BREAKING, "shop.v1.Parcel.LabelsEntry.value", "Parcel.LabelsEntry → value")];
    check("map<string, string> labels", "map<string, uint32> labels", &map);
    let deprecated = [(Rule::DocumentationChanged, Effect::Documentation, "shop.v1.Parcel.grams", "Parcel → grams")];
    check("uint32 grams = 2;", "uint32 grams = 2 [deprecated = true];", &deprecated);
}

#[test]
fn constants_stay() {
    let told = |rule, effect| [(rule, effect, "shop.v1.State.STATE_LOST", "State → STATE_LOST")];
    check("STATE_LOST = 2;", "", &told(Rule::ConstantRemoved, SERVICE));
    check("STATE_LOST = 2;", "reserved 2; reserved \"STATE_LOST\";", &told(Rule::ConstantRetired, SERVICE));
    check("STATE_LOST = 2;", "STATE_GONE = 2;", &told(Rule::ConstantRenamed, BREAKING));
    check("STATE_LOST = 2;", "option allow_alias = true; STATE_GONE = 2; STATE_LOST = 2;", &[]);
    check("reserved 9;", "", &[(Rule::ReservationRemoved, BREAKING, "shop.v1.State", "State")]);
}

#[test]
fn methods_stay_what_they_are() {
    let told = |rule, effect| [(rule, effect, "shop.v1.Tracking.Get", "Tracking → Get")];
    check("  rpc Get(GetRequest) returns (Parcel);\n", "", &told(Rule::RpcRemoved, SERVICE));
    check("Get(GetRequest) returns (Parcel)", "Get(Parcel) returns (Parcel)", &told(Rule::RpcTypeChanged, BREAKING));
    check(
        "Get(GetRequest) returns (Parcel)",
        "Get(GetRequest) returns (stream Parcel)",
        &told(Rule::RpcStreamingChanged, BREAKING),
    );
}

#[test]
fn what_is_gone_is_told() {
    let service = "service Tracking {\n  rpc Get(GetRequest) returns (Parcel);\n  rpc Watch(GetRequest) returns (stream Parcel);\n}\n";
    check(service, "", &[(Rule::ServiceRemoved, SERVICE, "shop.v1.Tracking", "Tracking")]);
    let renamed = FILE.replace("GetRequest", "GetParcel");
    let rules: Vec<Rule> =
        Proto::compare(&package(FILE), &package(&renamed)).iter().map(|change| change.rule).collect();
    assert_eq!(rules, [Rule::RpcTypeChanged, Rule::RpcTypeChanged, Rule::MessageRemoved, Rule::MessageAdded]);
    let renamed = FILE.replace("State state", "Condition state").replace("enum State", "enum Condition");
    let rules: Vec<Rule> =
        Proto::compare(&package(FILE), &package(&renamed)).iter().map(|change| change.rule).collect();
    assert_eq!(rules, [Rule::FieldTypeChanged, Rule::EnumRemoved, Rule::EnumAdded]);
}

#[test]
fn two_versions_are_compared_without_their_packages() {
    let next = FILE.replace("shop.v1", "shop.v2").replace("uint32 grams", "uint64 grams");
    let next = Proto::compile(&sources(&next), &[]).unwrap().remove("shop.v2").unwrap();
    let changes = Proto::compare(&package(FILE), &next);
    let told: Vec<_> = changes.iter().map(|change| (change.rule, change.pointer.as_str())).collect();
    assert_eq!(told, [(Rule::FieldTypeChanged, "shop.v2.Parcel.grams")]);
}

#[test]
fn was_and_is_are_written_as_in_the_file() {
    let changes =
        Proto::compare(&package(FILE), &package(&FILE.replace("repeated string notes", "optional string notes")));
    let said = (changes[0].was.as_deref(), changes[0].is.as_deref());
    assert_eq!(said, (Some("repeated string notes = 4"), Some("optional string notes = 4")));
    let changes = Proto::compare(&package(FILE), &package(&FILE.replace("(stream Parcel)", "(Parcel)")));
    assert_eq!(changes[0].was.as_deref(), Some("rpc Watch(shop.v1.GetRequest) returns (stream shop.v1.Parcel)"));
}

#[test]
fn a_mistake_has_its_line() {
    let error = Proto::compile(&sources(&FILE.replace("uint32 grams", "uint33 grams")), &[]).unwrap_err();
    assert_eq!(error.file.as_deref(), Some("shop/v1/shop.proto"));
    assert!(error.to_string().starts_with("shop/v1/shop.proto:26:3: "), "{error}");
    let error = Proto::compile(&sources("syntax = \"proto3\"; message {"), &[]).unwrap_err();
    assert!(error.to_string().starts_with("shop/v1/shop.proto:1:28: "), "{error}");
}

#[test]
fn imports_are_found_in_other_folders() {
    let own = BTreeMap::from([(
        "a.proto".to_owned(),
        "syntax = \"proto3\"; package a; import \"b/b.proto\"; message A { b.B b = 1; }".to_owned(),
    )]);
    let other = BTreeMap::from([("b/b.proto".to_owned(), "syntax = \"proto3\"; package b; message B {}".to_owned())]);
    assert!(Proto::compile(&own, &[]).unwrap_err().to_string().contains("b/b.proto"));
    let packages = Proto::compile(&own, &[&other]).unwrap();
    assert_eq!(packages.keys().collect::<Vec<_>>(), ["a"], "what is imported belongs to the other folder");
    assert_eq!(packages["a"].files().collect::<Vec<_>>(), ["a.proto"]);
}
