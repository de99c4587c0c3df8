//! Colonies, users, executors.

use jiff::{SignedDuration, Timestamp};
use serde::Deserialize;
use serde_json::{Value, json};

use super::{
    answer::{Answer, done, list, read, refuse},
    record::{ExecutorRecord, RUNNING, UserRecord},
    server::ColonyServer,
};

#[derive(Deserialize)]
struct Named {
    #[serde(rename = "colonyname", default)]
    colony: String,
    #[serde(default)]
    name: String,
    #[serde(rename = "executorname", default)]
    executor: String,
    #[serde(rename = "executorid", default)]
    id: String,
}

impl ColonyServer {
    pub(super) fn membership_call(
        &mut self,
        now: Timestamp,
        caller: &str,
        payload_type: &str,
        inner: &Value,
    ) -> Option<Answer> {
        let answer = match payload_type {
            "addcolonymsg" => self.add_colony(caller, inner),
            "removecolonymsg" => self.remove_colony(caller, inner),
            "getcoloniesmsg" => self.require_server_owner(caller).map(|()| {
                list(self.colonies.iter().map(|(name, id)| json!({"colonyid": id, "name": name})).collect())
            }),
            "getcolonymsg" => read(inner).and_then(|Named { colony, .. }| {
                self.require_member(caller, &colony, true)?;
                Ok(json!({"colonyid": self.owner_of(&colony), "name": colony}))
            }),
            "addusermsg" => self.add_user(caller, inner),
            "removeusermsg" => self.remove_user(caller, inner),
            "getusersmsg" => self.users(caller, inner),
            "getusermsg" => self.user(caller, inner),
            "addexecutormsg" => self.add_executor(now, caller, inner),
            "approveexecutormsg" => {
                self.set_executor_state(caller, inner, "approve", ExecutorRecord::APPROVED)
            }
            "rejectexecutormsg" => self.set_executor_state(caller, inner, "reject", ExecutorRecord::REJECTED),
            "removeexecutormsg" => {
                self.set_executor_state(caller, inner, "remove", ExecutorRecord::UNREGISTERED)
            }
            "getexecutorsmsg" => self.executors(caller, inner),
            "getexecutormsg" => self.executor(caller, inner),
            "getexecutorbyidmsg" => self.read_executor_by_id(caller, inner),
            "changeexecutoridmsg" => self.change_executor_id(caller, inner),
            _ => return None,
        };
        Some(answer)
    }

    pub(super) fn executor_by_id(&self, id: &str) -> Option<&ExecutorRecord> {
        self.executors.iter().find(|executor| executor.id == id)
    }

    pub(super) fn user_by_id(&self, colony: &str, id: &str) -> Option<&UserRecord> {
        self.users.iter().find(|user| user.colony == colony && user.id == id)
    }

    fn user_named(&self, colony: &str, name: &str) -> Option<&UserRecord> {
        self.users.iter().find(|user| user.colony == colony && user.name == name)
    }

    fn executor_named(&self, colony: &str, name: &str) -> Option<usize> {
        self.executors.iter().position(|executor| executor.colony == colony && executor.name == name)
    }

    fn add_colony(&mut self, caller: &str, inner: &Value) -> Answer {
        #[derive(Deserialize)]
        struct Payload {
            colony: Fields,
        }
        #[derive(Deserialize)]
        struct Fields {
            colonyid: String,
            name: String,
        }
        let Payload { colony: Fields { colonyid, name } } = read(inner)?;
        self.require_server_owner(caller)?;
        if colonyid.len() != 64 {
            return refuse(400, "Failed to add colony, invalid colony Id length");
        }
        if self.owner_of(&name).is_some() {
            return refuse(400, format!("A Colony with name <{name}> already exists"));
        }
        self.colonies.push((name.clone(), colonyid.clone()));
        Ok(json!({"colonyid": colonyid, "name": name}))
    }

    /// Blueprints, definitions and a pause stay.
    fn remove_colony(&mut self, caller: &str, inner: &Value) -> Answer {
        let Named { colony, .. } = read(inner)?;
        self.require_server_owner(caller)?;
        if self.owner_of(&colony).is_none() {
            return refuse(400, format!("Colony with name <{colony}> not found"));
        }
        self.colonies.retain(|(name, _)| *name != colony);
        self.users.retain(|user| user.colony != colony);
        self.executors.retain(|executor| executor.colony != colony);
        self.remove_processes(|process| process.colony() == colony);
        self.graphs.retain(|graph| graph.colony != colony);
        self.crons.retain(|cron| cron.colony != colony);
        self.logs.retain(|log| log.colony != colony);
        done()
    }

    fn require_colony(&self, colony: &str) -> Result<(), (u16, String)> {
        if self.owner_of(colony).is_some() {
            return Ok(());
        }
        refuse(400, format!("Colony with name <{colony}> does not exists"))
    }

    fn add_user(&mut self, caller: &str, inner: &Value) -> Answer {
        #[derive(Deserialize)]
        struct Payload {
            user: UserRecord,
        }
        let Payload { user } = read(inner)?;
        self.require_colony(&user.colony)?;
        self.require_owner(caller, &user.colony)?;
        if self.user_named(&user.colony, &user.name).is_some() {
            let UserRecord { name, colony, .. } = user;
            return refuse(
                400,
                format!("A user with name <{name}> already exists in Colony with name <{colony}>"),
            );
        }
        let added = user.to_json();
        self.users.push(user);
        Ok(added)
    }

    fn remove_user(&mut self, caller: &str, inner: &Value) -> Answer {
        let Named { colony, name, .. } = read(inner)?;
        self.require_colony(&colony)?;
        self.require_owner(caller, &colony)?;
        if self.user_named(&colony, &name).is_none() {
            return refuse(400, format!("User with name <{name}> not found"));
        }
        self.users.retain(|user| user.colony != colony || user.name != name);
        done()
    }

    fn users(&self, caller: &str, inner: &Value) -> Answer {
        let Named { colony, .. } = read(inner)?;
        self.require_colony(&colony)?;
        self.require_member(caller, &colony, false)?;
        let users = self.users.iter().filter(|user| user.colony == colony);
        Ok(list(users.map(UserRecord::to_json).collect()))
    }

    fn user(&self, caller: &str, inner: &Value) -> Answer {
        let Named { colony, name, .. } = read(inner)?;
        self.require_colony(&colony)?;
        self.require_member(caller, &colony, false)?;
        let user = self.user_named(&colony, &name).map(UserRecord::to_json);
        user.ok_or_else(|| (500, "Failed to get user, user is nil".to_owned()))
    }

    fn add_executor(&mut self, now: Timestamp, caller: &str, inner: &Value) -> Answer {
        #[derive(Deserialize)]
        struct Payload {
            executor: ExecutorRecord,
        }
        let Payload { mut executor } = read(inner)?;
        self.require_owner(caller, &executor.colony)?;
        let ExecutorRecord { name, colony, .. } = &executor;
        if self.executor_named(colony, name).is_some() {
            return refuse(400, format!("Executor with name <{name}> in Colony <{colony}> already exists"));
        }
        executor.added_at = Some(now);
        let id = executor.id.clone();
        self.executors.push(executor);
        Ok(self.executor_by_id(&id).map(ExecutorRecord::to_json).unwrap_or_default())
    }

    /// Approval and rejection go by identity, in whatever colony; removal by name.
    fn set_executor_state(&mut self, caller: &str, inner: &Value, action: &str, state: u8) -> Answer {
        let Named { colony, executor: name, .. } = read(inner)?;
        let Some(position) = self.executor_named(&colony, &name) else {
            return refuse(500, format!("Failed to {action} executor, executor is nil"));
        };
        self.require_owner(caller, &colony)?;
        if state == ExecutorRecord::UNREGISTERED {
            self.remove_executor(position);
        } else if let Some(id) = self.executors.get(position).map(|executor| executor.id.clone()) {
            for executor in self.executors.iter_mut().filter(|executor| executor.id == id) {
                executor.state = state;
            }
        }
        done()
    }

    /// Its name stays used up, and what it was running goes back into the queue, without a notification.
    fn remove_executor(&mut self, position: usize) {
        let Some(executor) = self.executors.get_mut(position) else { return };
        executor.state = ExecutorRecord::UNREGISTERED;
        let id = executor.id.clone();
        let running =
            |process: &&mut super::record::ProcessRecord| process.assigned == id && process.state == RUNNING;
        for process in self.processes.values_mut().filter(running) {
            process.reset();
        }
    }

    pub(super) fn remove_silent_executors(&mut self, now: Timestamp, silence: SignedDuration) {
        let is_silent = |executor: &ExecutorRecord| {
            executor.state != ExecutorRecord::UNREGISTERED
                && executor.heard_at.is_some_and(|heard_at| now.duration_since(heard_at) > silence)
        };
        let silent: Vec<_> =
            (0..self.executors.len()).filter(|at| self.executors.get(*at).is_some_and(is_silent)).collect();
        for position in silent {
            self.remove_executor(position);
        }
    }

    fn executors(&self, caller: &str, inner: &Value) -> Answer {
        let Named { colony, .. } = read(inner)?;
        self.require_member(caller, &colony, false)?;
        let executors = self.executors.iter().filter(|executor| executor.colony == colony);
        Ok(list(executors.map(ExecutorRecord::to_json).collect()))
    }

    fn executor(&self, caller: &str, inner: &Value) -> Answer {
        let Named { colony, executor: name, .. } = read(inner)?;
        let position = self.executor_named(&colony, &name);
        let Some(executor) = position.and_then(|position| self.executors.get(position)) else {
            return refuse(500, "Failed to get executor, executor is nil");
        };
        self.require_member(caller, &executor.colony, true)?;
        Ok(executor.to_json())
    }

    fn read_executor_by_id(&self, caller: &str, inner: &Value) -> Answer {
        let Named { id, .. } = read(inner)?;
        let Some(executor) = self.executor_by_id(&id) else {
            return refuse(404, "Failed to get executor by ID, executor is nil");
        };
        self.require_member(caller, &executor.colony, true)?;
        Ok(executor.to_json())
    }

    /// What it is running stays with the old identity.
    fn change_executor_id(&mut self, caller: &str, inner: &Value) -> Answer {
        let Named { colony, id, .. } = read(inner)?;
        if id.is_empty() {
            return refuse(400, "Failed to change executor Id, executor Id is empty");
        }
        self.require_member(caller, &colony, false)?;
        if self.executor_by_id(caller).is_none() {
            return refuse(400, "Failed to change executor Id, executor not found");
        }
        if id.len() != 64 {
            return refuse(400, "Failed to change executor Id, new executor Id is not 64 characters");
        }
        let owned = |executor: &&mut ExecutorRecord| executor.colony == colony && executor.id == caller;
        for executor in self.executors.iter_mut().filter(owned) {
            executor.id.clone_from(&id);
        }
        Ok(inner.clone())
    }
}
