//! How much of a reply is read, and what its values may take in memory once they are. Pure.

use base64::{Engine as _, engine::general_purpose::STANDARD};

use super::super::{
    error::Error,
    model::{
        Attribute, Blueprint, BlueprintDefinition, Colony, Cron, Executor, Process, ProcessGraph, ProcessId,
        ServerInfo, Statistics, User, weight,
    },
};

/// How much of a reply that is too large is looked at.
pub(in super::super) const BEGINNING: usize = 256 << 10;

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
        self.error(action, size, &payload_of(beginning).unwrap_or_default())
    }

    /// Refuses a payload whose values take too much.
    pub(super) fn check(self, action: &'static str, payload: &[u8]) -> Result<(), Error> {
        if weight(payload) <= self.weight {
            return Ok(());
        }
        let size = format!("more than {} MiB of memory", self.weight >> 20);
        Err(self.error(action, size, payload))
    }

    fn error(self, action: &'static str, size: String, payload: &[u8]) -> Error {
        let beginning = without_spaces(payload.get(..BEGINNING).unwrap_or(payload));
        let first = process_in(&beginning).map(Box::new);
        Error::TooLarge {
            action,
            size,
            remedy: self.remedy,
            first,
            cut: cut_process(&beginning).map(Box::new),
        }
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

/// As much as there is of the payload of a reply, of which only the beginning is there.
fn payload_of(beginning: &[u8]) -> Option<Vec<u8>> {
    let text = std::str::from_utf8(beginning).ok()?;
    let (_, payload) = text.split_once(r#""payload":""#)?;
    let payload = payload.split('"').next()?;
    let whole = payload.get(..payload.len() / 4 * 4)?;
    STANDARD.decode(whole).ok()
}

/// The process that a payload is, without its output, which the server writes last but for the errors; where the payload ends
/// before that, without its input too, which is what others put out. None where it is something else, or ends before both.
fn cut_process(payload: &[u8]) -> Option<Process> {
    const INPUT: &[u8] = br#","in":"#;
    const OUTPUT: &[u8] = br#","out":"#;
    let (mut depth, mut is_text, mut is_escaped) = (0_usize, false, false);
    let (mut input, mut output) = (None, None);
    for (at, byte) in payload.iter().enumerate() {
        if is_text {
            is_text = is_escaped || *byte != b'"';
            is_escaped = !is_escaped && *byte == b'\\';
            continue;
        }
        let begins = |field| payload.get(at..).is_some_and(|rest| rest.starts_with(field));
        match byte {
            b'"' => is_text = true,
            b'{' | b'[' => depth += 1,
            b'}' | b']' => depth = depth.saturating_sub(1),
            b',' if depth == 1 && begins(OUTPUT) => {
                output = Some(at);
                break;
            }
            b',' if depth == 1 && begins(INPUT) => input = Some(at),
            _ => {}
        }
    }
    let whole = [payload.get(..output.or(input)?)?, b"}"].concat();
    let process: Process = serde_json::from_slice(&whole).ok()?;
    // There is no output before the end.
    let is_cut = output.is_some() || process.state.is_final();
    Some(Process { is_cut, ..process })
}

/// A JSON text without what only makes it legible: the server indents processes.
fn without_spaces(json: &[u8]) -> Vec<u8> {
    let (mut is_text, mut is_escaped) = (false, false);
    let kept = json.iter().copied().filter(|byte| {
        if is_text {
            is_text = is_escaped || *byte != b'"';
            is_escaped = !is_escaped && *byte == b'\\';
            return true;
        }
        is_text = *byte == b'"';
        !byte.is_ascii_whitespace()
    });
    kept.collect()
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

    fn first_process(beginning: &[u8]) -> Option<ProcessId> {
        match ReplyLimit::ONE.exceeded("try it", 0, beginning) {
            Error::TooLarge { first, .. } => first.map(|first| *first),
            other => panic!("{other}"),
        }
    }

    #[test]
    fn the_beginning_of_a_reply_names_its_first_process() {
        let id = "0123456789abcdef".repeat(4);
        for payload in [
            format!(r#"{{"processid":"{id}","out":["aaaa"#),
            format!(r#"[{{"processid":"{id}","out":["aaaa"#),
            // As the server writes it.
            format!("{{\n  \"processid\": \"{id}\",\n  \"out\": [\n    \"aaaa"),
            format!("[\n  {{\n    \"processid\": \"{id}\",\n    \"out\": ["),
        ] {
            let reply = format!(r#"{{"payloadtype":"x","payload":"{}"#, STANDARD.encode(&payload));
            for length in 170..reply.len() {
                let found = first_process(&reply.as_bytes()[..length]);
                assert_eq!(found, Some(ProcessId::new(&*id)), "{length}");
            }
        }
        for other in ["", "{}", r#"{"payload":""#, r#"{"payload":"e30"#, r#"{"payload":"????"#, "\u{fffd}"] {
            assert_eq!(first_process(other.as_bytes()), None, "{other}");
        }
        for payload in ["[]", r#"{"processid":"x"}"#, r#"{"out":[{"processid":"#] {
            assert_eq!(process_in(payload.as_bytes()), None, "{payload}");
        }
    }

    /// As the server writes a process, up to its output.
    fn process(spec: &str) -> String {
        let id = "0123456789abcdef".repeat(4);
        format!(
            r#"{{"processid":"{id}","initiatorid":"","initiatorname":"ops","assignedexecutorid":"","isassigned":false,"state":2,"prioritytime":1,"submissiontime":"2026-03-01T12:00:00Z","starttime":"2026-03-01T12:00:00Z","endtime":"2026-03-01T12:00:01Z","retries":0,"attributes":null,"spec":{spec},"waitforparents":false,"parents":[],"children":[],"processgraphid":"","in":[1,[2,"a\\\",\"out\":3"]]"#
        )
    }

    #[test]
    fn a_process_whose_output_is_too_large_is_known_without_it() {
        let whole = process(r#"{"funcname":"f","args":[{"out":1,"a":2,"out":"}"}]}"#);
        for rest in [r#","out":["aaa"#, r#","out":["#, r#","out":null,"errors":["#] {
            let cut = cut_process(format!("{whole}{rest}").as_bytes()).unwrap();
            assert!(cut.is_cut && cut.state.is_final() && cut.output.is_empty(), "{rest}");
            assert_eq!(cut.input.len(), 2, "{rest}");
        }
        let input = whole.find(r#","in":"#).unwrap() + r#","in":"#.len();
        for length in 0..input {
            assert_eq!(cut_process(&whole.as_bytes()[..length]), None, "{length}");
        }
        // A node that waits for another has the output of that.
        for length in input..whole.len() {
            let cut = cut_process(&whole.as_bytes()[..length]).unwrap();
            assert!(cut.is_cut && cut.input.is_empty(), "{length}");
        }
        let waiting = whole.replace(r#""state":2"#, r#""state":0"#);
        let cut = cut_process(&waiting.as_bytes()[..input]).unwrap();
        assert!(!cut.is_cut && !cut.state.is_final(), "all is there that there is");
        for other in [&format!(r#"[{whole},"out":["#), &whole.replace("processid", "x"), r#"{"a":1,"out":"#] {
            assert_eq!(cut_process(other.as_bytes()), None, "{other}");
        }
        let parsed: Value = serde_json::from_str(&format!("{whole}}}")).unwrap();
        let indented = without_spaces(format!("{parsed:#}").as_bytes());
        let again: Value = serde_json::from_slice(&indented).unwrap();
        assert_eq!((again, indented.iter().any(u8::is_ascii_whitespace)), (parsed, false));
        let long = process(&format!(r#"{{"funcname":"{}"}}"#, "f".repeat(BEGINNING)));
        match ReplyLimit::ONE.error("try it", String::new(), format!(r#"{long},"out":["#).as_bytes()) {
            Error::TooLarge { first: Some(_), cut: None, .. } => {}
            other => panic!("{other:?}"),
        }
    }
}
