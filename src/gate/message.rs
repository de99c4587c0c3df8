//! What calls of an executor and their replies say, as far as the gate has to know. Pure.

use base64::{Engine as _, engine::general_purpose::STANDARD};
use serde::Deserialize;
use serde_json::{Map, Value, json};

use crate::colony::{Id, PrivateKey, ProcessId, sign};

/// The call that asks for a process.
const ASSIGN: &str = "assignprocessmsg";
/// The calls that end one.
const CLOSES: [&str; 2] = ["closesuccessfulmsg", "closefailedmsg"];
/// What the server says when nothing came in time (ColonyOS 1.9.12).
const NOTHING: &str = "No process available for assignment";
/// Most characters of the id of a process.
const ID_MAX: usize = 128;

/// What a call is for.
#[derive(Debug, PartialEq)]
pub(super) enum Call {
    /// It asks for a process.
    Assign(Assign),
    /// It ends a process.
    Close(ProcessId),
    /// Anything else.
    Other,
}

/// A call that asks for a process.
#[derive(Debug, PartialEq)]
pub(super) struct Assign {
    /// Who asks.
    caller: Option<Id>,
    /// How long the server is to wait for one: not above 0, not at all.
    pub seconds: i64,
    /// What is inside.
    inner: Map<String, Value>,
}

#[derive(Deserialize)]
struct Envelope {
    #[serde(default)]
    signature: String,
    #[serde(default)]
    payloadtype: String,
    #[serde(default)]
    payload: String,
    #[serde(default)]
    error: bool,
}

impl Envelope {
    fn inner(&self) -> Option<Map<String, Value>> {
        serde_json::from_slice(&STANDARD.decode(&self.payload).ok()?).ok()
    }
}

/// Reads the body of a call.
pub(super) fn read(body: &[u8]) -> Call {
    let Ok(envelope) = serde_json::from_slice::<Envelope>(body) else { return Call::Other };
    let is_assign = envelope.payloadtype == ASSIGN;
    if !is_assign && !CLOSES.contains(&envelope.payloadtype.as_str()) {
        return Call::Other;
    }
    let Some(inner) = envelope.inner() else { return Call::Other };
    if is_assign {
        let seconds = inner.get("timeout").and_then(Value::as_i64).unwrap_or_default();
        let caller = sign::recover(&envelope.payload, &envelope.signature);
        return Call::Assign(Assign { caller, seconds, inner });
    }
    inner.get("processid").and_then(id).map_or(Call::Other, Call::Close)
}

impl Assign {
    /// Whether the holder of a key asks.
    pub fn is_by(&self, key: &PrivateKey) -> bool {
        self.caller.as_ref() == Some(key.id())
    }

    /// The same call for another span, signed by who asks. None if it cannot be signed.
    pub fn for_seconds(&self, seconds: i64, key: &PrivateKey) -> Option<String> {
        let mut inner = self.inner.clone();
        inner.insert("timeout".to_owned(), json!(seconds));
        let payload = STANDARD.encode(Value::Object(inner).to_string());
        let signature = key.sign(&payload)?;
        Some(json!({"signature": signature, "payloadtype": ASSIGN, "payload": payload}).to_string())
    }
}

/// The process that the reply to an [`Assign`] brings, by the whole of it or by its beginning: the server begins a process with
/// its id.
pub(super) fn assigned(reply: &[u8]) -> Option<ProcessId> {
    if let Ok(envelope) = serde_json::from_slice::<Envelope>(reply) {
        return if envelope.error { None } else { id(envelope.inner()?.get("processid")?) };
    }
    let text = std::str::from_utf8(reply).ok()?;
    let (_, payload) = text.split_once(r#""payload":""#)?;
    let payload = payload.split('"').next()?;
    let payload = STANDARD.decode(payload.get(..payload.len() / 4 * 4)?).ok()?;
    let text = String::from_utf8_lossy(&payload);
    let (_, rest) = text.split_once(r#""processid":"#)?;
    id(&json!(rest.trim_start().strip_prefix('"')?.split_once('"')?.0))
}

fn id(value: &Value) -> Option<ProcessId> {
    let text = value.as_str().filter(|text| (1..=ID_MAX).contains(&text.len()))?;
    text.bytes().all(|byte| byte.is_ascii_alphanumeric()).then(|| ProcessId::new(text))
}

/// Whether a reply says that nothing came in time.
pub(super) fn is_nothing(status: u16, reply: &[u8]) -> bool {
    let said = || {
        let inner = serde_json::from_slice::<Envelope>(reply).ok()?.inner()?;
        Some(inner.get("message")?.as_str()?.contains(NOTHING))
    };
    status == 404 && said().unwrap_or_default()
}

/// What the server replies when nothing came in time.
pub(super) fn nothing() -> String {
    refusal(404, NOTHING)
}

/// A reply that refuses a call.
pub(super) fn refusal(status: u16, message: &str) -> String {
    let payload = STANDARD.encode(json!({"status": status, "message": message}).to_string());
    json!({"payloadtype": "error", "payload": payload, "error": true}).to_string()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn call(kind: &str, inner: &Value, key: &PrivateKey) -> Vec<u8> {
        let payload = STANDARD.encode(inner.to_string());
        let signature = key.sign(&payload).unwrap();
        json!({"signature": signature, "payloadtype": kind, "payload": payload}).to_string().into_bytes()
    }

    #[test]
    fn a_call_for_work_is_read_and_asked_again_for_another_span() {
        let key = PrivateKey::generate().unwrap();
        let inner = json!({"msgtype": ASSIGN, "colonyname": "dev", "timeout": 100, "availablecpu": "2000m"});
        let Call::Assign(assign) = read(&call(ASSIGN, &inner, &key)) else { panic!("it is one") };
        assert!(assign.is_by(&key) && !assign.is_by(&PrivateKey::generate().unwrap()));
        assert_eq!(assign.seconds, 100);
        let again = assign.for_seconds(10, &key).unwrap();
        let Call::Assign(shorter) = read(again.as_bytes()) else { panic!("it still is one") };
        assert!(shorter.is_by(&key));
        assert_eq!((shorter.seconds, &shorter.inner["availablecpu"]), (10, &json!("2000m")));
    }

    #[test]
    fn a_close_names_its_process_and_all_else_is_passed_on() {
        let key = PrivateKey::generate().unwrap();
        let process = "0123456789abcdef".repeat(4);
        for kind in CLOSES {
            let inner = json!({"msgtype": kind, "processid": process, "out": [1]});
            assert_eq!(read(&call(kind, &inner, &key)), Call::Close(ProcessId::new(&*process)));
        }
        for inner in [json!({}), json!({"processid": 7}), json!({"processid": "a".repeat(129)}), json!([])] {
            assert_eq!(read(&call(CLOSES[0], &inner, &key)), Call::Other, "{inner}");
        }
        assert_eq!(read(&call("addlogmsg", &json!({"processid": process}), &key)), Call::Other);
        for body in [&b""[..], b"{}", b"[", b"\xff", br#"{"payloadtype":"assignprocessmsg","payload":"?"}"#] {
            assert_eq!(read(body), Call::Other);
        }
    }

    #[test]
    fn a_reply_names_its_process_as_soon_as_its_beginning_is_there() {
        let process = "0123456789abcdef".repeat(4);
        let reply = |payload: &str, error: bool| {
            json!({"payloadtype": ASSIGN, "payload": STANDARD.encode(payload), "error": error}).to_string()
        };
        let payload = format!(r#"{{"processid":"{process}","spec":{{"args":["{}"]}}}}"#, "x".repeat(999));
        let whole = reply(&payload, false);
        let id = ProcessId::new(&*process);
        assert_eq!(assigned(whole.as_bytes()), Some(id.clone()));
        // The server writes the payload after its type.
        let as_the_server_does = format!(
            r#"{{"payloadtype":"{ASSIGN}","payload":"{}","error":false}}"#,
            STANDARD.encode(format!("{{\n  \"processid\": \"{process}\",\n  \"in\": []}}"))
        );
        assert_eq!(assigned(&as_the_server_does.as_bytes()[..165]), Some(id.clone()));
        assert_eq!(assigned(as_the_server_does.as_bytes()), Some(id));
        for none in [reply(&payload, true), nothing(), reply("{}", false), "{}".to_owned(), String::new()] {
            assert_eq!(assigned(none.as_bytes()), None, "{none}");
        }
    }

    #[test]
    fn that_there_is_nothing_is_said_as_the_server_says_it() {
        assert!(is_nothing(404, nothing().as_bytes()));
        for (status, reply) in
            [(200, nothing()), (404, refusal(404, "Process not found")), (404, "x".to_owned())]
        {
            assert!(!is_nothing(status, reply.as_bytes()), "{status} {reply}");
        }
    }

    proptest! {
        #[test]
        fn nothing_that_comes_makes_it_panic(body in prop::collection::vec(any::<u8>(), 0..200), text in ".{0,200}") {
            let envelope = json!({"payloadtype": ASSIGN, "payload": STANDARD.encode(&text)}).to_string();
            for body in [&body, envelope.as_bytes(), text.as_bytes()] {
                let _ = (read(body), assigned(body), is_nothing(404, body));
            }
        }
    }
}
