//! The definitions in the files: what is wrong with each, or what would be made for it; and the kinds that they make, for
//! their instances.

use std::{collections::BTreeSet, fmt::Write as _};

use jiff::Timestamp;
use k8s_openapi::apiextensions_apiserver::pkg::apis::apiextensions::v1::CustomResourceDefinition;
use kube::{
    CustomResourceExt as _, ResourceExt as _,
    core::{DeserializeGuard, cel::validate_cel},
};
use serde_json::{Map, Value};

use super::{
    super::Failure,
    Rendered,
    kind::{Kind, Kinds, without_rules},
    manifests::{CLUSTER, Manifests},
    passes::{self, End, Rehearsed, Status},
};
use crate::{
    act::outcome::Outcome,
    api::{
        kind::HasFinalizer as _,
        names::OPERATOR,
        policy::DeletionPolicy,
        resource_definition::{
            HandlerMode, ObjectKind, ResourceDefinition, ResourceDefinitionSpec, ResourceName,
        },
    },
    desired::resource_definition::build_definition,
    diff::{
        ColonyStep, KubernetesStep, Plan, Problem, Step,
        definition::{DefinitionPlan, is_foreign, plan, plan_definition},
    },
    kinds::{
        composition::Composition,
        definition::{Validator, build, kind_of, mistakes},
        schema::with_defaults,
    },
    snapshot::{
        ColonyKindState, ComposedKinds, ConversionAddress, ConversionEndpoint, DefinitionSnapshot, Handlers,
        LiveInstance, Observed, RemainingInstances, StoredObjects,
    },
};

/// Plans every definition, and reads the kinds that they make. Those of CRDs whose definition is not in the files count too.
pub(super) fn plans(world: &Manifests, now: Timestamp) -> Result<(Vec<Rendered>, Kinds), Failure> {
    let mut kinds = Kinds::default();
    let read: Vec<Result<ResourceDefinition, Vec<String>>> = world.definitions.iter().map(read).collect();
    let readable: Vec<&ResourceDefinition> = read.iter().flatten().collect();
    let mut plans = Vec::new();
    for (written, read) in world.definitions.iter().zip(&read) {
        let name = written.pointer("/metadata/name").and_then(Value::as_str).unwrap_or_default();
        let mut steps = format!("ResourceDefinition {name}\n");
        let told = match read {
            Ok(definition) => describe(&mut steps, definition, &readable, world, now),
            Err(mistakes) => Err(mistakes.clone()),
        };
        let is_refused = told.as_ref().map_or(true, |(_, is_held)| *is_held);
        match told {
            Ok((kind, _)) => kinds.add(kind),
            Err(mistakes) => {
                kinds.record_invalid(written);
                for mistake in mistakes {
                    writeln!(steps, "mistake: {mistake}")?;
                }
            }
        }
        plans.push(Rendered { steps, status: String::new(), is_refused });
    }
    for crd in &world.crds {
        if let (false, Ok(kind)) = (kinds.has(crd), kind_of(crd, false)) {
            kinds.add(Kind::new(kind, crd.clone()));
        }
    }
    Ok((plans, kinds))
}

/// Reads a definition as an API server would: what it describes not, it drops; what it lacks, it fills in.
fn read(written: &Value) -> Result<ResourceDefinition, Vec<String>> {
    let crd = serde_json::to_value(ResourceDefinition::crd()).unwrap_or_default();
    let mut schema = crd.pointer("/spec/versions/0/schema/openAPIV3Schema").cloned().unwrap_or_default();
    // They are evaluated below, by what knows all of their functions.
    without_rules(&mut schema);
    Validator::default().check(&schema, None, written).map_err(|violation| vec![violation.to_string()])?;
    let mut definition: ResourceDefinition =
        serde_json::from_value(with_defaults(&schema, written)).map_err(|error| vec![error.to_string()])?;
    definition.metadata.generation.get_or_insert(1);
    validate_cel(&definition)
        .map_err(|errors| errors.into_vec().into_iter().map(|error| error.message).collect::<Vec<_>>())?;
    Ok(definition)
}

/// Reports on a definition; its kind and whether its change is held back, or what is wrong with it.
fn describe(
    text: &mut String,
    definition: &ResourceDefinition,
    all: &[&ResourceDefinition],
    world: &Manifests,
    now: Timestamp,
) -> Result<(Kind, bool), Vec<String>> {
    let composes = composes(definition, all);
    let mistakes = mistakes(&definition.spec, &composes);
    if !mistakes.is_empty() {
        return Err(mistakes);
    }
    let one = |error: crate::kinds::SpecError| vec![error.to_string()];
    let wanted = build(definition).map_err(one)?;
    let name = definition.name_any();
    let crd = world.crds.iter().find(|crd| crd.name_any() == name).cloned();
    let snapshot = snapshot(definition, crd, composes, world, now);
    if let Observed::Known(Some(crd)) = &snapshot.crd
        && is_foreign(&snapshot, crd)
    {
        return Err(vec![format!(
            "CustomResourceDefinition {name} exists and was not made by the operator: delete it, or choose other names; it is left unchanged"
        )]);
    }
    let plan = plan(&snapshot, &wanted);
    let steps = plan.plan.steps.iter().enumerate();
    let mut lines: Vec<String> = steps.map(|(number, step)| format!("{:>2}. {step}", number + 1)).collect();
    if let Some(held) = &plan.held {
        lines.push(format!("    held        {}: {}", held.reason.as_str(), held.message));
        let broken = held.impact.iter().flat_map(|impact| &impact.instances);
        lines.extend(broken.map(|one| {
            let namespace =
                one.namespace.as_ref().map(|namespace| format!("{namespace}/")).unwrap_or_default();
            format!("    breaks      {namespace}{}: {}", one.name, one.why)
        }));
    }
    if lines.is_empty() {
        lines.push("    nothing to do".to_owned());
    }
    // By what stays, if it is held back.
    let stays = plan.held.as_ref().and_then(|_| snapshot.crd.known().cloned().flatten());
    let is_held = plan.held.is_some();
    let crd = stays.unwrap_or(wanted);
    let kind = Kind::new(kind_of(&crd, false).map_err(one)?, crd);
    lines.extend(summary(&definition.spec, &kind));
    for line in lines {
        // Writing to a string does not fail.
        let _ = writeln!(text, "{line}");
    }
    if !is_held {
        end(text, snapshot, plan.plan).map_err(|error| vec![error.to_string()])?;
    }
    Ok((kind, is_held))
}

/// Goes through the deletion that comes after a plan.
fn end(text: &mut String, mut snapshot: DefinitionSnapshot, plan: Plan) -> Result<(), Failure> {
    passes::act(&mut snapshot, plan, &())?;
    let end = passes::delete(text, &mut snapshot, &End::Unknown)?;
    let has_instances = snapshot.left.known().is_some_and(|left| left.total > 0);
    if let (true, End::Waits(_)) = (has_instances, end) {
        let what = match snapshot.object.spec.deletion_policy {
            DeletionPolicy::Orphan => "released",
            DeletionPolicy::Delete => "gone",
        };
        writeln!(text, "then, once they are {what}")?;
        snapshot.left = Observed::Known(RemainingInstances::default());
        passes::rehearse(text, &mut snapshot)?;
    }
    Ok(())
}

fn snapshot(
    definition: &ResourceDefinition,
    crd: Option<CustomResourceDefinition>,
    composes: ComposedKinds,
    world: &Manifests,
    now: Timestamp,
) -> DefinitionSnapshot {
    let spec = &definition.spec;
    let is_of_kind = |object: &&Value| {
        ObjectKind::of(object).is_some_and(|kind| kind.group() == spec.group && kind.kind == spec.names.kind)
    };
    let live = world.others.iter().filter(is_of_kind).filter_map(|object| {
        serde_json::from_value::<DeserializeGuard<_>>(object.clone()).ok().map(LiveInstance::from)
    });
    let live: Vec<LiveInstance> = live.collect();
    DefinitionSnapshot {
        create_in_flight_until: None,
        object: definition.clone(),
        crd: Observed::Known(crd),
        missing_rights: Observed::Known(Vec::new()),
        missing_policies: Observed::Known(Vec::new()),
        granted_groups: Vec::new(),
        namespace: String::new(),
        instances: None,
        left: Observed::Known(RemainingInstances { total: live.len(), held: live.len() }),
        live: Observed::Known(live),
        stored: StoredObjects::NotAsked,
        may_retry_stored: false,
        composes,
        handlers: Handlers::None,
        in_colony: in_colony(definition, world),
        // As it is where the operator is installed with its chart.
        endpoint: Observed::Known(ConversionEndpoint {
            address: ConversionAddress::Service { name: OPERATOR.to_owned(), namespace: String::new() },
            authorities: Vec::new(),
        }),
        now,
    }
}

/// What the colony has of the kind, if its instances are blueprints: nothing yet.
fn in_colony(definition: &ResourceDefinition, world: &Manifests) -> Option<ColonyKindState> {
    let handler = &definition.spec.handler;
    if handler.mode != HandlerMode::Blueprint {
        return None;
    }
    let colony = world.colony(handler.colony.as_deref());
    let colony = colony.resolved()?;
    Some(ColonyKindState {
        add_in_flight_until: None,
        used: colony.used(),
        cluster: CLUSTER.to_owned(),
        definitions: Observed::Known(Vec::new()),
        blueprints: Observed::Known(0),
    })
}

impl Rehearsed for DefinitionSnapshot {
    type Findings = ();
    type Object = ResourceDefinition;

    const FINALIZER: Option<&'static str> = Some(ResourceDefinition::FINALIZER);

    fn decide(&self) -> Result<(Plan, ()), Problem> {
        let DefinitionPlan { plan, problem, .. } = plan_definition(self, &build_definition(self));
        problem.map_or(Ok((plan, ())), Err)
    }

    fn status(&self, _: Result<(&Outcome, &()), &Problem>) -> Option<Status<Self>> {
        None
    }

    fn object(&mut self) -> &mut ResourceDefinition {
        &mut self.object
    }

    fn kind(&self) {}

    fn now(&self) -> Timestamp {
        self.now
    }

    fn apply(&mut self, step: Step) -> bool {
        let definitions = match self.in_colony.as_mut().map(|in_colony| &mut in_colony.definitions) {
            Some(Observed::Known(definitions)) => Some(definitions),
            _ => None,
        };
        match (step, definitions) {
            (Step::Kubernetes(KubernetesStep::CreateCrd(crd) | KubernetesStep::UpdateCrd { crd, .. }), _) => {
                self.crd = Observed::Known(Some(*crd));
            }
            (Step::Kubernetes(KubernetesStep::DeleteCrd { .. }), _) => self.crd = Observed::Known(None),
            (Step::Colony(ColonyStep::AddDefinition(added)), Some(definitions)) => definitions.push(*added),
            (Step::Colony(ColonyStep::RemoveDefinition { name }), Some(definitions)) => {
                definitions.retain(|definition| definition.metadata.name != name);
            }
            _ => return false,
        }
        true
    }
}

/// What instances are made of, as far as the files know.
fn composes(definition: &ResourceDefinition, all: &[&ResourceDefinition]) -> ComposedKinds {
    let mut composes = ComposedKinds::default();
    if definition.spec.handler.mode != HandlerMode::Compose {
        return composes;
    }
    composes.adopts = definition.spec.handler.adopts();
    let defines = |kind: &ObjectKind, other: &ResourceDefinition| {
        kind.group() == other.spec.group && kind.kind == other.spec.names.kind
    };
    let direct = definition.spec.handler.makes();
    let mut seen = BTreeSet::new();
    let mut left: Vec<(ObjectKind, Vec<String>)> =
        direct.iter().map(|kind| (kind.clone(), vec![definition.spec.names.kind.clone()])).collect();
    while let Some((kind, mut way)) = left.pop() {
        way.push(kind.kind.clone());
        if defines(&kind, definition) {
            composes.circle.get_or_insert_with(|| way.join(" → "));
            continue;
        }
        if !seen.insert(kind.clone()) {
            continue;
        }
        // What a kind is called in addresses only its API server knows; what matters here is how many there are.
        let resource = kind.kind.to_lowercase();
        composes.resources.insert(ResourceName { group: kind.group().to_owned(), resource });
        let Some(other) = all.iter().find(|other| defines(&kind, other)) else { continue };
        let version = other.spec.versions.iter().find(|version| version.name == kind.version());
        if let (true, Some(version)) = (direct.contains(&kind), version) {
            composes.defined.push((kind, version.schema.open_api_v3_schema.clone()));
        }
        composes.adopts |= other.spec.handler.adopts();
        left.extend(other.spec.handler.makes().into_iter().map(|made| (made, way.clone())));
    }
    composes
}

/// What the kind is, in a few lines.
fn summary(spec: &ResourceDefinitionSpec, kind: &Kind) -> Vec<String> {
    let names = &spec.names;
    let mut called = vec![names.plural.clone()];
    called.push(names.singular.clone().unwrap_or_else(|| names.kind.to_lowercase()));
    called.extend(names.short_names.iter().cloned());
    let mut lines =
        vec![format!("    kind        {}, {}: {}", names.kind, spec.scope.as_str(), called.join(", "))];
    for version in &spec.versions {
        let mut what = vec![version.name.clone()];
        what.extend(version.storage.then(|| "stored".to_owned()));
        what.extend((!version.served).then(|| "not served".to_owned()));
        what.extend(version.deprecated.then(|| "deprecated".to_owned()));
        what.extend(version.scale.as_ref().map(|scale| format!("scaled by {}", scale.spec_replicas_path)));
        lines.push(format!("    version     {}", what.join(", ")));
    }
    lines.push(format!("    rights      in group {} (chart value userKinds.groups)", spec.group));
    let handler = &spec.handler;
    let text = |field: &Option<String>| field.clone().unwrap_or_default();
    match handler.mode {
        HandlerMode::Process => {
            let end = handler.cleanup_function.as_ref().map(|name| format!("; {name} when it goes"));
            lines.push(format!(
                "    instances   each generation is a process: {} by executors of type {}{}",
                text(&handler.function_name),
                text(&handler.executor_type),
                end.unwrap_or_default()
            ));
        }
        HandlerMode::Blueprint => lines.push("    instances   each is a blueprint".to_owned()),
        HandlerMode::Compose => {
            lines.extend(kind.composition().map(|made| order(spec, made)).unwrap_or_default());
        }
    }
    lines
}

/// What instances are made of, in the order in which it is made.
fn order(spec: &ResourceDefinitionSpec, composition: &Composition) -> Vec<String> {
    let ids: Vec<&str> = composition.order().collect();
    let template = |id: &str| spec.handler.resources.iter().find(|resource| resource.id == id);
    let none = Map::new();
    let line = |(number, id): (usize, &&str)| {
        let resource = template(id);
        let kind = resource.map_or(&none, |resource| &resource.template).get("kind").and_then(Value::as_str);
        let before: Vec<&str> =
            ids.iter().copied().filter(|other| composition.dependents(other).any(|one| one == *id)).collect();
        let many = resource.is_some_and(|resource| !resource.for_each.is_empty());
        let when = resource.map(|resource| resource.include_when.join(" and ")).unwrap_or_default();
        format!(
            "    {:<11} {}. {} {id}{}{}{}",
            if number == 0 { "instances" } else { "" },
            number + 1,
            kind.unwrap_or_default(),
            if many { ", any number" } else { "" },
            if when.is_empty() { String::new() } else { format!(", if {when}") },
            if before.is_empty() { String::new() } else { format!(", after {}", before.join(", ")) },
        )
    };
    ids.iter().enumerate().map(line).collect()
}
