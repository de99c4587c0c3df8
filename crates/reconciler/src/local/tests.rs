use std::time::Duration;

use colonyos_client::PrivateKey;

use super::*;
use crate::fleet::Template;

struct Stage {
    folder: tempfile::TempDir,
    local: Local,
}

impl Stage {
    fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let local = open(&folder);
        Self { folder, local }
    }

    /// As after a crash: nothing is left but the folder.
    fn again(self) -> Self {
        let Self { folder, local } = self;
        std::mem::forget(local);
        let local = open(&folder);
        Self { folder, local }
    }

    async fn only(&self) -> Replica {
        let mut list = self.local.list().await.unwrap();
        assert_eq!(list.len(), 1, "{list:?}");
        list.remove(0)
    }

    async fn until_ended(&self) -> String {
        for _ in 0..2000 {
            if let State::Ended(reason) = self.only().await.state {
                return reason;
            }
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
        panic!("it does not end");
    }
}

fn open(folder: &tempfile::TempDir) -> Local {
    let path = variables(&[("PATH", "/usr/bin:/bin")]);
    Local::open(folder.path(), Host("h".to_owned()), path).unwrap()
}

fn variables(pairs: &[(&str, &str)]) -> Environment {
    Environment(pairs.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect())
}

fn launch(script: &str) -> (Launch, String, Environment) {
    let id = PrivateKey::generate().unwrap().id().to_string();
    let command = ["sh", "-c", script].map(str::to_owned).to_vec();
    let launch = Launch {
        name: ReplicaName::parse("ml-0-1").unwrap(),
        blueprint: "b1".to_owned(),
        generation: 3,
        template: Template { command, ..Template::default() },
    };
    let environment = variables(&[("COLONIES_EXECUTOR_ID", &id), ("WORD", "hello")]);
    (launch, id, environment)
}

#[tokio::test]
async fn a_process_is_started_found_again_and_ended() {
    let stage = Stage::new();
    let (launch, id, environment) = launch("echo $WORD; exec sleep 1000");
    stage.local.create(&launch, &id, &environment).await.unwrap();
    assert_eq!(stage.only().await.state, State::Created);
    let pid = stage.local.start(&launch, &environment).await.unwrap();
    let stage = stage.again();
    let found = stage.only().await;
    assert_eq!((found.state, found.id, found.generation, found.executor_id), (State::Running, pid, 3, id));
    while stage.local.last_words(&launch.name).await.unwrap() != "hello\n" {
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    stage.local.end(&launch.name, Ending::Ask).await.unwrap();
    stage.until_ended().await;
    stage.local.remove(&launch.name).await.unwrap();
    assert_eq!(stage.local.list().await.unwrap(), []);
}

/// The crash came between the start of the process and the note of its number.
#[tokio::test]
async fn a_process_that_was_not_noted_is_found_by_its_identity() {
    let stage = Stage::new();
    let (launch, id, environment) = launch("exec sleep 1000");
    stage.local.create(&launch, &id, &environment).await.unwrap();
    let pid = stage.local.start(&launch, &environment).await.unwrap();
    let record = stage.local.records.get(&launch.name).unwrap().unwrap();
    stage.local.records.put(&Record { process: None, ..record }).unwrap();
    let stage = stage.again();
    // The shell has to have become the program with the environment that is looked for.
    let found = stage.only().await;
    assert_eq!((found.state, found.id), (State::Running, pid));
    stage.local.end(&launch.name, Ending::Kill).await.unwrap();
    stage.until_ended().await;
}

#[tokio::test]
async fn how_a_process_ended_is_told_and_what_it_left_goes_with_it() {
    let stage = Stage::new();
    let (launch, id, environment) = launch("sleep 1000 & echo $!; exit 7");
    stage.local.create(&launch, &id, &environment).await.unwrap();
    stage.local.start(&launch, &environment).await.unwrap();
    assert_eq!(stage.until_ended().await, "exit status: 7");
    let child: i32 = stage.local.last_words(&launch.name).await.unwrap().trim().parse().unwrap();
    assert!(system::identify(child, &stage.local.boot).is_some());
    stage.local.remove(&launch.name).await.unwrap();
    for _ in 0..2000 {
        if system::identify(child, &stage.local.boot).is_none() {
            return;
        }
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    panic!("what it started goes on");
}

#[tokio::test]
async fn a_program_that_is_not_there_is_an_error_and_a_record_that_is_broken_too() {
    let stage = Stage::new();
    let (mut launch, id, environment) = launch("");
    launch.template.command = vec!["/no/such/program".to_owned()];
    stage.local.create(&launch, &id, &environment).await.unwrap();
    let error = stage.local.start(&launch, &environment).await.unwrap_err().to_string();
    assert!(error.contains("/no/such/program"), "{error}");
    fs::write(stage.folder.path().join("replicas/x.json"), "{").unwrap();
    // What is not known is not gone.
    assert!(stage.local.list().await.is_err());
}
