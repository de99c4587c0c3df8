//! What the server says of itself: its version, its groups and its kinds.

use std::collections::BTreeMap;

use serde_json::{Value, json};

use super::{
    answer::{Answer, Result, no_such_path, ok},
    request::ResourceRequest,
    store::Store,
};

const VERBS: [&str; 8] = ["create", "delete", "deletecollection", "get", "list", "patch", "update", "watch"];

impl Store {
    /// Answers a GET of a path that is about no object.
    pub(super) fn discover(&self, path: &[String]) -> Result<Answer> {
        let path: Vec<&str> = path.iter().map(String::as_str).collect();
        match path.as_slice() {
            ["version"] => Ok(ok(json!({
                "major": "1", "minor": "36", "gitVersion": "v1.36.0-memory", "gitCommit": "", "gitTreeState": "",
                "buildDate": "", "goVersion": "", "compiler": "", "platform": "",
            }))),
            ["api"] => Ok(ok(json!({
                "kind": "APIVersions", "versions": ["v1"], "serverAddressByClientCIDRs": [],
            }))),
            ["apis"] => {
                Ok(ok(json!({ "kind": "APIGroupList", "apiVersion": "v1", "groups": self.groups() })))
            }
            ["api", version] => self.resources("", version),
            ["apis", group, version] => self.resources(group, version),
            _ => Err(no_such_path()),
        }
    }

    fn groups(&self) -> Vec<Value> {
        let mut groups: BTreeMap<&str, Vec<&str>> = BTreeMap::new();
        for kind in self.kinds.values().filter(|kind| !kind.group.is_empty()) {
            let versions = groups.entry(&kind.group).or_default();
            for version in &kind.versions {
                if !versions.contains(&version.name.as_str()) {
                    versions.push(&version.name);
                }
            }
        }
        let shown = |(group, versions): (&str, Vec<&str>)| {
            let version = |name: &&str| json!({ "groupVersion": format!("{group}/{name}"), "version": name });
            let all: Vec<Value> = versions.iter().map(version).collect();
            let first = all.first().cloned();
            json!({ "name": group, "versions": all, "preferredVersion": first })
        };
        groups.into_iter().map(shown).collect()
    }

    fn resources(&self, group: &str, version: &str) -> Result<Answer> {
        let mut resources = Vec::new();
        let of_group = self.kinds.values().filter(|kind| kind.group == group);
        for (kind, found) in of_group.filter_map(|kind| Some((kind, kind.version(version)?))) {
            resources.push(json!({
                "name": kind.plural, "singularName": kind.name.to_lowercase(), "namespaced": kind.is_namespaced,
                "kind": kind.name, "verbs": VERBS,
            }));
            if found.has_status {
                resources.push(json!({
                    "name": format!("{}/status", kind.plural), "singularName": "", "namespaced": kind.is_namespaced,
                    "kind": kind.name, "verbs": ["get", "patch", "update"],
                }));
            }
        }
        if resources.is_empty() {
            return Err(no_such_path());
        }
        let group_version = if group.is_empty() { version.to_owned() } else { format!("{group}/{version}") };
        Ok(ok(json!({
            "kind": "APIResourceList", "apiVersion": "v1", "groupVersion": group_version, "resources": resources,
        })))
    }

    /// Answers a question about rights, which is a create that creates nothing; `None` when it is none.
    pub(super) fn review(&self, request: &ResourceRequest) -> Option<Answer> {
        if request.group != "authorization.k8s.io" || !request.plural.ends_with("accessreviews") {
            return None;
        }
        let mut body = request.body.clone();
        let is_allowed = (self.rights)(&body["spec"]);
        if let Value::Object(fields) = &mut body {
            fields.insert("status".to_owned(), json!({ "allowed": is_allowed }));
        }
        Some(Answer { status: 201, body })
    }
}
