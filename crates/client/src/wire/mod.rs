//! How a call and its reply look on the wire. Pure: text in, text out.
//!
//! A call is `{"signature", "payloadtype", "payload"}` with the base64 of an inner object that repeats the
//! payload type as `msgtype` (the outer one is not covered by the signature). A reply is `{"payloadtype",
//! "payload", "error"}`.

mod calls;
mod limit;

use std::borrow::Cow;

use base64::{Engine as _, engine::general_purpose::STANDARD};
use serde::{Deserialize, Deserializer, Serialize, de::DeserializeOwned};

pub(super) use calls::*;
pub(super) use limit::{BEGINNING, Limited, ReplyLimit};

use super::{error::Error, sign::PrivateKey};

/// A call: its payload is the value itself.
pub(super) trait Call: Serialize {
    /// The protocol's name of the call.
    const PAYLOAD_TYPE: &'static str;
    /// What it does, as in "failed to …".
    const ACTION: &'static str;
    /// What comes back.
    type Reply: DeserializeOwned + Limited;
}

#[derive(Serialize)]
struct Inner<'a, C> {
    msgtype: &'static str,
    #[serde(flatten)]
    call: &'a C,
}

#[derive(Serialize)]
struct Envelope<'a> {
    signature: &'a str,
    payloadtype: &'static str,
    payload: &'a str,
}

#[derive(Deserialize)]
struct ReplyEnvelope<'a> {
    #[serde(borrow)]
    payload: Cow<'a, str>,
    error: bool,
}

#[derive(Deserialize)]
struct Failure {
    #[serde(default)]
    status: u16,
    message: String,
}

/// A list, which the server writes as `null` when it is empty.
#[derive(Debug, Deserialize)]
#[serde(transparent, bound = "T: DeserializeOwned")]
pub(super) struct List<T>(#[serde(deserialize_with = "super::model::null_is_empty")] pub(super) Vec<T>);

impl<T> Limited for List<T> {
    const LIMIT: ReplyLimit = ReplyLimit::LIST;
}

/// Whether assignments are paused.
#[derive(Deserialize)]
pub(super) struct PauseStatus {
    #[serde(rename = "ispaused")]
    pub(super) is_paused: bool,
}

impl Limited for PauseStatus {}

/// The reply of a call without a result.
#[derive(Debug)]
pub(super) struct Nothing;

impl Limited for Nothing {}

impl<'de> Deserialize<'de> for Nothing {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        serde::de::IgnoredAny::deserialize(deserializer).map(|_| Self)
    }
}

/// Writes a call, signed when there is a key.
pub(super) fn encode<C: Call>(call: &C, key: Option<&PrivateKey>) -> Result<String, Error> {
    sealed(C::PAYLOAD_TYPE, C::ACTION, &payload(call)?, key)
}

/// Writes what is inside a call: its JSON in base64.
pub(super) fn payload<C: Call>(call: &C) -> Result<String, Error> {
    let inner = serde_json::to_vec(&Inner { msgtype: C::PAYLOAD_TYPE, call });
    let inner = inner.map_err(|_| fault(C::ACTION, "the call has no JSON form"))?;
    Ok(STANDARD.encode(inner))
}

/// Puts a payload into its envelope, signed when there is a key.
pub(super) fn sealed(
    payload_type: &'static str,
    action: &'static str,
    payload: &str,
    key: Option<&PrivateKey>,
) -> Result<String, Error> {
    let signature = match key {
        Some(key) => key.sign(payload).ok_or_else(|| fault(action, "the call cannot be signed"))?,
        None => String::new(),
    };
    let envelope = Envelope { signature: &signature, payloadtype: payload_type, payload };
    serde_json::to_string(&envelope).map_err(|_| fault(action, "the envelope has no JSON form"))
}

fn fault(action: &str, what: &str) -> Error {
    Error::Configuration(format!("cannot {action} ({what})"))
}

/// Reads the reply to a call.
pub(super) fn decode<C: Call>(status: u16, body: &[u8]) -> Result<C::Reply, Error> {
    let success = (200..300).contains(&status);
    let limit = C::Reply::LIMIT;
    if body.len() > limit.bytes {
        return Err(limit.exceeded(C::ACTION, limit.bytes, body.get(..BEGINNING).unwrap_or(body)));
    }
    let Ok(envelope) = serde_json::from_slice::<ReplyEnvelope<'_>>(body) else {
        return Err(Error::foreign_reply(C::ACTION, status, body));
    };
    let payload = STANDARD
        .decode(envelope.payload.as_bytes())
        .map_err(|error| Error::decode(C::ACTION, &error.to_string()))?;
    if envelope.error || !success {
        let failure = serde_json::from_slice::<Failure>(&payload);
        let message = failure.map(|failure| failure.message);
        let message = message.unwrap_or_else(|_| String::from_utf8_lossy(&payload).into_owned());
        return Err(Error::from_reply(C::ACTION, status, &message));
    }
    limit.check(C::ACTION, &payload)?;
    serde_json::from_slice(&payload).map_err(|error| Error::decode(C::ACTION, &error.to_string()))
}

/// Reads a push, which looks like a reply but has its status in the refusal alone.
pub(super) fn decode_push<C: Call>(body: &[u8]) -> Result<C::Reply, Error> {
    let refused = serde_json::from_slice::<ReplyEnvelope<'_>>(body).ok().filter(|envelope| envelope.error);
    let payload = refused.and_then(|envelope| STANDARD.decode(envelope.payload.as_bytes()).ok());
    let status = payload.and_then(|payload| serde_json::from_slice::<Failure>(&payload).ok());
    decode::<C>(status.map_or(200, |failure| failure.status), body)
}

#[cfg(test)]
mod tests {
    use base64::{Engine as _, engine::general_purpose::STANDARD};
    use proptest::prelude::*;
    use serde_json::{Value, json};

    use super::super::{ErrorKind, FunctionSpec, PrivateKey, model::Process};
    use super::{
        Call, GetBlueprints, GetExecutors, GetProcess, GetProcesses, GetServerInfo, Limited,
        SubmitFunctionSpec, SubscribeProcess, decode, decode_push, encode,
    };

    fn reply(payload: &str, error: bool) -> Vec<u8> {
        json!({"payloadtype": "x", "payload": STANDARD.encode(payload), "error": error})
            .to_string()
            .into_bytes()
    }

    #[test]
    fn a_call_repeats_its_type_inside_and_is_signed_over_its_base64() {
        let key = PrivateKey::generate().unwrap();
        let spec = FunctionSpec::new("dev", "cli", "echo").unwrap();
        let text = encode(&SubmitFunctionSpec { spec: &spec }, Some(&key)).unwrap();
        let envelope: Value = serde_json::from_str(&text).unwrap();
        let payload = envelope["payload"].as_str().unwrap();
        let inner: Value = serde_json::from_slice(&STANDARD.decode(payload).unwrap()).unwrap();
        assert_eq!(envelope["payloadtype"], "submitfuncspecmsg");
        assert_eq!(inner["msgtype"], "submitfuncspecmsg");
        assert_eq!(inner["spec"]["conditions"]["colonyname"], "dev");
        assert_eq!(envelope["signature"], key.sign(payload).unwrap());
    }

    #[test]
    fn a_call_without_a_key_has_an_empty_signature() {
        let envelope: Value = serde_json::from_str(&encode(&GetServerInfo {}, None).unwrap()).unwrap();
        assert_eq!(envelope["signature"], "");
    }

    /// Reading "cannot be decoded" as "there is none" makes bridges submit twice and delete what lives.
    #[test]
    fn a_null_list_is_empty_and_an_unreadable_one_is_an_error() {
        assert_eq!(decode::<GetExecutors>(200, &reply("null", false)).unwrap().0.len(), 0);
        assert_eq!(decode::<GetExecutors>(200, &reply("[]", false)).unwrap().0.len(), 0);
        for unreadable in ["", "{}", "[{}]", "[null]", "\"\"", "0", "[{\"executorid\":1}]"] {
            let error = decode::<GetExecutors>(200, &reply(unreadable, false)).unwrap_err();
            assert_eq!(error.kind(), ErrorKind::Decode, "{unreadable}");
        }
        let error = decode::<GetExecutors>(200, b"{\"payload\":\"*\",\"error\":false}").unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Decode);
    }

    #[test]
    fn what_is_not_the_servers_answer_is_ambiguous() {
        for body in [&b""[..], b"<html>", b"null", b"{}", b"{\"error\":false}"] {
            for status in [200, 404, 502] {
                assert_eq!(decode::<GetExecutors>(status, body).unwrap_err().kind(), ErrorKind::Ambiguous);
            }
        }
    }

    #[test]
    fn an_error_envelope_is_an_error_whatever_its_status() {
        let body = reply("{\"status\":403,\"message\":\"Access denied\"}", true);
        assert_eq!(decode::<GetExecutors>(403, &body).unwrap_err().kind(), ErrorKind::Forbidden);
        assert!(decode::<GetExecutors>(200, &body).is_err());
        let bare = reply("not even JSON", true);
        assert_eq!(decode::<GetExecutors>(403, &bare).unwrap_err().kind(), ErrorKind::Forbidden);
    }

    #[test]
    fn each_action_completes_the_sentence_of_an_error() {
        assert!(GetExecutors::ACTION.starts_with("list "));
    }

    /// Some JSON that is almost what a server says.
    fn almost() -> impl Strategy<Value = Value> {
        let leaf = prop_oneof![
            Just(Value::Null),
            any::<bool>().prop_map(Value::from),
            any::<i64>().prop_map(Value::from),
            "\\PC{0,8}".prop_map(Value::from),
            Just(json!("0001-01-01T00:00:00Z")),
        ];
        leaf.prop_recursive(4, 32, 8, |inner| {
            let name = prop::sample::select(vec![
                "processid",
                "state",
                "spec",
                "conditions",
                "submissiontime",
                "starttime",
                "endtime",
                "out",
                "in",
                "errors",
                "attributes",
                "kwargs",
                "env",
                "status",
                "message",
                "metadata",
                "kind",
            ]);
            prop_oneof![
                prop::collection::vec(inner.clone(), 0..8).prop_map(Value::from),
                prop::collection::btree_map(name.prop_map(str::to_owned), inner, 0..8)
                    .prop_map(Value::from_iter),
            ]
        })
    }

    /// So many cases, unless `PROPTEST_CASES` says otherwise.
    fn cases(usual: u32) -> ProptestConfig {
        let default = ProptestConfig { failure_persistence: None, ..ProptestConfig::default() };
        // The default is what the environment says, or proptest's own 256.
        if default.cases == 256 { ProptestConfig { cases: usual, ..default } } else { default }
    }

    proptest! {
        #![proptest_config(cases(2000))]

        #[test]
        fn no_reply_makes_it_panic(bytes in prop::collection::vec(any::<u8>(), 0..64), said in almost(), status in 100..600_u16, error: bool) {
            let _ = decode::<GetExecutors>(status, &bytes);
            for body in [bytes, said.to_string().into_bytes(), reply(&said.to_string(), error)] {
                let _ = decode::<GetExecutors>(status, &body);
                let _ = decode::<GetProcess<'_>>(status, &body);
                let _ = decode::<GetProcesses<'_>>(status, &body);
                let _ = decode::<GetBlueprints<'_>>(status, &body);
                let _ = decode_push::<SubscribeProcess<'_>>(&body);
            }
        }

        /// What is too large is looked into, too.
        #[test]
        fn no_beginning_of_a_reply_makes_it_panic(bytes in prop::collection::vec(any::<u8>(), 0..64), said in almost(), at: prop::sample::Index) {
            let limit = <Process as Limited>::LIMIT;
            for whole in [bytes, said.to_string().into_bytes(), reply(&format!("{said:#}"), false)] {
                let _ = limit.exceeded("try it", whole.len(), &whole[..at.index(whole.len() + 1)]);
            }
        }
    }
}
