//! How much of a reply is read, and what its values may take in memory once they are. Pure.

use base64::{Engine as _, engine::general_purpose::STANDARD};

use super::super::{
    error::Error,
    model::{
        Attribute, Blueprint, BlueprintDefinition, Colony, Cron, Executor, Process, ProcessGraph, ProcessId,
        ServerInfo, Statistics, User,
    },
};

/// The most that is read of a reply. A list of 100 ordinary processes has about 200 kB.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in super::super) struct ReplyLimit {
    /// Bytes of the body, in which the payload stands in base64.
    pub(in super::super) bytes: usize,
    /// Memory of the values of the payload, as [`weight`] estimates it: `[0,0,…` takes thirty times its text.
    weight: usize,
    remedy: &'static str,
}

impl ReplyLimit {
    /// Of one thing.
    const ONE: Self = Self {
        bytes: 8 << 20,
        weight: 64 << 20,
        remedy: "keep large results in the colony's file storage, and remove what is that large",
    };
    /// Of a list.
    pub(super) const LIST: Self = Self {
        bytes: 32 << 20,
        weight: 128 << 20,
        remedy: "remove finished processes and what is that large, or list fewer",
    };

    /// The error of a reply with too many bytes, of which the beginning was read.
    pub(in super::super) fn exceeded(self, action: &'static str, bytes: usize, beginning: &[u8]) -> Error {
        let size = format!("more than {} MiB", bytes >> 20);
        let first = first_process(beginning);
        Error::TooLarge { action, size, remedy: self.remedy, first: first.map(Box::new) }
    }

    /// Refuses a payload whose values take too much.
    pub(super) fn check(self, action: &'static str, payload: &[u8]) -> Result<(), Error> {
        if weight(payload) <= self.weight {
            return Ok(());
        }
        let size = format!("more than {} MiB of memory", self.weight >> 20);
        let first = process_in(payload).map(Box::new);
        Err(Error::TooLarge { action, size, remedy: self.remedy, first })
    }
}

/// What comes back from a call, and how much of it is read.
pub(in super::super) trait Limited {
    const LIMIT: ReplyLimit = ReplyLimit::ONE;
}

macro_rules! one {
    ($($reply:ty),+ $(,)?) => {$(
        impl Limited for $reply {}
    )+};
}

one!(
    Attribute,
    Blueprint,
    BlueprintDefinition,
    Colony,
    Cron,
    Executor,
    Process,
    ProcessGraph,
    ServerInfo,
    Statistics,
    User,
);

/// What the values of a JSON text take in memory, at most and roughly: a map has room for eleven entries from the first
/// one on, and a list grows by doubling.
fn weight(json: &[u8]) -> usize {
    const VALUE: usize = 64;
    const MAP: usize = 640;
    let (mut weight, mut is_text, mut is_escaped) = (json.len(), false, false);
    for byte in json {
        if is_text {
            is_text = is_escaped || *byte != b'"';
            is_escaped = !is_escaped && *byte == b'\\';
            continue;
        }
        match byte {
            b'"' => is_text = true,
            b',' | b'[' | b':' => weight += VALUE,
            b'{' => weight += MAP,
            _ => {}
        }
    }
    weight
}

/// The process with which a reply begins, of which only the beginning is there.
fn first_process(beginning: &[u8]) -> Option<ProcessId> {
    let text = std::str::from_utf8(beginning).ok()?;
    let (_, payload) = text.split_once(r#""payload":""#)?;
    let payload = payload.split('"').next()?;
    let whole = payload.get(..payload.len() / 4 * 4)?;
    process_in(&STANDARD.decode(whole).ok()?)
}

/// The id with which the server begins a process and a list of them.
fn process_in(payload: &[u8]) -> Option<ProcessId> {
    const ID: usize = 64;
    let (_, rest) = payload.split_at_checked(payload.iter().position(|byte| *byte == b'{')?)?;
    let id = rest.strip_prefix(br#"{"processid":""#)?.get(..=ID)?;
    let id = id.strip_suffix(b"\"").filter(|id| id.iter().all(u8::is_ascii_hexdigit))?;
    Some(ProcessId::new(std::str::from_utf8(id).ok()?))
}

#[cfg(test)]
mod tests {
    use serde_json::Value;

    use super::*;

    #[test]
    fn values_weigh_more_than_their_text_and_texts_do_not() {
        assert_eq!(weight(br#""a,[{\"","#), 9 + 64);
        assert_eq!(weight(br#""a,[{\"":["\\",{}]"#), 18 + 3 * 64 + 640);
        let zeros = format!("[{}0]", "0,".repeat(1000));
        assert!(weight(zeros.as_bytes()) > 1000 * size_of::<Value>());
        let text = format!("{:?}", "x,".repeat(1 << 20));
        ReplyLimit::ONE.check("try it", text.as_bytes()).unwrap();
        let zeros = format!("[{}0]", "0,".repeat(1 << 20));
        let error = ReplyLimit::ONE.check("try it", zeros.as_bytes()).unwrap_err().to_string();
        assert_eq!(
            error,
            "failed to read the server's answer to try it: it takes more than 64 MiB of memory, which is the most that is \
             read; keep large results in the colony's file storage, and remove what is that large"
        );
        ReplyLimit::LIST.check("try it", zeros.as_bytes()).unwrap();
    }

    #[test]
    fn the_beginning_of_a_reply_names_its_first_process() {
        let id = "0123456789abcdef".repeat(4);
        for payload in [
            format!(r#"{{"processid":"{id}","out":["aaaa"#),
            format!(r#"[{{"processid":"{id}","out":["aaaa"#),
        ] {
            let reply = format!(r#"{{"payloadtype":"x","payload":"{}"#, STANDARD.encode(&payload));
            for length in 150..reply.len() {
                assert_eq!(
                    first_process(&reply.as_bytes()[..length]),
                    Some(ProcessId::new(&*id)),
                    "{length}"
                );
            }
        }
        for other in ["", "{}", r#"{"payload":""#, r#"{"payload":"e30"#, r#"{"payload":"????"#, "\u{fffd}"] {
            assert_eq!(first_process(other.as_bytes()), None, "{other}");
        }
        for payload in ["[]", r#"{"processid":"x"}"#, r#"{"out":[{"processid":"#] {
            assert_eq!(process_in(payload.as_bytes()), None, "{payload}");
        }
    }
}
