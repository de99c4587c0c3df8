//! Replicas as containers, by the Docker API: of Docker, or of Podman.
//!
//! A container is ours when it bears our labels with this colony and this location; no other is ever looked at. It is
//! not started again by Docker: a replica that has ended is taken away with its executor, so that what it ran is run again by
//! another one.

use std::collections::HashMap;

use bollard::{
    Docker as Api,
    errors::Error,
    models::{
        ContainerCreateBody, ContainerSummary, HostConfig, PortBinding, RestartPolicy, RestartPolicyNameEnum,
    },
    query_parameters::{
        CreateContainerOptionsBuilder, CreateImageOptionsBuilder, KillContainerOptionsBuilder,
        ListContainersOptionsBuilder, LogsOptionsBuilder, RemoveContainerOptionsBuilder,
        StartContainerOptions,
    },
};
use colonyos_client::Environment;
use futures::TryStreamExt as _;
use jiff::Timestamp;

use crate::{
    name::ReplicaName,
    plan::Launch,
    port::{Call, Ending, HostError, Runtime},
    snapshot::{Host, Replica, State},
};

/// Labels of the stock docker-reconciler.
const MANAGED: &str = "colonies.managed";
const DEPLOYMENT: &str = "colonies.deployment";
const GENERATION: &str = "colonies.generation";
const EXECUTOR: &str = "colonies.executor";
/// Labels that tell ours from those of other colonies, locations and reconcilers.
const COLONY: &str = "colonies.colony";
const LOCATION: &str = "colonies.location";
const BLUEPRINT: &str = "colonies.blueprint";
const EXECUTOR_ID: &str = "colonies.executorid";
const RECONCILER: &str = "colonies.reconciler";
const TEMPLATE: &str = "colonies.template";

/// The containers of one daemon that are of one colony and location.
pub struct Docker {
    api: Api,
    host: Host,
    colony: String,
    location: String,
    reconciler: String,
    network: Option<String>,
}

impl Docker {
    /// Connects to the daemon at `address`, or to Docker's own socket. `reconciler` tells the caller from other
    /// reconcilers of the same daemon.
    ///
    /// # Errors
    /// When there is no daemon, or none that can be understood.
    pub async fn connect(
        address: Option<&str>,
        colony: &str,
        location: &str,
        reconciler: &str,
        network: Option<String>,
    ) -> Result<Self, HostError> {
        let action = "failed to connect to Docker; check that it runs, and DOCKER_HOST";
        let failed = |error: Error| HostError::new(action, error);
        let api = match address {
            Some(address) => Api::connect_with_host(address),
            None => Api::connect_with_host("unix:///var/run/docker.sock"),
        };
        let api = api.map_err(failed)?.negotiate_version().await.map_err(failed)?;
        let info = api.info().await.map_err(failed)?;
        // Daemons that share `/etc/docker` have the same id, and so have machines that are copies of one another.
        let parts: Vec<String> = [info.id.filter(|id| !id.is_empty()), info.name, info.docker_root_dir]
            .into_iter()
            .map(Option::unwrap_or_default)
            .collect();
        let host = Host(if parts[0].is_empty() { reconciler.to_owned() } else { parts.join(" ") });
        let (colony, location) = (colony.to_owned(), location.to_owned());
        Ok(Self { api, host, colony, location, reconciler: reconciler.to_owned(), network })
    }

    fn labels(&self, launch: &Launch, executor_id: &str) -> HashMap<String, String> {
        let (generation, template) = (launch.generation.to_string(), launch.template.digest());
        let (name, fleet) = (launch.name.to_string(), launch.name.fleet.to_string());
        [
            (MANAGED, "true"),
            (DEPLOYMENT, fleet.as_str()),
            (GENERATION, generation.as_str()),
            (EXECUTOR, name.as_str()),
            (COLONY, self.colony.as_str()),
            (LOCATION, self.location.as_str()),
            (BLUEPRINT, launch.blueprint.as_str()),
            (EXECUTOR_ID, executor_id),
            (TEMPLATE, template.as_str()),
            (RECONCILER, self.reconciler.as_str()),
        ]
        .into_iter()
        .map(|(name, value)| (name.to_owned(), value.to_owned()))
        .collect()
    }

    fn body(&self, launch: &Launch, executor_id: &str, environment: &Environment) -> ContainerCreateBody {
        let template = &launch.template;
        let words =
            |words: Vec<&String>| (!words.is_empty()).then(|| words.into_iter().cloned().collect::<Vec<_>>());
        let port = |port: &crate::fleet::Port| {
            format!("{}/{}", port.container, if port.udp { "udp" } else { "tcp" })
        };
        let bindings = template.ports.iter().map(|each| {
            let host_port = each.host.map(|host| host.to_string());
            (
                port(each),
                Some(vec![PortBinding { host_ip: None, host_port: Some(host_port.unwrap_or_default()) }]),
            )
        });
        let binds = template.volumes.iter().map(|volume| {
            format!("{}:{}{}", volume.host, volume.container, if volume.read_only { ":ro" } else { "" })
        });
        let host = HostConfig {
            binds: Some(binds.collect()),
            port_bindings: Some(bindings.collect()),
            network_mode: self.network.clone(),
            privileged: Some(template.privileged),
            nano_cpus: template.limits.millicores.map(|millicores| i64::from(millicores) * 1_000_000),
            memory: template.limits.bytes.and_then(|bytes| i64::try_from(bytes).ok()),
            restart_policy: Some(RestartPolicy {
                name: Some(RestartPolicyNameEnum::NO),
                maximum_retry_count: None,
            }),
            ..HostConfig::default()
        };
        ContainerCreateBody {
            image: Some(template.image.clone()),
            entrypoint: words(template.entrypoint.iter().collect()),
            cmd: words(template.command.iter().chain(&template.args).collect()),
            env: Some(environment.0.iter().map(|(name, value)| format!("{name}={value}")).collect()),
            labels: Some(self.labels(launch, executor_id)),
            exposed_ports: Some(template.ports.iter().map(port).collect()),
            host_config: Some(host),
            ..ContainerCreateBody::default()
        }
    }

    async fn make(&self, launch: &Launch, executor_id: &str, environment: &Environment) -> Result<(), Error> {
        let name = launch.name.to_string();
        let body = self.body(launch, executor_id, environment);
        let mut made = self.make_as(&name, body.clone()).await;
        if status(&made) == Some(404) {
            self.pull(&launch.template.image).await?;
            made = self.make_as(&name, body.clone()).await;
        }
        if status(&made) == Some(409) {
            // The name is that of a container of somebody else: ours are known by their labels.
            let other = format!("{name}-{}", executor_id.get(..6).unwrap_or_default());
            made = self.make_as(&other, body).await;
        }
        made
    }

    async fn make_as(&self, name: &str, body: ContainerCreateBody) -> Result<(), Error> {
        let options = CreateContainerOptionsBuilder::default().name(name).build();
        self.api.create_container(Some(options), body).await.map(|_| ())
    }

    async fn pull(&self, image: &str) -> Result<(), Error> {
        let last = image.rsplit('/').next().unwrap_or_default();
        let whole = if last.contains([':', '@']) { image.to_owned() } else { format!("{image}:latest") };
        let options = CreateImageOptionsBuilder::default().from_image(&whole).build();
        self.api.create_image(Some(options), None, None).try_for_each(|_| std::future::ready(Ok(()))).await
    }

    async fn containers(&self) -> Result<Vec<ContainerSummary>, Error> {
        let labels = [
            format!("{MANAGED}=true"),
            format!("{COLONY}={}", self.colony),
            format!("{LOCATION}={}", self.location),
        ];
        let filters = HashMap::from([("label".to_owned(), labels.to_vec())]);
        let options = ListContainersOptionsBuilder::default().all(true).filters(&filters).build();
        self.api.list_containers(Some(options)).await
    }

    fn replica(&self, container: ContainerSummary) -> Option<Replica> {
        let labels = container.labels.unwrap_or_default();
        let label = |name: &str| labels.get(name).cloned().unwrap_or_default();
        let status = container.status.unwrap_or_default();
        let state = match container.state.map(|state| state.to_string()).unwrap_or_default().as_str() {
            "created" => State::Created,
            "exited" | "dead" | "removing" | "stopped" => State::Ended(exit(&status)),
            _ => State::Running,
        };
        Some(Replica {
            name: ReplicaName::parse(&label(EXECUTOR))?,
            id: container.id.unwrap_or_default().chars().take(12).collect(),
            host_name: container.names.unwrap_or_default().first()?.trim_start_matches('/').to_owned(),
            executor_id: label(EXECUTOR_ID),
            blueprint: label(BLUEPRINT),
            generation: label(GENERATION).parse().unwrap_or_default(),
            template: label(TEMPLATE),
            image: container.image.unwrap_or_default(),
            state,
            created: Timestamp::from_second(container.created.unwrap_or_default()).unwrap_or_default(),
            is_own: label(RECONCILER) == self.reconciler,
        })
    }

    async fn id(&self, name: &ReplicaName) -> Result<Option<String>, Error> {
        let name = name.to_string();
        let found = self.containers().await?.into_iter().find(|container| {
            container.labels.as_ref().and_then(|labels| labels.get(EXECUTOR)) == Some(&name)
        });
        Ok(found.and_then(|container| container.id))
    }

    async fn run(&self, name: &ReplicaName) -> Result<String, Error> {
        let id = self.id(name).await?.unwrap_or_else(|| name.to_string());
        self.api.start_container(&id, None::<StartContainerOptions>).await?;
        Ok(id.chars().take(12).collect())
    }

    async fn signal(&self, name: &ReplicaName, ending: Ending) -> Result<(), Error> {
        let Some(id) = self.id(name).await? else { return Ok(()) };
        let signal = match ending {
            Ending::Ask => "SIGTERM",
            Ending::Kill => "SIGKILL",
        };
        let options = KillContainerOptionsBuilder::default().signal(signal).build();
        // It has ended meanwhile, or is gone.
        unless(self.api.kill_container(&id, Some(options)).await, &[404, 409])
    }

    async fn take_away(&self, name: &ReplicaName) -> Result<(), Error> {
        let Some(id) = self.id(name).await? else { return Ok(()) };
        // With its unnamed volumes; never by force, for it must not run.
        let options = RemoveContainerOptionsBuilder::default().v(true).build();
        unless(self.api.remove_container(&id, Some(options)).await, &[404])
    }

    async fn end_of_log(&self, name: &ReplicaName) -> Result<String, Error> {
        let Some(id) = self.id(name).await? else { return Ok(String::new()) };
        let options = LogsOptionsBuilder::default().stdout(true).stderr(true).tail("20").build();
        let lines: Vec<String> =
            self.api.logs(&id, Some(options)).map_ok(|line| line.to_string()).try_collect().await?;
        Ok(lines.concat())
    }
}

/// `Exited (1) 3 seconds ago` without the time, which is another one each time.
fn exit(status: &str) -> String {
    status.split_once(')').map_or_else(|| "it ended".to_owned(), |(reason, _)| format!("{reason})"))
}

fn status<T>(result: &Result<T, Error>) -> Option<u16> {
    match result {
        Err(Error::DockerResponseServerError { status_code, .. }) => Some(*status_code),
        _ => None,
    }
}

/// A refusal with one of these statuses is what was wanted.
fn unless(result: Result<(), Error>, wanted: &[u16]) -> Result<(), Error> {
    if status(&result).is_some_and(|status| wanted.contains(&status)) { Ok(()) } else { result }
}

impl Runtime for Docker {
    fn host(&self) -> &Host {
        &self.host
    }

    fn name_of(&self, name: &ReplicaName) -> String {
        name.to_string()
    }

    fn list(&self) -> Call<'_, Vec<Replica>> {
        Box::pin(async move {
            let containers = self.containers().await;
            let containers =
                containers.map_err(|error| HostError::new("failed to list containers", error))?;
            let mut replicas: Vec<_> =
                containers.into_iter().filter_map(|container| self.replica(container)).collect();
            replicas.sort_by(|one, other| one.name.cmp(&other.name));
            Ok(replicas)
        })
    }

    fn create<'a>(
        &'a self,
        launch: &'a Launch,
        executor_id: &'a str,
        environment: &'a Environment,
    ) -> Call<'a, ()> {
        Box::pin(async move {
            let made = self.make(launch, executor_id, environment).await;
            made.map_err(|error| HostError::new(format!("failed to make container {}", launch.name), error))
        })
    }

    fn start<'a>(&'a self, launch: &'a Launch, _: &'a Environment) -> Call<'a, String> {
        Box::pin(async move {
            let started = self.run(&launch.name).await;
            started
                .map_err(|error| HostError::new(format!("failed to start container {}", launch.name), error))
        })
    }

    fn end<'a>(&'a self, name: &'a ReplicaName, ending: Ending) -> Call<'a, ()> {
        Box::pin(async move {
            let ended = self.signal(name, ending).await;
            ended.map_err(|error| HostError::new(format!("failed to stop container {name}"), error))
        })
    }

    fn remove<'a>(&'a self, name: &'a ReplicaName) -> Call<'a, ()> {
        Box::pin(async move {
            let removed = self.take_away(name).await;
            removed.map_err(|error| HostError::new(format!("failed to remove container {name}"), error))
        })
    }

    fn last_words<'a>(&'a self, name: &'a ReplicaName) -> Call<'a, String> {
        Box::pin(async move {
            let words = self.end_of_log(name).await;
            words
                .map_err(|error| HostError::new(format!("failed to read the log of container {name}"), error))
        })
    }
}
