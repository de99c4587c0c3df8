//! Replicas as plain processes of this machine. Linux alone: `/proc` tells whether a process is still the one that was started.
//!
//! A process has a group of its own and outlives the reconciler. Its record is written before it starts; one that was started
//! right before a crash, and has no number in its record, is found by the identity in its environment.

mod log;
mod record;
mod system;

use std::{
    collections::HashMap,
    fs::{self, File},
    io::{self, Read as _, Seek as _, SeekFrom},
    os::unix::process::CommandExt as _,
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    sync::{Mutex, PoisonError},
};

use colonyos_client::Environment;
use rustix::process::Signal;

use crate::{
    clock,
    name::ReplicaName,
    plan::Launch,
    port::{Call, Ending, HostError, Runtime},
    snapshot::{Host, Replica, State},
};
use record::{Record, Records};

pub(crate) use record::write;

/// How many logs of earlier lives of a slot are kept.
const LOGS_KEPT: u64 = 3;
/// How much of the end of a log is read.
const LAST_WORDS: u64 = 2000;

/// The processes of one state folder.
pub struct Local {
    host: Host,
    records: Records,
    logs: PathBuf,
    boot: String,
    /// What every process gets of the reconciler's own environment, such as `PATH`.
    inherited: Environment,
    /// Those that this very process has started: they are its children, and are waited for.
    children: Mutex<HashMap<ReplicaName, Child>>,
}

impl Local {
    /// The processes whose records are in `folder`.
    ///
    /// # Errors
    /// When the folder cannot be made, or the machine has no `/proc`.
    pub fn open(folder: &Path, host: Host, inherited: Environment) -> io::Result<Self> {
        let logs = folder.join("logs");
        fs::create_dir_all(&logs)?;
        let records = Records::open(folder.join("replicas"))?;
        Ok(Self { host, records, logs, boot: system::boot()?, inherited, children: Mutex::default() })
    }

    fn observe(&self, name: ReplicaName, mut record: Record) -> io::Result<Replica> {
        if record.process.is_none() {
            let leader = system::leaders_with(&marker(&record.executor_id))?.into_iter().next();
            if let Some(process) = leader.and_then(|pid| system::identify(pid, &self.boot)) {
                record.process = Some(process);
                self.records.put(&record)?;
            }
        }
        let state = match &record.process {
            None => State::Created,
            Some(process) => match self.ended(&name)? {
                Some(reason) => State::Ended(reason),
                None if system::runs(process, &self.boot) => State::Running,
                None => State::Ended("it ended".to_owned()),
            },
        };
        Ok(Replica {
            id: record.process.as_ref().map_or_else(String::new, |process| process.pid.to_string()),
            host_name: name.to_string(),
            executor_id: record.executor_id,
            blueprint: record.blueprint,
            generation: record.generation,
            template: record.template,
            image: record.program,
            state,
            created: record.created,
            is_own: true,
            name,
        })
    }

    /// Why a child has ended, if it has.
    fn ended(&self, name: &ReplicaName) -> io::Result<Option<String>> {
        let mut children = self.children.lock().unwrap_or_else(PoisonError::into_inner);
        let Some(child) = children.get_mut(name) else { return Ok(None) };
        Ok(child.try_wait()?.map(|status| status.to_string()))
    }

    fn log(&self, name: &ReplicaName) -> PathBuf {
        self.logs.join(format!("{name}.log"))
    }

    fn spawn(&self, launch: &Launch, environment: &Environment) -> io::Result<String> {
        let words = launch.template.words();
        let (program, arguments) = words.split_first().ok_or(io::ErrorKind::InvalidInput)?;
        if let Some(old) = launch.name.life.checked_sub(LOGS_KEPT) {
            log::remove(&self.log(&ReplicaName { life: old, ..launch.name.clone() }))?;
        }
        let log = File::options().create(true).append(true).open(self.log(&launch.name))?;
        let mut record = self.records.get(&launch.name)?.ok_or(io::ErrorKind::NotFound)?;
        let child = Command::new(program)
            .args(arguments)
            .env_clear()
            .envs(&self.inherited.0)
            .envs(&environment.0)
            .stdin(Stdio::null())
            .stdout(log.try_clone()?)
            .stderr(log)
            .process_group(0)
            .spawn()?;
        let pid = i32::try_from(child.id()).map_err(io::Error::other)?;
        self.children.lock().unwrap_or_else(PoisonError::into_inner).insert(launch.name.clone(), child);
        // One that has ended already is a child, so how it ended is known all the same.
        record.process = Some(system::identify(pid, &self.boot).unwrap_or_else(|| record::Identified {
            pid,
            start_ticks: 0,
            boot: self.boot.clone(),
        }));
        self.records.put(&record)?;
        Ok(pid.to_string())
    }

    fn signal(&self, name: &ReplicaName, signal: Signal) -> io::Result<()> {
        let Some(process) = self.records.get(name)?.and_then(|record| record.process) else { return Ok(()) };
        if system::runs(&process, &self.boot) { system::signal(process.pid, signal) } else { Ok(()) }
    }

    /// What is left of the group of a process that has ended goes with it.
    fn take_away(&self, name: &ReplicaName) -> io::Result<()> {
        if let Some(Record { process: Some(process), executor_id, .. }) = self.records.get(name)?
            && process.boot == self.boot
            && system::is_group_of(process.pid, &marker(&executor_id))?
        {
            system::signal(process.pid, Signal::KILL)?;
        }
        self.records.remove(name)?;
        self.children.lock().unwrap_or_else(PoisonError::into_inner).remove(name);
        Ok(())
    }

    fn end_of_log(&self, name: &ReplicaName) -> io::Result<String> {
        let mut file = File::open(self.log(name))?;
        let length = file.metadata()?.len();
        file.seek(SeekFrom::Start(length.saturating_sub(LAST_WORDS)))?;
        let mut end = Vec::new();
        file.take(LAST_WORDS).read_to_end(&mut end)?;
        Ok(String::from_utf8_lossy(&end).into_owned())
    }
}

/// The variable by which a process is known for a replica's.
fn marker(executor_id: &str) -> String {
    format!("COLONIES_EXECUTOR_ID={executor_id}")
}

impl Runtime for Local {
    fn host(&self) -> &Host {
        &self.host
    }

    fn name_of(&self, name: &ReplicaName) -> String {
        name.to_string()
    }

    fn list(&self) -> Call<'_, Vec<Replica>> {
        let list = || -> io::Result<Vec<Replica>> {
            self.records.all()?.into_iter().map(|(name, record)| self.observe(name, record)).collect()
        };
        let listed = list().map_err(|error| HostError::new("failed to list local processes", error));
        Box::pin(async move { listed })
    }

    fn create<'a>(&'a self, launch: &'a Launch, executor_id: &'a str, _: &'a Environment) -> Call<'a, ()> {
        Box::pin(async move {
            let record = Record {
                name: launch.name.to_string(),
                executor_id: executor_id.to_owned(),
                blueprint: launch.blueprint.clone(),
                generation: launch.generation,
                template: launch.template.digest(),
                program: launch.template.words().first().copied().unwrap_or_default().to_owned(),
                created: clock::now(),
                process: None,
            };
            self.records
                .put(&record)
                .map_err(|error| HostError::new(format!("failed to note {}", launch.name), error))
        })
    }

    fn start<'a>(&'a self, launch: &'a Launch, environment: &'a Environment) -> Call<'a, String> {
        Box::pin(async move {
            self.spawn(launch, environment).map_err(|error| {
                let program = launch.template.words().first().copied().unwrap_or_default().to_owned();
                HostError::new(format!("failed to start {program}"), error)
            })
        })
    }

    fn end<'a>(&'a self, name: &'a ReplicaName, ending: Ending) -> Call<'a, ()> {
        let signal = match ending {
            Ending::Ask => Signal::TERM,
            Ending::Kill => Signal::KILL,
        };
        Box::pin(async move {
            self.signal(name, signal).map_err(|error| HostError::new(format!("failed to end {name}"), error))
        })
    }

    fn remove<'a>(&'a self, name: &'a ReplicaName) -> Call<'a, ()> {
        Box::pin(async move {
            self.take_away(name).map_err(|error| HostError::new(format!("failed to take {name} away"), error))
        })
    }

    fn tidy(&self) -> Call<'_, ()> {
        let cut = || -> io::Result<()> {
            let all = self.records.all()?;
            all.iter().try_for_each(|(name, _)| log::cut(&self.log(name), log::MOST))
        };
        let done = cut().map_err(|error| HostError::new("failed to cut the logs of local processes", error));
        Box::pin(async move { done })
    }

    fn last_words<'a>(&'a self, name: &'a ReplicaName) -> Call<'a, String> {
        Box::pin(async move {
            self.end_of_log(name)
                .map_err(|error| HostError::new(format!("failed to read the log of {name}"), error))
        })
    }
}

#[cfg(test)]
mod tests;
