//! The rules: every kind of difference, what it means and what to do instead. `docs/reference/contract-rules.md` lists them.

/// Declares the enum and its tables from one list: variant, name, whether a blessed version may change like this, what it means,
/// what to do instead (`{this}` and `{next}` are versions).
macro_rules! rules {
    ($($variant:ident $name:literal $allowed:ident, $meaning:literal, $instead:literal;)+) => {
        /// A kind of difference between two documents.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub enum Rule {
            $(#[doc = $meaning] $variant,)+
        }

        impl Rule {
            /// Every rule, in the order of the reference page.
            pub const ALL: &[Self] = &[$(Self::$variant),+];

            /// Its name in reports. It does not change.
            #[must_use]
            pub fn name(self) -> &'static str {
                match self { $(Self::$variant => $name,)+ }
            }

            /// What has happened, as the rest of a sentence.
            #[must_use]
            pub fn meaning(self) -> &'static str {
                match self { $(Self::$variant => $meaning,)+ }
            }

            /// Whether a version that others rely on may change like this.
            #[must_use]
            pub fn is_allowed(self) -> bool {
                match self { $(Self::$variant => rules!(@ $allowed),)+ }
            }

            fn template(self) -> &'static str {
                match self { $(Self::$variant => $instead,)+ }
            }
        }
    };
    (@ allowed) => { true };
    (@ refused) => { false };
}

rules! {
    DocumentRemoved "document-removed" refused,
        "the document of a blessed version is gone",
        "put the file back; it may go after the day that `sunset` of its `x-samspill-deprecated` names";
    ServerChanged "server-changed" refused,
        "`servers` is different",
        "keep `servers` in {this}; where a service runs is no part of a contract";
    SecurityChanged "security-changed" refused,
        "what a caller must prove is different (`security`, `securitySchemes`)",
        "keep it in {this}; ask for the new proof in {next}";
    OperationAdded "operation-added" refused,
        "a verb and path is new",
        "take it out of {this}; add it in {next}";
    OperationRemoved "operation-removed" refused,
        "a verb and path is gone",
        "keep it in {this}; leave it out of {next}";
    OptionalParameterAdded "optional-parameter-added" refused,
        "an operation takes a parameter that may be left out",
        "take it out of {this}; add it in {next}";
    RequiredParameterAdded "required-parameter-added" refused,
        "an operation takes a parameter that must be there",
        "take it out of {this}; add it in {next}";
    ParameterRemoved "parameter-removed" refused,
        "an operation no longer takes a parameter",
        "keep it in {this}; leave it out of {next}";
    ParameterBecameRequired "parameter-became-required" refused,
        "a parameter could be left out and no longer can",
        "keep it optional in {this}; make it required in {next}";
    ParameterBecameOptional "parameter-became-optional" refused,
        "a parameter had to be there and may now be left out",
        "keep it required in {this}; make it optional in {next}";
    ParameterStyleChanged "parameter-style-changed" refused,
        "a parameter is written differently (`style`, `explode`, `allowReserved`, or JSON instead of text)",
        "keep how it is written in {this}; change it in {next}";
    OptionalRequestBodyAdded "optional-request-body-added" refused,
        "an operation takes a body that may be left out",
        "take it out of {this}; add it in {next}";
    RequiredRequestBodyAdded "required-request-body-added" refused,
        "an operation takes a body that must be there",
        "take it out of {this}; add it in {next}";
    RequestBodyRemoved "request-body-removed" refused,
        "an operation no longer takes a body",
        "keep it in {this}; leave it out of {next}";
    RequestBodyBecameRequired "request-body-became-required" refused,
        "the body could be left out and no longer can",
        "keep it optional in {this}; make it required in {next}";
    RequestBodyBecameOptional "request-body-became-optional" refused,
        "the body had to be there and may now be left out",
        "keep it required in {this}; make it optional in {next}";
    MediaTypeAdded "media-type-added" refused,
        "a body has one more media type",
        "take it out of {this}; add it in {next}";
    MediaTypeRemoved "media-type-removed" refused,
        "a body has one media type less",
        "keep it in {this}; leave it out of {next}";
    StatusAdded "status-added" refused,
        "an operation answers with one more status",
        "answer with a status that {this} has; add the new one in {next}";
    StatusRemoved "status-removed" refused,
        "an operation no longer answers with a status",
        "keep it in {this}; leave it out of {next}";
    HeaderAdded "header-added" refused,
        "an answer has one more header field",
        "take it out of {this}; add it in {next}";
    HeaderRemoved "header-removed" refused,
        "an answer has one header field less",
        "keep it in {this}; leave it out of {next}";
    HeaderBecameRequired "header-became-required" refused,
        "a header field of an answer is now always there",
        "keep it optional in {this}; promise it in {next}";
    HeaderBecameOptional "header-became-optional" refused,
        "a header field of an answer was always there and may now be missing",
        "go on sending it in {this}; make it optional in {next}";
    OptionalPropertyAddedToRequest "optional-property-added-to-request" refused,
        "what callers send has a property that may be left out",
        "take it out of {this}; add it in {next}";
    RequiredPropertyAddedToRequest "required-property-added-to-request" refused,
        "what callers send has a property that must be there",
        "take it out of {this}; add it in {next}, and give it a value where {this} is converted";
    PropertyRemovedFromRequest "property-removed-from-request" refused,
        "what callers send has a property less",
        "go on accepting it in {this}; leave it out of {next}";
    PropertyAddedToAnswer "property-added-to-answer" refused,
        "what callers get has one more property",
        "leave it out where {this} is converted; add it in {next}";
    PropertyRemovedFromAnswer "property-removed-from-answer" refused,
        "what callers get has a property less",
        "go on answering with it in {this}; leave it out of {next}";
    PropertyBecameRequired "property-became-required" refused,
        "a property could be left out and no longer can",
        "keep it optional in {this}; make it required in {next}";
    PropertyBecameOptional "property-became-optional" refused,
        "a property had to be there and may now be left out",
        "keep it required in {this}; make it optional in {next}";
    UnknownPropertiesAllowed "unknown-properties-allowed" refused,
        "an object refused unknown properties and no longer does (`additionalProperties`)",
        "keep `additionalProperties` in {this}; change it in {next}";
    UnknownPropertiesRefused "unknown-properties-refused" refused,
        "an object refuses unknown properties (`additionalProperties`)",
        "keep `additionalProperties` in {this}; change it in {next}";
    TypeChanged "type-changed" refused,
        "a value has another type",
        "keep the type in {this}; change it in {next}";
    FormatChanged "format-changed" refused,
        "a value has another `format`",
        "keep the format in {this}; change it in {next}";
    NullAllowed "null-allowed" refused,
        "a value may be null",
        "keep null out of {this}; allow it in {next}";
    NullRefused "null-refused" refused,
        "a value could be null and no longer can",
        "go on allowing null in {this}; refuse it in {next}";
    EnumValueAdded "enum-value-added" refused,
        "an `enum` has one more value",
        "keep it out of {this}; add it in {next}, and say where {this} is converted which old value stands for it";
    EnumValueRemoved "enum-value-removed" refused,
        "an `enum` has one value less",
        "keep it in {this}; leave it out of {next}";
    ConstraintNarrowed "constraint-narrowed" refused,
        "fewer values are allowed (`minimum`, `maxLength`, `pattern`, `uniqueItems`, …)",
        "keep the limit in {this}; narrow it in {next}";
    ConstraintWidened "constraint-widened" refused,
        "more values are allowed",
        "keep the limit in {this}; widen it in {next}";
    ConstraintChanged "constraint-changed" refused,
        "other values are allowed, and neither set is within the other for certain (`pattern`, `multipleOf`)",
        "keep the constraint in {this}; change it in {next}";
    DefaultChanged "default-changed" refused,
        "what is left out means something else (`default`)",
        "keep the default in {this}; change it in {next}";
    VariantAdded "variant-added" refused,
        "a `oneOf` or `anyOf` has one more alternative",
        "keep it out of {this}; add it in {next}";
    VariantRemoved "variant-removed" refused,
        "a `oneOf` or `anyOf` has one alternative less",
        "keep it in {this}; leave it out of {next}";
    SchemaChanged "schema-changed" refused,
        "two schemas are composed differently, and are therefore not compared further (`allOf`, `oneOf`, `not`, `discriminator`)",
        "keep the schema of {this} as it was; change it in {next}";
    OtherChanged "other-changed" refused,
        "a member that these rules do not know is different",
        "keep it in {this}; change it in {next}";
    PackageRemoved "package-removed" refused,
        "a package is gone",
        "put it back; what is new goes into {next}";
    ServiceRemoved "service-removed" refused,
        "a service is gone",
        "keep it in {this}; leave it out of {next}";
    RpcRemoved "rpc-removed" refused,
        "a method is gone",
        "keep it in {this}, with `option deprecated = true` if need be; leave it out of {next}";
    RpcTypeChanged "rpc-type-changed" refused,
        "a method takes or returns another message",
        "keep its messages; add fields to them, or add another method";
    RpcStreamingChanged "rpc-streaming-changed" refused,
        "a method streams where it did not, or the other way round",
        "keep it as it is; add another method";
    MessageRemoved "message-removed" refused,
        "a message is gone",
        "keep it in {this}; leave it out of {next}";
    FieldRemoved "field-removed" refused,
        "a field is gone, and its number and name are not both reserved",
        "write `reserved` for its number and for its name, or keep it with `[deprecated = true]`";
    FieldRenamed "field-renamed" refused,
        "a field has another name, and so another key in JSON",
        "keep the name, or give the new one a number of its own and deprecate this one";
    FieldJsonNameChanged "field-json-name-changed" refused,
        "a field has another key in JSON (`json_name`)",
        "keep `json_name` as it was";
    FieldNumberReused "field-number-reused" refused,
        "a number stands for another field, with another name and type",
        "give the new field a number that was never used, and reserve the old one";
    FieldTypeChanged "field-type-changed" refused,
        "a field has another type",
        "keep the type; add a field with the new type and a number of its own";
    FieldLabelChanged "field-label-changed" refused,
        "a field is `repeated`, `required` or `optional` where it was not",
        "keep the label; add a field with a number of its own";
    FieldOneofChanged "field-oneof-changed" refused,
        "a field has moved into a `oneof`, or out of it",
        "keep it where it was; add a field with a number of its own";
    RequiredFieldAdded "required-field-added" refused,
        "a message has a new `required` field (proto2)",
        "make it `optional`";
    EnumRemoved "enum-removed" refused,
        "an enum is gone",
        "keep it in {this}; leave it out of {next}";
    ConstantRemoved "constant-removed" refused,
        "a value of an enum is gone, and its number and name are not both reserved",
        "write `reserved` for its number and for its name, or keep it with `[deprecated = true]`";
    ConstantRenamed "constant-renamed" refused,
        "a value of an enum has another name, and so another text in JSON",
        "keep the name";
    ReservationRemoved "reservation-removed" refused,
        "a number or name is no longer `reserved`",
        "keep it reserved for ever";
    ServiceAdded "service-added" allowed,
        "a service is new",
        "nothing: protobuf allows it";
    RpcAdded "rpc-added" allowed,
        "a method is new",
        "nothing: protobuf allows it";
    MessageAdded "message-added" allowed,
        "a message is new",
        "nothing: protobuf allows it";
    FieldAdded "field-added" allowed,
        "a message has one more field, with a number of its own",
        "nothing: protobuf allows it";
    EnumAdded "enum-added" allowed,
        "an enum is new",
        "nothing: protobuf allows it";
    ConstantAdded "constant-added" allowed,
        "an enum has one more value",
        "nothing: protobuf allows it";
    FieldRetired "field-retired" allowed,
        "a field is gone, and its number and name are reserved",
        "nothing: protobuf allows it";
    ConstantRetired "constant-retired" allowed,
        "a value of an enum is gone, and its number and name are reserved",
        "nothing: protobuf allows it";
    DocumentationChanged "documentation-changed" allowed,
        "a description, title, example, name of a type or of a path parameter, tag, `operationId`, `deprecated` or `x-` member is different",
        "nothing: documentation may change";
}

impl Rule {
    /// What to do instead of it. `this` is the version that has changed, `next` the one that is free to.
    #[must_use]
    pub fn instead(self, this: &str, next: &str) -> String {
        self.template().replace("{this}", this).replace("{next}", next)
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn names_are_kebab_case_and_unique() {
        let names: BTreeSet<&str> = Rule::ALL.iter().map(|rule| rule.name()).collect();
        assert_eq!(names.len(), Rule::ALL.len());
        for name in names {
            assert!(name.bytes().all(|c| c.is_ascii_lowercase() || c == b'-'), "{name}");
        }
    }

    #[test]
    fn what_to_do_instead_names_the_versions() {
        let instead = Rule::OperationRemoved.instead("v2", "v3");
        assert_eq!(instead, "keep it in v2; leave it out of v3");
    }

    /// One row for each rule: name, meaning, what to do instead.
    #[test]
    fn the_reference_page_is_the_enum() {
        let row = |rule: &Rule| {
            let instead = rule.instead("this version", "the next").replace('|', "\\|");
            format!("| `{}` | {} | {instead} |", rule.name(), rule.meaning())
        };
        let expected: Vec<String> = Rule::ALL.iter().map(row).collect();
        let page = include_str!("../../../docs/reference/contract-rules.md");
        let rows: Vec<&str> = page.lines().filter(|line| line.starts_with("| `")).collect();
        assert_eq!(rows, expected, "the page should have these rows:\n{}", expected.join("\n"));
    }
}
