//! The keywords of schemas, as API servers know them. Pure.

use serde_json::Value;

/// What a keyword holds.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Form {
    Anything,
    Text,
    Bool,
    Number,
    Count,
    Texts,
    List,
    Object,
    Schema,
    SchemaOrTrue,
    Schemas,
    SchemaMap,
}

/// The keywords that an API server takes.
const KEYWORDS: [(&str, Form); 39] = [
    ("additionalProperties", Form::SchemaOrTrue),
    ("allOf", Form::Schemas),
    ("anyOf", Form::Schemas),
    ("default", Form::Anything),
    ("description", Form::Text),
    ("enum", Form::List),
    ("example", Form::Anything),
    ("exclusiveMaximum", Form::Bool),
    ("exclusiveMinimum", Form::Bool),
    ("externalDocs", Form::Object),
    ("format", Form::Text),
    ("items", Form::Schema),
    ("maxItems", Form::Count),
    ("maxLength", Form::Count),
    ("maxProperties", Form::Count),
    ("maximum", Form::Number),
    ("minItems", Form::Count),
    ("minLength", Form::Count),
    ("minProperties", Form::Count),
    ("minimum", Form::Number),
    ("multipleOf", Form::Number),
    ("not", Form::Schema),
    ("nullable", Form::Bool),
    ("oneOf", Form::Schemas),
    ("pattern", Form::Text),
    ("properties", Form::SchemaMap),
    ("required", Form::Texts),
    ("title", Form::Text),
    ("type", Form::Text),
    ("uniqueItems", Form::Bool),
    ("x-kubernetes-embedded-resource", Form::Bool),
    ("x-kubernetes-int-or-string", Form::Bool),
    ("x-kubernetes-list-map-keys", Form::Texts),
    ("x-kubernetes-list-type", Form::Text),
    ("x-kubernetes-map-type", Form::Text),
    ("x-kubernetes-preserve-unknown-fields", Form::Bool),
    ("x-kubernetes-validations", Form::List),
    ("$schema", Form::Anything),
    ("$ref", Form::Anything),
];

impl Form {
    /// What is wanted, if a value is not of this form.
    pub(super) fn misses(self, value: &Value) -> Option<&'static str> {
        let is_texts = |value: &Value| value.as_array().is_some_and(|list| list.iter().all(Value::is_string));
        let (fits, wanted) = match self {
            Self::Anything => (true, ""),
            Self::Text => (value.is_string(), "a text"),
            Self::Bool => (value.is_boolean(), "true or false"),
            Self::Number => (value.is_number(), "a number"),
            Self::Count => (value.is_u64() && value.as_i64().is_some(), "a whole number of 0 or more"),
            Self::Texts => (is_texts(value), "a list of texts"),
            Self::List | Self::Schemas => (value.is_array(), "a list"),
            Self::Object | Self::Schema | Self::SchemaMap => (value.is_object(), "an object"),
            Self::SchemaOrTrue => (
                value.is_object() || *value == Value::Bool(true),
                "a schema, or leave it out to drop other fields",
            ),
        };
        (!fits).then_some(wanted)
    }
}

/// What a keyword holds; none if API servers do not know it.
pub(super) fn form(keyword: &str) -> Option<Form> {
    KEYWORDS.iter().find(|(name, _)| *name == keyword).map(|(_, form)| *form)
}

/// What to write instead of a keyword that other schemas have.
pub(super) fn refused(keyword: &str) -> Option<&'static str> {
    match keyword {
        "$ref" | "definitions" | "$defs" => {
            Some("schemas cannot contain references: write the schema inline")
        }
        "patternProperties" => Some("names cannot be matched: use additionalProperties"),
        "dependencies" | "discriminator" | "id" | "$id" | "$schema" | "readOnly" | "writeOnly" | "xml" => {
            Some("API servers do not take this: remove it")
        }
        "const" => Some("API servers do not take this: use enum with one value"),
        _ => None,
    }
}
