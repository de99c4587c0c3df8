//! `colonyos-operator get [KIND] [NAME]`: objects of the operator's kinds, and of those that users define, in one table: where each
//! stands, why, and what it waits for.
//!
//! Reads only, with the permissions of its user. A kind that may not be listed is named, and hides none of the others.

pub(super) mod row;

use clap::Args;
use tokio::runtime::Runtime;

use self::row::{Listing, Row};
use super::{
    Failure,
    connection::Connection,
    output::{Output, complain},
    served::ServedKind,
};
use crate::{
    api::{kind::Kind, resource_definition::ResourceDefinition},
    runtime::{clock::Clock, kubernetes::Kubernetes},
};

/// Arguments of `get`.
#[derive(Debug, Args)]
pub(super) struct Arguments {
    /// The kind, such as `colonyprocess`, several separated by commas, or an object as `KIND/NAME` [default: every kind]
    #[arg(value_name = "KIND")]
    kind: Option<String>,
    /// Name of an object [default: all of the kind]
    #[arg(value_name = "NAME")]
    name: Option<String>,
    #[command(flatten)]
    connection: Connection,
    /// Objects of all namespaces, and those that are in none
    #[arg(long, short = 'A')]
    all_namespaces: bool,
    /// Form of the output
    #[arg(long, short, value_enum, default_value_t = Output::Text)]
    output: Output,
}

/// Prints a table of objects.
///
/// # Errors
///
/// When nothing can be read.
pub(super) fn print(arguments: &Arguments) -> Result<(), Failure> {
    let (listing, place) = Runtime::new()?.block_on(list(arguments))?;
    if let (Output::Text, []) = (arguments.output, listing.items.as_slice()) {
        complain(format_args!("There are no objects of these kinds in {place}."));
    }
    let now = Clock::system().now();
    arguments.output.print(
        || listing.text(arguments.all_namespaces, now),
        || serde_json::to_value(&listing).unwrap_or_default(),
    )?;
    if arguments.output == Output::Text {
        for unread in &listing.unread {
            complain(format_args!("not read: {unread}"));
        }
    }
    match listing.unread.as_slice() {
        [_, ..] if listing.read == 0 => Err("none of the kinds could be read".into()),
        _ => Ok(()),
    }
}

/// What there is, and where it was looked for.
async fn list(arguments: &Arguments) -> Result<(Listing, String), Failure> {
    let kubernetes = arguments.connection.connect().await?;
    let (kind, name) = match (&arguments.kind, &arguments.name) {
        (Some(kind), None) if kind.contains('/') => {
            let (kind, name) = super::served::kind_and_name(kind)?;
            (Some(kind), Some(name))
        }
        (kind, name) => (kind.as_deref(), name.as_deref()),
    };
    let mut listing = Listing::default();
    if let (Some(kind), Some(name)) = (kind, name) {
        if arguments.all_namespaces {
            return Err("an object is in one namespace: give either its name or --all-namespaces".into());
        }
        let object = ServedKind::called(&kubernetes, kind).await?.get(&kubernetes, name).await?;
        listing.items.push(Row::of(object));
        listing.read += 1;
        return Ok((listing, String::new()));
    }
    let (namespace, place) = if arguments.all_namespaces {
        (None, "any namespace".to_owned())
    } else {
        (Some(kubernetes.namespace.as_str()), format!("namespace {}", kubernetes.namespace))
    };
    let kinds = match kind {
        Some(kinds) => named(&kubernetes, kinds).await?,
        None => every(&kubernetes, arguments.all_namespaces, &mut listing).await,
    };
    for kind in kinds {
        match kind.list(&kubernetes, namespace, None).await {
            Ok(objects) => {
                listing.read += 1;
                listing.items.extend(objects.into_iter().map(Row::of));
            }
            Err(why) => listing.unread.push(why.to_string()),
        }
    }
    Ok((listing, place))
}

/// The kinds that are named, separated by commas.
async fn named(kubernetes: &Kubernetes, kinds: &str) -> Result<Vec<ServedKind>, Failure> {
    let mut found = Vec::new();
    for kind in kinds.split(',').filter(|kind| !kind.is_empty()) {
        found.push(ServedKind::called(kubernetes, kind).await?);
    }
    Ok(found)
}

/// Every kind whose objects are where it is looked.
async fn every(kubernetes: &Kubernetes, everywhere: bool, listing: &mut Listing) -> Vec<ServedKind> {
    let mut kinds: Vec<ServedKind> = Kind::own().map(|(_, own)| ServedKind::own(own)).collect();
    let definitions = kinds.iter().find(|kind| kind.kind() == Kind::ResourceDefinition).cloned();
    if let Some(definitions) = definitions {
        match definitions.list(kubernetes, None, None).await {
            Ok(objects) => {
                let definitions =
                    objects.into_iter().filter_map(|object| serde_json::from_value(object).ok());
                let served =
                    definitions.map(|definition: ResourceDefinition| ServedKind::defined(definition));
                kinds.extend(served.filter_map(Result::ok));
            }
            Err(why) if everywhere => drop(why),
            Err(why) => listing.unread.push(format!(
                "objects of kinds that users define: {why}; name such a kind to list its objects"
            )),
        }
    }
    kinds.retain(|kind| everywhere || kind.is_namespaced);
    kinds
}
