//! The environment of a replica, as stock executors expect it. Pure.

use std::collections::BTreeMap;

use colonyos_client::{Environment, Server, Tls};

use crate::{
    fleet::{IDENTITY, Kind},
    plan::Launch,
};

/// What is the same for all replicas of a reconciler.
#[derive(Clone, Debug, PartialEq)]
pub struct Surroundings {
    /// The server, as replicas reach it.
    pub server: Server,
    /// The colony.
    pub colony: String,
    /// Where the replicas are.
    pub location: String,
    /// How this machine is called.
    pub node: String,
    /// What carries them out.
    pub kind: Kind,
    /// What stock executors need besides, from the reconciler's own environment: `AWS_S3_…`.
    pub passed_on: Environment,
}

/// Who a replica is. The key reaches the replica and nothing else.
#[derive(Clone, Debug)]
pub struct Identity {
    /// The identity of the key.
    pub id: String,
    /// The private key, in hexadecimal.
    pub key: zeroize::Zeroizing<String>,
    /// How its host calls it.
    pub host_name: String,
}

/// The environment of a replica. The user's variables win over the defaults, and the identity wins over both.
#[must_use]
pub fn environment(surroundings: &Surroundings, launch: &Launch, identity: &Identity) -> Environment {
    let Surroundings { server, colony, location, node, kind, passed_on } = surroundings;
    let template = &launch.template;
    let port = server.port.to_string();
    let described = if location.is_empty() { "n/a" } else { location.as_str() };
    let what = if template.image.is_empty() {
        template.words().first().copied().unwrap_or_default()
    } else {
        template.image.as_str()
    };
    let kind = <&str>::from(*kind);
    let defaults = [
        ("COLONIES_SERVER_HOST", server.host.as_str()),
        ("COLONIES_SERVER_PORT", port.as_str()),
        ("COLONIES_TLS", if server.tls == Tls::Insecure { "false" } else { "true" }),
        ("COLONIES_CLIENT_HTTP_HOST", server.host.as_str()),
        ("COLONIES_CLIENT_HTTP_PORT", port.as_str()),
        ("COLONIES_CLIENT_BACKENDS", "http"),
        ("COLONIES_COLONY_NAME", colony.as_str()),
        ("COLONIES_NODE_NAME", node.as_str()),
        ("COLONIES_NODE_LOCATION", location.as_str()),
        ("COLONIES_EXECUTOR_TYPE", template.executor_type.as_str()),
        ("EXECUTOR_TYPE", template.executor_type.as_str()),
        ("EXECUTOR_ADD_DEBUG_LOGS", "false"),
        ("EXECUTOR_FS_DIR", "/tmp/colonies"),
        ("EXECUTOR_GPU", "0"),
        // Stock executors do not start when one of the counts is no number.
        ("EXECUTOR_HW_MODEL", "n/a"),
        ("EXECUTOR_HW_NODES", "1"),
        ("EXECUTOR_HW_CPU", ""),
        ("EXECUTOR_HW_MEM", ""),
        ("EXECUTOR_HW_STORAGE", ""),
        ("EXECUTOR_HW_GPU_COUNT", "0"),
        ("EXECUTOR_HW_GPU_MEM", ""),
        ("EXECUTOR_HW_GPU_NODES_COUNT", "0"),
        ("EXECUTOR_HW_GPU_NAME", ""),
        ("EXECUTOR_LOCATION_LONG", ""),
        ("EXECUTOR_LOCATION_LAT", ""),
        ("EXECUTOR_LOCATION_DESC", described),
        ("EXECUTOR_SW_NAME", what),
        ("EXECUTOR_SW_TYPE", kind),
        ("EXECUTOR_SW_VERSION", ""),
        ("LANG", "C.UTF-8"),
        ("LANGUAGE", "C.UTF-8"),
        ("LC_ALL", "C.UTF-8"),
        ("LC_CTYPE", "C.UTF-8"),
        ("TZ", "UTC"),
    ];
    let mut variables: BTreeMap<String, String> =
        defaults.into_iter().map(|(name, value)| (name.to_owned(), value.to_owned())).collect();
    variables.extend(passed_on.0.clone());
    variables.extend(template.environment.0.clone());
    for name in IDENTITY {
        variables.remove(name);
    }
    let own = [
        ("COLONIES_PRVKEY", identity.key.to_string()),
        ("COLONIES_EXECUTOR_NAME", launch.name.to_string()),
        ("COLONIES_EXECUTOR_ID", identity.id.clone()),
        ("COLONIES_DEPLOYMENT", launch.name.fleet.to_string()),
        ("COLONIES_CONTAINER_NAME", identity.host_name.clone()),
    ];
    variables.extend(own.map(|(name, value)| (name.to_owned(), value)));
    Environment(variables)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{fleet::Template, name::ReplicaName};

    #[test]
    fn users_win_over_defaults_and_nobody_over_the_identity() {
        let surroundings = Surroundings {
            server: Server { host: "h".into(), port: 1, tls: Tls::Insecure },
            colony: "dev".into(),
            location: "edge".into(),
            node: "n1".into(),
            kind: Kind::Docker,
            passed_on: Environment(BTreeMap::from([
                ("AWS_S3_BUCKET".into(), "b".into()),
                ("TZ".into(), "CET".into()),
            ])),
        };
        let users = BTreeMap::from([
            ("LANG".to_owned(), "sv".to_owned()),
            ("COLONIES_PRVKEY".to_owned(), "theirs".to_owned()),
            ("COLONIES_COLONY_PRVKEY".to_owned(), "owner".to_owned()),
        ]);
        let launch = Launch {
            name: ReplicaName::parse("ml-0-1").unwrap(),
            blueprint: "b".into(),
            generation: 1,
            template: Template {
                executor_type: "t".into(),
                image: "i".into(),
                environment: Environment(users),
                ..Template::default()
            },
        };
        let identity = Identity { id: "id".into(), key: "key".to_owned().into(), host_name: "c".into() };
        let made = environment(&surroundings, &launch, &identity).0;
        assert_eq!(
            (made["LANG"].as_str(), made["TZ"].as_str(), made["AWS_S3_BUCKET"].as_str()),
            ("sv", "CET", "b")
        );
        assert_eq!(
            (made["COLONIES_PRVKEY"].as_str(), made["COLONIES_EXECUTOR_NAME"].as_str()),
            ("key", "ml-0-1")
        );
        assert_eq!(
            (made["COLONIES_DEPLOYMENT"].as_str(), made["EXECUTOR_SW_TYPE"].as_str()),
            ("ml", "docker")
        );
        assert!(!made.contains_key("COLONIES_COLONY_PRVKEY"));
        for count in ["EXECUTOR_HW_NODES", "EXECUTOR_HW_GPU_COUNT", "EXECUTOR_HW_GPU_NODES_COUNT"] {
            assert!(made[count].parse::<u32>().is_ok(), "{count}");
        }
    }
}
