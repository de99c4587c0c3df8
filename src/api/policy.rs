//! What annotations on an object of any kind ask of the operator. Pure.

use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;

use super::names::{PAUSED_ANNOTATION, RECONCILE_ANNOTATION};

/// Whether nothing is to be written for an object but its status.
#[must_use]
pub fn is_paused(metadata: &ObjectMeta) -> bool {
    annotation(metadata, PAUSED_ANNOTATION) == Some("true")
}

/// What asks for a pass over an object; another value asks for another pass.
#[must_use]
pub fn reconcile_at(metadata: &ObjectMeta) -> Option<&str> {
    annotation(metadata, RECONCILE_ANNOTATION)
}

fn annotation<'m>(metadata: &'m ObjectMeta, name: &str) -> Option<&'m str> {
    metadata.annotations.as_ref()?.get(name).map(String::as_str)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn annotated(name: &str, value: &str) -> ObjectMeta {
        let annotations = [(name.to_owned(), value.to_owned())];
        ObjectMeta { annotations: Some(annotations.into()), ..ObjectMeta::default() }
    }

    /// Whoever writes `false` to go on must not have to know that the annotation has to go.
    #[test]
    fn only_true_pauses() {
        assert!(is_paused(&annotated(PAUSED_ANNOTATION, "true")));
        for other in ["false", "", "True"] {
            assert!(!is_paused(&annotated(PAUSED_ANNOTATION, other)), "{other}");
        }
        assert!(!is_paused(&ObjectMeta::default()));
        assert_eq!(reconcile_at(&annotated(RECONCILE_ANNOTATION, "now")), Some("now"));
    }
}
