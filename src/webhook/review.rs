//! A `ConversionReview`: the request of an API server, and the response. Reads and writes nothing.
//!
//! The answer has every object in the order in which it came, or none: that is the contract. So all that cannot be converted
//! are named, not only the first.

use kube::core::{
    Status,
    conversion::{ConversionRequest, ConversionResponse, ConversionReview},
};
use serde_json::Value;

use crate::{kinds::conversion::Converter, runtime::metrics::ConversionResult};

/// Most objects that are named of those that cannot be converted.
const NAMED: usize = 5;
/// The one version of the contract that is spoken.
const REVIEW_API_VERSION: &str = "apiextensions.k8s.io/v1";

/// Reads what an API server asks.
pub(super) fn read(body: &[u8]) -> Result<ConversionRequest, String> {
    let review: ConversionReview =
        serde_json::from_slice(body).map_err(|error| format!("this is no ConversionReview: {error}"))?;
    if review.types.api_version != REVIEW_API_VERSION {
        return Err(format!(
            "apiVersion: {}: send a review of {REVIEW_API_VERSION}",
            review.types.api_version
        ));
    }
    ConversionRequest::from_review(review).map_err(|error| error.to_string())
}

/// The answer, by what converts, or why nothing does; and how that is counted.
pub(super) fn answer(
    mut request: ConversionRequest,
    converter: Result<&Converter, &str>,
) -> (ConversionReview, ConversionResult) {
    let objects = std::mem::take(&mut request.objects);
    let version = request.desired_api_version.clone();
    let response = ConversionResponse::for_request(request);
    let result = match converter {
        Ok(converter) => {
            convert(&objects, converter, &version).map_err(|why| (why, ConversionResult::Refused))
        }
        Err(why) => Err((why.to_owned(), ConversionResult::Unknown)),
    };
    match result {
        Ok(objects) => (response.success(objects).into_review(), ConversionResult::Converted),
        Err((why, result)) => {
            tracing::warn!(version, "objects were not converted: {why}");
            (response.failure(Status::failure(&why, "ConversionFailed")).into_review(), result)
        }
    }
}

fn convert(objects: &[Value], converter: &Converter, version: &str) -> Result<Vec<Value>, String> {
    let mut done = Vec::with_capacity(objects.len());
    let (mut named, mut further) = (Vec::new(), 0_usize);
    for object in objects {
        match converter.convert(object, version) {
            Ok(object) => done.push(object),
            Err(error) if named.len() < NAMED => named.push(format!("{}: {error}", name_of(object))),
            Err(_) => further += 1,
        }
    }
    if named.is_empty() {
        return Ok(done);
    }
    if further > 0 {
        named.push(format!("and {further} more"));
    }
    Err(named.join("; "))
}

/// Kind, namespace and name of an object.
fn name_of(object: &Value) -> String {
    let text =
        |pointer: &str| object.pointer(pointer).and_then(Value::as_str).filter(|text| !text.is_empty());
    let name = text("/metadata/name").unwrap_or("without a name");
    let kind = text("/kind").unwrap_or("object");
    match text("/metadata/namespace") {
        Some(namespace) => format!("{kind} {namespace}/{name}"),
        None => format!("{kind} {name}"),
    }
}

#[cfg(test)]
mod tests {
    use k8s_openapi::apiextensions_apiserver::pkg::apis::apiextensions::v1::CustomResourceDefinition;
    use proptest::prelude::*;
    use serde_json::json;

    use super::*;
    use crate::{api::resource_definition::ResourceDefinition, kinds::definition::build};

    fn crd() -> CustomResourceDefinition {
        let version = |field: &str, kind: &str| {
            json!({"openAPIV3Schema": {"type": "object", "properties": {
                "spec": {"type": "object", "properties": {field: {"type": kind}}}}}})
        };
        let definition: ResourceDefinition = serde_json::from_value(json!({
            "metadata": {"name": "things.g.example.com", "generation": 1},
            "spec": {"group": "g.example.com", "names": {"kind": "Thing", "plural": "things"},
                "versions": [
                    {"name": "v1", "storage": true, "schema": version("size", "integer")},
                    {"name": "v1alpha1", "schema": version("amount", "string"), "conversion": {
                        "toStorage": {"spec.size": "${int(self.spec.amount)}"},
                        "fromStorage": {"spec.amount": "${string(self.spec.size)}"}}}],
                "handler": {"mode": "process", "executorType": "t", "functionName": "f"}},
        }))
        .unwrap();
        build(&definition).unwrap()
    }

    fn review(amounts: &[&str]) -> Value {
        let objects: Vec<Value> = amounts
            .iter()
            .enumerate()
            .map(|(index, amount)| {
                json!({"apiVersion": "g.example.com/v1alpha1", "kind": "Thing", "spec": {"amount": amount},
                       "metadata": {"name": format!("t{index}"), "namespace": "ns", "uid": "u", "resourceVersion": "7"}})
            })
            .collect();
        json!({"apiVersion": REVIEW_API_VERSION, "kind": "ConversionReview",
               "request": {"uid": "42", "desiredAPIVersion": "g.example.com/v1", "objects": objects}})
    }

    fn answered(review: &Value) -> (Value, ConversionResult) {
        let converter = Converter::of(&crd()).unwrap().unwrap();
        let request = read(review.to_string().as_bytes()).unwrap();
        let (answer, result) = answer(request, Ok(&converter));
        (serde_json::to_value(answer).unwrap(), result)
    }

    #[test]
    fn objects_come_back_in_their_order_with_the_uid() {
        let (answer, result) = answered(&review(&["3", "5"]));
        assert_eq!(result, ConversionResult::Converted);
        assert_eq!(
            (&answer["apiVersion"], &answer["kind"]),
            (&json!(REVIEW_API_VERSION), &json!("ConversionReview"))
        );
        let response = &answer["response"];
        assert_eq!((&response["uid"], &response["result"]["status"]), (&json!("42"), &json!("Success")));
        let objects = response["convertedObjects"].as_array().unwrap();
        assert_eq!(objects.iter().map(|object| &object["spec"]["size"]).collect::<Vec<_>>(), [3, 5]);
        assert_eq!(objects[0]["metadata"], review(&["3"])["request"]["objects"][0]["metadata"]);
        assert!(answer["request"].is_null());
    }

    #[test]
    fn all_that_cannot_be_converted_are_named() {
        let (answer, result) = answered(&review(&["3", "many", "5", "few", "a", "b", "c", "d"]));
        assert_eq!(result, ConversionResult::Refused);
        let response = &answer["response"];
        assert_eq!((&response["uid"], &response["result"]["status"]), (&json!("42"), &json!("Failure")));
        assert_eq!(response["convertedObjects"], json!([]));
        let said = response["result"]["message"].as_str().unwrap();
        for expected in ["Thing ns/t1: spec.size: ", r#"spec.amount is "many""#, "Thing ns/t3", "and 1 more"]
        {
            assert!(said.contains(expected), "{said}\nlacks {expected}");
        }
        assert!(!said.contains("ns/t0") && !said.contains("ns/t2"), "{said}");
    }

    /// So many cases, unless `PROPTEST_CASES` says otherwise.
    fn cases(usual: u32) -> ProptestConfig {
        let default = ProptestConfig { failure_persistence: None, ..ProptestConfig::default() };
        // The default is what the environment says, or proptest's own 256.
        if default.cases == 256 { ProptestConfig { cases: usual, ..default } } else { default }
    }

    proptest! {
        #![proptest_config(cases(500))]

        #[test]
        fn no_request_makes_it_panic(bytes in prop::collection::vec(any::<u8>(), 0..64), cut: prop::sample::Index, at: prop::sample::Index, byte: u8) {
            let _ = read(&bytes);
            let mut body = review(&["3", "many"]).to_string().into_bytes();
            let _ = read(&body[..cut.index(body.len())]);
            let at = at.index(body.len());
            body[at] = byte;
            if let Ok(request) = read(&body) {
                let converter = Converter::of(&crd()).unwrap().unwrap();
                let _ = answer(request, Ok(&converter));
            }
        }
    }

    #[test]
    fn what_is_no_review_is_refused() {
        for body in ["", "{}", r#"{"apiVersion": "apiextensions.k8s.io/v1", "kind": "ConversionReview"}"#] {
            assert!(read(body.as_bytes()).is_err(), "{body}");
        }
        let mut old = review(&["3"]);
        old["apiVersion"] = json!("apiextensions.k8s.io/v1beta1");
        assert!(read(old.to_string().as_bytes()).unwrap_err().contains("v1beta1"));
        let request = read(review(&["3"]).to_string().as_bytes()).unwrap();
        let (answer, result) = answer(request, Err("gone"));
        assert_eq!(result, ConversionResult::Unknown);
        assert_eq!(serde_json::to_value(answer).unwrap()["response"]["result"]["message"], "gone");
    }
}
