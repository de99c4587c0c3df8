//! Lists of processes that one process which is too large does not take away: fewer are listed then, and the others are read
//! by themselves.

use std::collections::HashMap;

use crate::colony::{Error, Process, ProcessQuery, ProcessState, Session};

/// What was listed.
pub(in crate::controllers::colony) struct Listed {
    pub processes: Vec<Process>,
    /// Whether there may be more, which were too large for one list.
    pub is_cut: bool,
}

/// How many of a state fit into a list, where not as many as were asked for did.
#[derive(Default)]
pub(in crate::controllers::colony) struct Lists {
    fits: HashMap<ProcessState, u8>,
}

impl Lists {
    /// Lists a state: fewer where the processes are so large that no list has `limit` of them, and none where the first of
    /// them is too large by itself.
    ///
    /// # Errors
    ///
    /// When the colony does not list them, or the name is none.
    pub async fn read(
        &mut self,
        member: &Session,
        initiator: Option<&str>,
        state: ProcessState,
        limit: u8,
    ) -> Result<Listed, Error> {
        let query = ProcessQuery::new(state);
        let query = match initiator {
            Some(initiator) => query.initiator(initiator).map_err(Error::Field)?,
            None => query,
        };
        self.fitting(member, state, &query, limit).await
    }

    /// As [`Lists::read`], with a query for processes of the state.
    ///
    /// # Errors
    ///
    /// When the colony does not list them.
    pub async fn fitting(
        &mut self,
        member: &Session,
        state: ProcessState,
        query: &ProcessQuery,
        limit: u8,
    ) -> Result<Listed, Error> {
        let known = self.fits.remove(&state);
        // Some more than fitted last: what was large may be gone.
        let mut asked = known.map_or(limit, |fits| limit.min(fits.saturating_mul(2).max(1)));
        loop {
            match member.processes(&query.clone().limit(asked)).await {
                Err(error) if error.is_too_large() => {
                    if known.is_none() {
                        tracing::warn!(state = state.as_str(), asked, %error, "lists fewer processes");
                    }
                    asked /= 4;
                    self.fits.insert(state, asked);
                    if asked == 0 {
                        return Ok(Listed { processes: Vec::new(), is_cut: true });
                    }
                }
                read => {
                    let processes = read?;
                    let is_cut = asked < limit && processes.len() >= usize::from(asked);
                    if is_cut {
                        self.fits.insert(state, asked);
                    }
                    return Ok(Listed { processes, is_cut });
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use base64::{Engine as _, engine::general_purpose::STANDARD};
    use parking_lot::Mutex;
    use serde_json::{Value, json};

    use super::*;
    use crate::colony::{
        Client, PrivateKey, Timeouts,
        transport::{Answer, Envelope, Sending, Transport, TransportError},
    };

    /// A server with so many processes, of which no reply has room for more than so many. It notes how many were asked for.
    struct Large {
        processes: usize,
        room: Mutex<u64>,
        asked: Mutex<Vec<u64>>,
    }

    impl Transport for Large {
        fn send<'a>(&'a self, envelope: Envelope<'a>) -> Sending<'a> {
            let inner: Value = serde_json::from_slice(&STANDARD.decode(envelope.payload()).unwrap()).unwrap();
            let count = inner["count"].as_u64().unwrap();
            self.asked.lock().push(count);
            let found = self.processes.min(usize::try_from(count).unwrap());
            let end = if found as u64 > *self.room.lock() {
                Err(TransportError::TooLong { limit: envelope.reply_max(), beginning: Vec::new() })
            } else {
                let process = |id: usize| {
                    json!({"processid": id.to_string(), "state": 1, "spec": {}, "submissiontime": "2026-03-01T12:00:00Z",
                           "starttime": "2026-03-01T12:00:00Z", "endtime": "0001-01-01T00:00:00Z"})
                };
                let list = (0..found).map(process).collect::<Value>().to_string();
                let reply = json!({"payloadtype": "x", "payload": STANDARD.encode(list), "error": false});
                Ok(Answer { status: 200, body: reply.to_string().into_bytes() })
            };
            Box::pin(async { end })
        }
    }

    /// One process that is too large must not hide the others for good.
    #[tokio::test]
    async fn as_many_are_listed_as_there_is_room_for() {
        let large = Arc::new(Large { processes: 60, room: Mutex::new(100), asked: Mutex::default() });
        let client = Client::over(large.clone(), Timeouts::default());
        let (member, mut lists) = (client.session("dev", PrivateKey::generate().unwrap()), Lists::default());
        for (room, asked, found, is_cut) in [
            (100, &[100][..], 60, false),
            (30, &[100, 25], 25, true),
            (30, &[50, 12], 12, true),
            (30, &[24], 24, true),
            (0, &[48, 12, 3], 0, true),
            (0, &[1], 0, true),
            (100, &[1], 1, true),
            (100, &[2], 2, true),
            (100, &[4], 4, true),
            (100, &[8], 8, true),
            (100, &[16], 16, true),
            (100, &[32], 32, true),
            (100, &[64], 60, false),
            (100, &[100], 60, false),
        ] {
            *large.room.lock() = room;
            large.asked.lock().clear();
            let listed = lists.read(&member, None, ProcessState::Running, 100).await.unwrap();
            assert_eq!(*large.asked.lock(), asked, "{room}");
            assert_eq!((listed.processes.len(), listed.is_cut), (found, is_cut), "{asked:?}");
        }
    }
}
