//! From a definition's templates to a [`Composition`]: all errors are reported at once, in terms of the definition.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::Value;

use super::{
    Composition, CompositionError, CompositionErrors, Kinds, Policies, Resource, SCHEMA, SELF, Source, kinds,
    order::order, shape::shape,
};
use crate::{
    api::{
        instance::OWN_STATUS_FIELDS,
        resource_definition::{ComposedResource, MAX_FOR_EACH, MAX_RESOURCES, ObjectKind},
    },
    expression::{Condition, References, Rest, Template, Type, Types},
};

/// Where the templates stand in a definition.
const HANDLER: &str = "spec.handler";
/// Names that mean something else in expressions: variables of ours, and words that CEL keeps for itself.
const RESERVED: [&str; 24] = [
    SELF,
    SCHEMA,
    "as",
    "break",
    "const",
    "continue",
    "else",
    "false",
    "for",
    "function",
    "has",
    "if",
    "import",
    "in",
    "let",
    "loop",
    "namespace",
    "null",
    "output",
    "package",
    "return",
    "true",
    "var",
    "while",
];

/// A resource whose expressions are compiled.
struct Draft<'s> {
    resource: &'s ComposedResource,
    field: String,
    kind: ObjectKind,
    object: Type,
    template: Template,
    for_each: Vec<(String, Template)>,
    include_when: Vec<Condition>,
    ready_when: Vec<Condition>,
    policies: Policies,
}

/// The conditions and templates beside the resources.
type Ends = (BTreeMap<String, Template>, Option<Condition>);

pub(super) fn compile(source: &Source<'_>, kinds: &Kinds) -> Result<Composition, CompositionErrors> {
    let mut errors = Vec::new();
    let ids = ids(source, &mut errors);
    let drafts: Vec<Option<Draft<'_>>> = source
        .resources
        .iter()
        .take(MAX_RESOURCES)
        .enumerate()
        .map(|(index, resource)| draft(source, kinds, &ids, index, resource, &mut errors))
        .collect();
    let ends = ends(source, &ids, &mut errors);
    // What follows from the parts is only looked at once each of them is one: an error would bring others along.
    let drafts: Vec<Draft<'_>> = drafts.into_iter().flatten().collect();
    if !errors.is_empty() {
        return Err(CompositionErrors(errors));
    }
    let depends_on = drafts.iter().map(|draft| dependencies(draft, &drafts)).collect::<Vec<_>>();
    let order = order(&depends_on).map_err(|circle| CompositionErrors(vec![circular(&circle, &drafts)]))?;
    let status_type = check(source, &drafts, &ends, &mut errors);
    if !errors.is_empty() {
        return Err(CompositionErrors(errors));
    }
    let (status, finished_when) = ends;
    Ok(Composition { resources: in_order(drafts, &depends_on, &order), status, status_type, finished_when })
}

/// The ids, each of which must be a name of its own.
fn ids<'s>(source: &Source<'s>, errors: &mut Vec<CompositionError>) -> Vec<&'s str> {
    let list = format!("{HANDLER}.resources");
    if source.resources.is_empty() {
        errors.push(CompositionError::invalid(&list, "[]", "name at least one resource"));
    }
    if source.resources.len() > MAX_RESOURCES {
        let count = format!("{} resources", source.resources.len());
        errors.push(CompositionError::invalid(&list, count, format!("use at most {MAX_RESOURCES}")));
    }
    let mut ids: Vec<&str> = Vec::new();
    for (index, resource) in source.resources.iter().enumerate() {
        let field = format!("{list}[{index}].id");
        let id = resource.id.as_str();
        check_name(&field, id, errors);
        if let Some(first) = ids.iter().position(|known| *known == id) {
            let remedy = format!("is the id of resources[{first}] too: give each resource an id of its own");
            errors.push(CompositionError::invalid(field, id, remedy));
        }
        ids.push(id);
    }
    ids
}

/// Whether a name can be one in an expression.
fn check_name(field: &str, name: &str, errors: &mut Vec<CompositionError>) {
    let is_name = name.starts_with(|letter: char| letter.is_ascii_lowercase())
        && name.len() <= 63
        && name.chars().all(|letter| letter.is_ascii_alphanumeric());
    if !is_name {
        let remedy = "begin with a lower case letter, then letters and digits, at most 63, such as webServer";
        errors.push(CompositionError::invalid(field, name.chars().take(80).collect::<String>(), remedy));
    } else if RESERVED.contains(&name) {
        errors.push(CompositionError::invalid(
            field,
            name,
            "means something else in expressions: take another name",
        ));
    }
}

fn draft<'s>(
    source: &Source<'s>,
    kinds: &Kinds,
    ids: &[&str],
    index: usize,
    resource: &'s ComposedResource,
    errors: &mut Vec<CompositionError>,
) -> Option<Draft<'s>> {
    let field = format!("{HANDLER}.resources[{index}]");
    let before = errors.len();
    let kind = shape(source, &field, resource, errors);
    let for_each = for_each(&field, ids, resource, errors);
    let names = || resource.for_each.keys().map(String::as_str);
    let variables: Vec<&str> = [SELF, SCHEMA].into_iter().chain(ids.iter().copied()).chain(names()).collect();
    let template_field = format!("{field}.template");
    let template = Template::compile(&template_field, &Value::Object(resource.template.clone()), &variables);
    let template = take(template, errors);
    let instance = [SELF, SCHEMA];
    let include_when = conditions(&format!("{field}.includeWhen"), &resource.include_when, &instance, errors);
    let own: Vec<&str> = instance.into_iter().chain([resource.id.as_str()]).chain(names()).collect();
    let ready_when = conditions(&format!("{field}.readyWhen"), &resource.ready_when, &own, errors);
    if let Some(template) = template.as_ref().filter(|_| !resource.for_each.is_empty()) {
        let name = format!("{template_field}.metadata.name");
        let names_vary = names().any(|variable| template.fields_with(variable).any(|field| field == name));
        if !names_vary {
            let given = resource.template.get("metadata").and_then(|metadata| metadata.get("name"));
            let first = names().next().unwrap_or_default();
            errors.push(CompositionError::invalid(
                name,
                given.map(Value::to_string).unwrap_or_default(),
                format!("every object of forEach would have the same name: let it contain ${{{first}}}"),
            ));
        }
    }
    let policies = Policies::compile(&field, resource, errors);
    let (Some(kind), Some(template), true) = (kind, template, errors.len() == before) else { return None };
    let object = kinds.get(&kind);
    Some(Draft {
        resource,
        field: template_field,
        kind,
        object,
        template,
        for_each,
        include_when,
        ready_when,
        policies,
    })
}

fn for_each(
    field: &str,
    ids: &[&str],
    resource: &ComposedResource,
    errors: &mut Vec<CompositionError>,
) -> Vec<(String, Template)> {
    let field = format!("{field}.forEach");
    if resource.for_each.len() > MAX_FOR_EACH {
        let count = format!("{} variables", resource.for_each.len());
        errors.push(CompositionError::invalid(&field, count, format!("use at most {MAX_FOR_EACH}")));
    }
    let variables: Vec<&str> = [SELF, SCHEMA].into_iter().chain(ids.iter().copied()).collect();
    let mut compiled = Vec::new();
    for (name, list) in resource.for_each.iter().take(MAX_FOR_EACH) {
        let field = format!("{field}.{name}");
        check_name(&field, name, errors);
        if ids.contains(&name.as_str()) {
            errors.push(CompositionError::invalid(
                &field,
                name,
                "is the id of a resource: take another name",
            ));
        }
        let template = Template::compile(&field, &Value::String(list.clone()), &variables);
        if let Some(template) = take(template, errors) {
            compiled.push((name.clone(), template));
        }
    }
    compiled
}

fn conditions(
    field: &str,
    texts: &[String],
    variables: &[&str],
    errors: &mut Vec<CompositionError>,
) -> Vec<Condition> {
    let each = texts.iter().enumerate().map(|(index, text)| {
        Condition::parse_in_braces(&format!("{field}[{index}]"), text, variables).map_err(|error| vec![error])
    });
    each.filter_map(|condition| take(condition, errors)).collect()
}

fn ends(source: &Source<'_>, ids: &[&str], errors: &mut Vec<CompositionError>) -> Ends {
    let variables: Vec<&str> = [SELF, SCHEMA].into_iter().chain(ids.iter().copied()).collect();
    let mut status = BTreeMap::new();
    for (name, text) in source.status {
        let field = format!("{HANDLER}.status.{name}");
        if OWN_STATUS_FIELDS.contains(&name.as_str()) {
            errors.push(CompositionError::invalid(
                &field,
                "set",
                "is written by the operator: take another name",
            ));
        }
        if let Some(template) =
            take(Template::compile(&field, &Value::String(text.clone()), &variables), errors)
        {
            status.insert(name.clone(), template);
        }
    }
    let field = format!("{HANDLER}.finishedWhen");
    let finished_when = source.finished_when.and_then(|text| {
        take(Condition::parse_in_braces(&field, text, &variables).map_err(|error| vec![error]), errors)
    });
    (status, finished_when)
}

fn take<T, E: IntoIterator<Item = crate::expression::ExpressionError>>(
    result: Result<T, E>,
    errors: &mut Vec<CompositionError>,
) -> Option<T> {
    match result {
        Ok(value) => Some(value),
        Err(found) => {
            errors.extend(found.into_iter().map(CompositionError::Expression));
            None
        }
    }
}

/// The places of the resources to which one refers, itself included if it does.
fn dependencies(draft: &Draft<'_>, drafts: &[Draft<'_>]) -> BTreeSet<usize> {
    let of = |references: &References| -> Vec<usize> {
        let named = |name: &str| drafts.iter().position(|other| other.resource.id == name);
        references.variables().filter_map(named).collect()
    };
    let lists = draft.for_each.iter().flat_map(|(_, list)| of(list.references()));
    of(draft.template.references()).into_iter().chain(lists).collect()
}

fn circular(circle: &[usize], drafts: &[Draft<'_>]) -> CompositionError {
    let id = |place: &usize| drafts[*place].resource.id.as_str();
    let way: Vec<&str> = circle.iter().chain(circle.first()).map(id).collect();
    let first = circle.first().copied().unwrap_or_default();
    let next = circle.get(1).or(circle.first()).map(id).unwrap_or_default();
    let (problem, remedy) = if circle.len() == 1 {
        ("a template refers to its own object".to_owned(), "refer to the instance, or to another resource")
    } else {
        let way = way.join(" → ");
        (format!("the resources refer to each other in a circle: {way}"), "take one of these references out")
    };
    let draft = &drafts[first];
    let lists = draft.for_each.iter().map(|(_, list)| list);
    let names = |template: &&Template| template.references().variables().any(|name| name == next);
    let template = lists.chain([&draft.template]).find(names).unwrap_or(&draft.template);
    CompositionError::Expression(template.refuse_variable(next, &problem, remedy))
}

/// What can never work with the types that are known. Returns the type of the status that is given.
fn check(source: &Source<'_>, drafts: &[Draft<'_>], ends: &Ends, errors: &mut Vec<CompositionError>) -> Type {
    let instance = kinds::object_type(source.schema);
    let declared = instance.field("status").cloned();
    let mut types = Types::new();
    types.insert(SELF, without_status(&instance));
    types.insert(SCHEMA, without_status(&instance));
    for draft in drafts {
        let object = draft.object.clone();
        let found = if draft.for_each.is_empty() { object } else { Type::list(object) };
        types.insert(&draft.resource.id, found);
    }
    for draft in drafts {
        let mut inside = types.clone();
        for (name, list) in &draft.for_each {
            errors.extend(
                list.problems(&types, &Type::list(Type::Any)).into_iter().map(CompositionError::Expression),
            );
            let element = match list.type_of(&types) {
                Type::List(element) => Type::clone(&element),
                _ => Type::Any,
            };
            inside.insert(name, element);
        }
        let problems = draft.template.problems(&inside, &draft.object);
        errors.extend(problems.into_iter().map(CompositionError::Expression));
        // Within its own condition an object of a list is itself.
        inside.insert(&draft.resource.id, draft.object.clone());
        let conditions = draft.include_when.iter().chain(&draft.ready_when);
        errors.extend(
            conditions.filter_map(|condition| condition.problem(&inside)).map(CompositionError::Expression),
        );
    }
    let (status, finished_when) = ends;
    let mut given = Vec::new();
    for (name, template) in status {
        let field = format!("{HANDLER}.status.{name}");
        let expected = match &declared {
            None => Type::Any,
            Some(declared) => declared.field(name).cloned().unwrap_or_else(|| {
                if matches!(declared, Type::Object(object) if object.rest == Rest::Nothing) {
                    let remedy = "declare it in the schema's status, or declare no status there at all";
                    errors.push(CompositionError::invalid(&field, "set", remedy));
                }
                Type::Any
            }),
        };
        errors.extend(template.problems(&types, &expected).into_iter().map(CompositionError::Expression));
        given.push((name.clone(), template.type_of(&types)));
    }
    errors
        .extend(finished_when.iter().filter_map(|one| one.problem(&types)).map(CompositionError::Expression));
    Type::object(given, Rest::Nothing)
}

/// What is made of an instance must not depend on its status, which follows from what is made.
fn without_status(instance: &Type) -> Type {
    match instance {
        Type::Object(object) => {
            let fields = object.fields.iter().filter(|(name, _)| *name != "status");
            Type::object(fields.map(|(name, field)| (name.clone(), field.clone())), object.rest)
        }
        other => other.clone(),
    }
}

fn in_order(drafts: Vec<Draft<'_>>, depends_on: &[BTreeSet<usize>], order: &[usize]) -> Vec<Resource> {
    let place_of = |index: &usize| order.iter().position(|place| place == index);
    let mut resources: Vec<(Option<usize>, Resource)> = drafts
        .into_iter()
        .enumerate()
        .map(|(index, draft)| {
            let resource = Resource {
                id: draft.resource.id.clone(),
                kind: draft.kind,
                field: draft.field,
                template: draft.template,
                for_each: draft.for_each,
                include_when: draft.include_when,
                ready_when: draft.ready_when,
                policies: draft.policies,
                depends_on: depends_on[index].iter().filter_map(place_of).collect(),
            };
            (place_of(&index), resource)
        })
        .collect();
    resources.sort_by_key(|(place, _)| *place);
    resources.into_iter().map(|(_, resource)| resource).collect()
}
