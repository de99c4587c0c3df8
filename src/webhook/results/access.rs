//! Who asks, and whether they may: both are for the API server to say. Reads only, by reviews that it answers.

use k8s_openapi::api::{
    authentication::v1::{TokenReview, TokenReviewSpec, UserInfo},
    authorization::v1::{ResourceAttributes, SubjectAccessReview, SubjectAccessReviewSpec},
};
use kube::{Api, Client, api::PostParams};

use super::{place::Place, refusal::Refusal};
use crate::runtime::kubernetes::{CALL_TIME_LIMIT, CallError, call};

/// Longest token that is looked at.
const TOKEN_MAX: usize = 16 * 1024;

/// The user of a bearer token.
///
/// # Errors
///
/// When the API server does not know it, or cannot be asked.
pub(super) async fn user(client: &Client, token: &str) -> Result<UserInfo, Refusal> {
    if token.is_empty() || token.len() > TOKEN_MAX {
        return Err(Refusal::unknown_user("the request has no token that can be used"));
    }
    let review = TokenReview {
        spec: TokenReviewSpec { token: token.to_owned(), audiences: None },
        ..TokenReview::default()
    };
    let reviews = Api::<TokenReview>::all(client.clone());
    let parameters = PostParams::default();
    let answer = call(CALL_TIME_LIMIT, reviews.create(&parameters, &review)).await;
    let status = answer.map_err(|error| unanswered(&error, "review a token"))?.status.unwrap_or_default();
    match status.user {
        Some(user) if status.authenticated == Some(true) => Ok(user),
        _ => Err(Refusal::unknown_user("the API server does not know the token, or it has expired")),
    }
}

/// Whether a user may `get` this part of this object.
///
/// # Errors
///
/// When they may not, or the API server cannot be asked.
pub(super) async fn permitted(client: &Client, user: &UserInfo, place: &Place) -> Result<(), Refusal> {
    let attributes = ResourceAttributes {
        verb: Some("get".to_owned()),
        group: Some(place.group.clone()),
        version: Some(place.version.clone()),
        resource: Some(place.plural.clone()),
        subresource: Some(place.part.as_str().to_owned()),
        namespace: place.namespace.clone(),
        name: Some(place.name.clone()),
        ..ResourceAttributes::default()
    };
    let spec = SubjectAccessReviewSpec {
        user: user.username.clone(),
        groups: user.groups.clone(),
        uid: user.uid.clone(),
        extra: user.extra.clone(),
        resource_attributes: Some(attributes),
        ..SubjectAccessReviewSpec::default()
    };
    let review = SubjectAccessReview { spec, ..SubjectAccessReview::default() };
    let reviews = Api::<SubjectAccessReview>::all(client.clone());
    let parameters = PostParams::default();
    let answer = call(CALL_TIME_LIMIT, reviews.create(&parameters, &review)).await;
    let answer = answer.map_err(|error| unanswered(&error, "review what a user may do"))?;
    if answer.status.is_some_and(|status| status.allowed && status.denied != Some(true)) {
        return Ok(());
    }
    let who = user.username.as_deref().unwrap_or("an unnamed user");
    let resource = format!("{}.{}/{}", place.plural, place.group, place.part.as_str());
    let of =
        place.namespace.as_deref().map_or(String::new(), |namespace| format!(" in namespace {namespace}"));
    Err(Refusal::forbidden(&format!(
        "{who:?} may not get {resource}{of}: the ClusterRole edit includes this right, unless the chart has rbac.aggregate: false"
    )))
}

fn unanswered(error: &CallError, what: &str) -> Refusal {
    Refusal::unavailable(&error.explain(what))
}
