//! Checks of the API server: reachable, CRDs installed and of this version, permissions.

use futures::{StreamExt as _, stream};
use k8s_openapi::{
    api::{
        authentication::v1::SelfSubjectReview,
        authorization::v1::{
            ResourceAttributes, SelfSubjectAccessReview, SelfSubjectAccessReviewSpec, SubjectAccessReview,
            SubjectAccessReviewSpec,
        },
    },
    apiextensions_apiserver::pkg::apis::apiextensions::v1::CustomResourceDefinition,
};
use kube::{Api, api::PostParams};

use super::{
    finding::{Finding, Verdict},
    rules::{Place, Rule, rules},
};
use crate::{
    api,
    runtime::{
        config::OperatorConfiguration,
        kubernetes::{CALL_TIME_LIMIT, CallError, Kubernetes, call},
    },
};

/// How many questions about permissions are under way at once.
const QUESTIONS_AT_ONCE: usize = 8;

/// Why a call failed, with its causes, in one line.
pub(super) fn reason(error: &CallError) -> String {
    match error {
        CallError::Failed { source } => match source.as_ref() {
            kube::Error::Api(status) => status.message.clone(),
            other => {
                let mut text = other.to_string();
                let mut cause = std::error::Error::source(other);
                while let Some(inner) = cause {
                    let inner_text = inner.to_string();
                    if !text.contains(&inner_text) {
                        text = format!("{text}: {inner_text}");
                    }
                    cause = inner.source();
                }
                text
            }
        },
        CallError::TimedOut { .. } => error.to_string(),
    }
}

/// Whether the API server answers, and as whom it knows us; empty if it does not say. Without it nothing else can be asked.
pub(super) async fn server(kubernetes: &Kubernetes) -> Result<(Finding, String), Finding> {
    let check = "API server";
    let version = call(CALL_TIME_LIMIT, kubernetes.calls.apiserver_version()).await.map_err(|error| {
        Finding::failure(
            check,
            format!("{} does not answer: {}", kubernetes.server, reason(&error)),
            "check KUBECONFIG and its current context with `kubectl version`",
        )
    })?;
    let reviews: Api<SelfSubjectReview> = Api::all(kubernetes.calls.clone());
    let review = SelfSubjectReview::default();
    let who = call(CALL_TIME_LIMIT, reviews.create(&PostParams::default(), &review)).await.ok();
    let who = who.and_then(|review| review.status?.user_info?.username).unwrap_or_default();
    let known_as = if who.is_empty() { String::new() } else { format!(", as {who}") };
    let finding = Finding::ok(check, format!("{} at {}{known_as}", version.git_version, kubernetes.server));
    Ok((finding, who))
}

/// One finding for each CRD of this version.
pub(super) async fn definitions(kubernetes: &Kubernetes) -> Vec<Finding> {
    let api: Api<CustomResourceDefinition> = Api::all(kubernetes.calls.clone());
    let mut findings = Vec::new();
    for wanted in api::custom_resource_definitions() {
        let name = wanted.metadata.name.clone().unwrap_or_default();
        let check = format!("CRD {name}");
        findings.push(match call(CALL_TIME_LIMIT, api.get_opt(&name)).await {
            Ok(Some(installed)) => judge_definition(check, &wanted, &installed),
            Ok(None) => Finding::failure(check, "not installed", INSTALL_DEFINITIONS),
            // The operator itself need not read CRDs: whether the kind is served, every user may ask.
            Err(error) if error.is_forbidden() => served(kubernetes, check, &wanted).await,
            Err(error) => Finding::failure(check, reason(&error), "ask the API server again"),
        });
    }
    findings
}

const INSTALL_DEFINITIONS: &str = "install it: colonyos-operator crds | kubectl apply --server-side -f -";

async fn served(kubernetes: &Kubernetes, check: String, wanted: &CustomResourceDefinition) -> Finding {
    let version = wanted.spec.versions.first().map(|version| version.name.as_str()).unwrap_or_default();
    let group_version = format!("{}/{version}", wanted.spec.group);
    match call(CALL_TIME_LIMIT, kubernetes.calls.list_api_group_resources(&group_version)).await {
        Ok(list) if list.resources.iter().any(|resource| resource.name == wanted.spec.names.plural) => {
            Finding::ok(check, format!("{version} is served (its schema may not be read by this user)"))
        }
        Ok(_) => Finding::failure(check, "not installed", INSTALL_DEFINITIONS),
        Err(error) if error.is_not_found() => Finding::failure(check, "not installed", INSTALL_DEFINITIONS),
        Err(error) => Finding::failure(check, reason(&error), "ask the API server again"),
    }
}

fn judge_definition(
    check: String,
    wanted: &CustomResourceDefinition,
    installed: &CustomResourceDefinition,
) -> Finding {
    let conditions =
        installed.status.as_ref().and_then(|status| status.conditions.as_deref()).unwrap_or_default();
    let is_established =
        conditions.iter().any(|condition| condition.type_ == "Established" && condition.status == "True");
    if !is_established {
        let problem = conditions.iter().find(|condition| condition.status == "False");
        let why = problem.and_then(|condition| condition.message.clone()).unwrap_or_default();
        return Finding::failure(
            check,
            format!("installed, but not served: {why}"),
            "resolve the reported problem, such as a conflict of names with another CRD",
        );
    }
    let missing = wanted.spec.versions.iter().find(|version| {
        !installed.spec.versions.iter().any(|other| other.name == version.name && other.served)
    });
    if let Some(missing) = missing {
        return Finding::failure(
            check,
            format!("does not serve version {}", missing.name),
            INSTALL_DEFINITIONS,
        );
    }
    let is_same = wanted.spec.versions.iter().all(|version| {
        installed
            .spec
            .versions
            .iter()
            .any(|other| other.name == version.name && other.schema == version.schema)
    });
    if is_same {
        Finding::ok(check, format!("established, as of {}", env!("CARGO_PKG_VERSION")))
    } else {
        Finding::warning(
            check,
            format!("established, but its schema is not the one of {}", env!("CARGO_PKG_VERSION")),
            "bring it up to date: colonyos-operator crds | kubectl apply --server-side --force-conflicts -f -",
        )
    }
}

/// Whether a user can be the operator: one that runs in a pod has an account of the operator's namespace.
fn may_be_operator(who: &str, namespace: &str) -> bool {
    who.is_empty() || who.starts_with(&format!("system:serviceaccount:{namespace}:"))
}

/// That the user is not the operator, in place of all that the user may not do; `None` if the user may be.
pub(super) fn outsider(who: &str, namespace: &str, permissions: &[Finding]) -> Option<Finding> {
    let lacking = permissions.iter().filter(|finding| finding.verdict != Verdict::Ok).count();
    if lacking == 0 || may_be_operator(who, namespace) {
        return None;
    }
    Some(Finding::warning(
        "permissions",
        format!(
            "{who} is not the operator and lacks {lacking} of its permissions: keys are not checked, and no permissions"
        ),
        format!(
            "kubectl -n {namespace} exec deploy/colonyos-operator -- colonyos-operator doctor; or name the operator's namespace and account with --namespace and --account"
        ),
    ))
}

/// One finding for each rule that is not granted to a service account of the operator's namespace, or to whom the API server
/// knows us as; or one for all of them.
pub(super) async fn permissions(
    kubernetes: &Kubernetes,
    account: Option<&str>,
    configuration: &OperatorConfiguration,
) -> Vec<Finding> {
    let rules = rules();
    let lease = configuration.leader_election.lease_name.as_str();
    let questions: Vec<Question<'_>> = rules
        .iter()
        .flat_map(|rule| rule.verbs.iter().map(move |verb| (rule, *verb)))
        .flat_map(|(rule, verb)| {
            places(rule.place, &kubernetes.namespace, configuration)
                .into_iter()
                .map(move |namespace| Question { rule, verb, namespace })
        })
        .collect();
    let count = questions.len();
    let answers: Vec<_> = stream::iter(questions)
        .map(|question| ask(kubernetes, account, question, lease))
        .buffered(QUESTIONS_AT_ONCE)
        .collect()
        .await;
    let findings: Vec<Finding> = answers.into_iter().flatten().collect();
    if findings.is_empty() {
        vec![Finding::ok("permissions", format!("all {count} that the operator needs are granted"))]
    } else {
        findings
    }
}

struct Question<'r> {
    rule: &'r Rule,
    verb: &'static str,
    namespace: Option<String>,
}

/// Where a rule must hold; `None` is the whole cluster.
fn places(place: Place, own: &str, configuration: &OperatorConfiguration) -> Vec<Option<String>> {
    let OperatorConfiguration { watch_namespaces: watched, secret_namespaces: secrets, .. } = configuration;
    match place {
        Place::Secrets if !secrets.is_empty() => secrets.iter().cloned().map(Some).collect(),
        Place::Cluster => vec![None],
        Place::Own => vec![Some(own.to_owned())],
        Place::Watched | Place::Secrets if watched.is_empty() => vec![None],
        Place::Watched | Place::Secrets => watched.iter().cloned().map(Some).collect(),
    }
}

async fn ask(
    kubernetes: &Kubernetes,
    account: Option<&str>,
    question: Question<'_>,
    lease: &str,
) -> Option<Finding> {
    let Question { rule, verb, namespace } = question;
    let (resource, subresource) = match rule.resource.split_once('/') {
        Some((resource, subresource)) => (resource, Some(subresource.to_owned())),
        None => (&*rule.resource, None),
    };
    // Only one lease is the operator's own, and what is created has no name yet.
    let name = (rule.resource == "leases" && verb != "create").then(|| lease.to_owned());
    let attributes = ResourceAttributes {
        group: Some(rule.group.clone().into_owned()),
        resource: Some(resource.to_owned()),
        subresource,
        verb: Some(verb.to_owned()),
        namespace: namespace.clone(),
        name,
        ..ResourceAttributes::default()
    };
    let place = namespace.map_or_else(|| "in the cluster".to_owned(), |name| format!("in namespace {name}"));
    let group = if rule.group.is_empty() { String::new() } else { format!(".{}", rule.group) };
    let check = format!("may {verb} {}{group}", rule.resource);
    match is_allowed(kubernetes, account, attributes).await {
        Ok(true) => None,
        Ok(false) => Some(Finding::failure(
            check,
            format!("not {place}"),
            format!(
                "needed because {}; install the chart with rbac.create=true, or bind its roles",
                rule.why
            ),
        )),
        Err(error) => Some(Finding::warning(
            check,
            format!("not known: {}", reason(&error)),
            "ask the API server again",
        )),
    }
}

async fn is_allowed(
    kubernetes: &Kubernetes,
    account: Option<&str>,
    attributes: ResourceAttributes,
) -> Result<bool, CallError> {
    let (client, create) = (kubernetes.calls.clone(), PostParams::default());
    let resource_attributes = Some(attributes);
    let status = if let Some(account) = account {
        let namespace = &kubernetes.namespace;
        let groups = ["system:authenticated".to_owned(), "system:serviceaccounts".to_owned()];
        let groups = groups.into_iter().chain([format!("system:serviceaccounts:{namespace}")]).collect();
        let spec = SubjectAccessReviewSpec {
            resource_attributes,
            user: Some(format!("system:serviceaccount:{namespace}:{account}")),
            groups: Some(groups),
            ..SubjectAccessReviewSpec::default()
        };
        let review = SubjectAccessReview { spec, ..SubjectAccessReview::default() };
        let api = Api::<SubjectAccessReview>::all(client);
        call(CALL_TIME_LIMIT, api.create(&create, &review)).await?.status
    } else {
        let spec =
            SelfSubjectAccessReviewSpec { resource_attributes, ..SelfSubjectAccessReviewSpec::default() };
        let review = SelfSubjectAccessReview { spec, ..SelfSubjectAccessReview::default() };
        let api = Api::<SelfSubjectAccessReview>::all(client);
        call(CALL_TIME_LIMIT, api.create(&create, &review)).await?.status
    };
    Ok(status.is_some_and(|status| status.allowed))
}

#[cfg(test)]
mod tests {
    use k8s_openapi::apiextensions_apiserver::pkg::apis::apiextensions::v1::{
        CustomResourceDefinitionCondition, CustomResourceDefinitionStatus,
    };

    use super::*;

    fn installed(established: &str) -> CustomResourceDefinition {
        let mut definition = api::custom_resource_definitions().remove(1);
        let condition = CustomResourceDefinitionCondition {
            type_: "Established".to_owned(),
            status: established.to_owned(),
            message: Some("names clash".to_owned()),
            ..CustomResourceDefinitionCondition::default()
        };
        definition.status = Some(CustomResourceDefinitionStatus {
            conditions: Some(vec![condition]),
            ..CustomResourceDefinitionStatus::default()
        });
        definition
    }

    /// Installed is not enough: it must be served, in this version, with this schema.
    #[test]
    fn a_definition_is_judged_by_what_is_served() {
        let wanted = api::custom_resource_definitions().remove(1);
        let judge =
            |installed: &CustomResourceDefinition| judge_definition("CRD".to_owned(), &wanted, installed);
        assert_eq!(judge(&installed("True")).verdict, Verdict::Ok);
        let refused = judge(&installed("False"));
        assert!(refused.verdict == Verdict::Failure && refused.seen.contains("names clash"), "{refused:?}");
        let mut old = installed("True");
        old.spec.versions[0].name = "v1alpha1".to_owned();
        assert_eq!(judge(&old).verdict, Verdict::Failure);
        let mut other = installed("True");
        other.spec.versions[0].schema = None;
        assert_eq!(judge(&other).verdict, Verdict::Warning);
    }

    /// Forty failures for one reason hide the one that matters.
    #[test]
    fn a_user_who_is_not_the_operator_is_told_so_in_one_line() {
        let lacking: Vec<Finding> =
            (0..40).map(|n| Finding::failure(format!("may {n}"), "not", "ask")).collect();
        let told = outsider("alice", "colonyos-system", &lacking).unwrap();
        assert!(
            told.verdict == Verdict::Warning
                && told.seen.starts_with("alice is not the operator and lacks 40"),
            "{told:?}"
        );
        assert!(told.remedy.unwrap().contains("-n colonyos-system exec"));
        let own = "system:serviceaccount:colonyos-system:colonyos-operator";
        assert_eq!(
            outsider(own, "colonyos-system", &lacking),
            None,
            "the operator lacks rights that it needs"
        );
        assert_eq!(outsider("admin", "colonyos-system", &[Finding::ok("permissions", "all")]), None);
    }

    #[test]
    fn permissions_are_asked_for_where_they_are_needed() {
        let watching = |watched: &[&str], secrets: &[&str]| {
            let list = |names: &[&str]| names.iter().map(|name| (*name).to_owned()).collect();
            OperatorConfiguration {
                watch_namespaces: list(watched),
                secret_namespaces: list(secrets),
                ..OperatorConfiguration::default()
            }
        };
        let some = |names: &[&str]| names.iter().map(|name| Some((*name).to_owned())).collect::<Vec<_>>();
        let (all, two) = (watching(&[], &[]), watching(&["blue", "red"], &[]));
        assert_eq!(places(Place::Cluster, "own", &two), [None]);
        assert_eq!(places(Place::Own, "own", &two), some(&["own"]));
        for place in [Place::Watched, Place::Secrets] {
            assert_eq!(places(place, "own", &all), [None]);
            assert_eq!(places(place, "own", &two), some(&["blue", "red"]));
        }
        let limited = watching(&[], &["red"]);
        assert_eq!(places(Place::Watched, "own", &limited), [None]);
        assert_eq!(places(Place::Secrets, "own", &limited), some(&["red"]));
    }
}
