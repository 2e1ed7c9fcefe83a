//! Reads `template.yaml` as JSON: a tag becomes the long form of its function, `!Ref Env` the table `{"Ref": "Env"}`.

use std::path::{Path, PathBuf};

use saphyr::{LoadableYamlNode as _, Scalar, Yaml};
use serde_json::{Map, Value, json};

/// The folder of the repository.
pub(crate) fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().expect("the package lies in the workspace").to_owned()
}

/// The template.
pub(crate) fn template() -> Value {
    let text = std::fs::read_to_string(root().join("template.yaml")).expect("template.yaml");
    read(&text)
}

/// YAML with the tags of CloudFormation.
pub(crate) fn read(text: &str) -> Value {
    let documents = Yaml::load_from_str(text).expect("it is YAML");
    plain(documents.first().expect("there is a document"))
}

fn plain(yaml: &Yaml<'_>) -> Value {
    match yaml {
        Yaml::Value(Scalar::Boolean(truth)) => Value::Bool(*truth),
        Yaml::Value(Scalar::Integer(number)) => Value::from(*number),
        Yaml::Value(Scalar::FloatingPoint(number)) => Value::from(number.into_inner()),
        Yaml::Value(Scalar::String(text)) | Yaml::Representation(text, _, None) => {
            Value::String(text.to_string())
        }
        Yaml::Value(Scalar::Null) => Value::Null,
        Yaml::Sequence(items) => items.iter().map(plain).collect(),
        Yaml::Mapping(map) => {
            let entries = map.iter().map(|(key, value)| {
                let Value::String(key) = plain(key) else { panic!("a key that is no text: {key:?}") };
                (key, plain(value))
            });
            Value::Object(entries.collect::<Map<String, Value>>())
        }
        Yaml::Tagged(tag, node) => function(&tag.suffix, plain(node)),
        Yaml::Representation(text, _, Some(tag)) => function(&tag.suffix, Value::String(text.to_string())),
        Yaml::Alias(_) | Yaml::BadValue => panic!("CloudFormation reads no {yaml:?}"),
    }
}

fn function(name: &str, argument: Value) -> Value {
    match name {
        "Ref" | "Condition" => json!({ name: argument }),
        _ => json!({ format!("Fn::{name}"): argument }),
    }
}

/// The resources of a type, with their names.
pub(crate) fn resources<'t>(
    template: &'t Value,
    kind: &'t str,
) -> impl Iterator<Item = (&'t str, &'t Value)> {
    let all = template["Resources"].as_object().into_iter().flatten();
    all.filter(move |(_, resource)| resource["Type"] == kind)
        .map(|(name, resource)| (name.as_str(), &resource["Properties"]))
}

/// The elements of a list, or the one thing that stands for a list of one.
pub(crate) fn each(value: &Value) -> impl Iterator<Item = &Value> {
    let (many, one) = match value {
        Value::Array(many) => (many.as_slice(), None),
        Value::Null => (&[][..], None),
        one @ (Value::Bool(_) | Value::Number(_) | Value::String(_) | Value::Object(_)) => {
            (&[][..], Some(one))
        }
    };
    many.iter().chain(one)
}

/// Texts of a list.
pub(crate) fn texts(value: &Value) -> impl Iterator<Item = &str> {
    each(value).map(|text| text.as_str().unwrap_or_else(|| panic!("{text} is no text")))
}

/// Fails with every sentence at once.
pub(crate) fn assert_none(breaches: &[String]) {
    assert!(breaches.is_empty(), "{} breaches:\n  {}", breaches.len(), breaches.join("\n  "));
}

#[test]
fn a_tag_becomes_the_long_form_of_its_function() {
    let read = read("a: !Ref Env\nb: !If [Is, !Sub 'x-${Env}', !GetAtt T.Arn]\nc: {Version: '2012'}\nd: 7");
    let long = json!({
        "a": {"Ref": "Env"},
        "b": {"Fn::If": ["Is", {"Fn::Sub": "x-${Env}"}, {"Fn::GetAtt": "T.Arn"}]},
        "c": {"Version": "2012"},
        "d": 7,
    });
    assert_eq!(read, long);
}
