use kube::Config;
use serde_json::json;

use super::*;

fn resource() -> ApiResource {
    ApiResource::erase::<k8s_openapi::api::core::v1::ConfigMap>(&())
}

fn object(name: &str, owner: Option<&str>, version: &str) -> DynamicObject {
    let references = owner.map(|uid| {
        json!([{ "apiVersion": "example.com/v1", "kind": "Thing", "name": uid, "uid": uid, "controller": true }])
    });
    serde_json::from_value(json!({
        "metadata": { "name": name, "namespace": "ns", "uid": format!("uid-of-{name}"), "resourceVersion": version,
                      "ownerReferences": references, "managedFields": [{ "manager": "m" }] },
        "data": { "version": version },
    }))
    .unwrap()
}

/// The objects of one kind, and the owners that each event concerned.
#[derive(Default)]
struct ChildrenFixture {
    objects: Objects,
    writes: Writes,
}

impl ChildrenFixture {
    fn apply(&mut self, event: watcher::Event<DynamicObject>) -> Vec<String> {
        let touched = self.objects.apply(event, &resource(), "ConfigMap (v1)", &self.writes);
        let mut owners: Vec<String> = touched.into_iter().map(|owner| owner.reference.uid).collect();
        owners.sort();
        owners
    }

    fn list(&mut self, objects: Vec<DynamicObject>) -> Vec<String> {
        let mut touched = self.apply(watcher::Event::Init);
        for object in objects {
            touched.extend(self.apply(watcher::Event::InitApply(object)));
        }
        touched.extend(self.apply(watcher::Event::InitDone));
        touched
    }

    fn names(&self, owner: &str) -> Vec<&str> {
        let own = self.objects.by_owner.get(owner).into_iter().flat_map(BTreeMap::keys);
        own.map(|(_, name)| name.as_str()).collect()
    }
}

/// Unknown is not empty: half a list is none.
#[test]
fn objects_are_known_once_a_list_is_whole() {
    let mut world = ChildrenFixture::default();
    assert_eq!(world.apply(watcher::Event::Init), [""; 0]);
    assert_eq!(world.apply(watcher::Event::InitApply(object("a", Some("one"), "1"))), [""; 0]);
    assert!(!world.objects.is_filled && world.names("one").is_empty());
    assert_eq!(world.apply(watcher::Event::InitDone), ["one"]);
    assert!(world.objects.is_filled);
    assert_eq!(world.names("one"), ["a"]);
}

/// Deletions during an interruption show in the next list: its owner has to hear of it.
#[test]
fn a_further_list_tells_owners_of_what_has_gone() {
    let mut world = ChildrenFixture::default();
    world.list(vec![object("a", Some("one"), "1"), object("b", Some("two"), "1"), object("c", None, "1")]);
    let touched = world.list(vec![object("b", Some("two"), "1")]);
    assert!(touched.contains(&"one".to_owned()), "{touched:?}");
    assert_eq!((world.names("one"), world.names("two")), (vec![], vec!["b"]));
    assert!(!world.objects.by_owner.contains_key("one"), "nothing is left of it");
}

#[test]
fn an_object_that_changes_hands_concerns_both() {
    let mut world = ChildrenFixture::default();
    world.list(vec![object("a", Some("one"), "1")]);
    assert_eq!(world.apply(watcher::Event::Apply(object("a", Some("one"), "2"))), ["one"]);
    assert_eq!(world.apply(watcher::Event::Apply(object("a", Some("two"), "3"))), ["one", "two"]);
    assert_eq!((world.names("one"), world.names("two")), (vec![], vec!["a"]));
    assert_eq!(world.apply(watcher::Event::Apply(object("a", None, "4"))), ["two"], "let go of");
    assert_eq!(world.apply(watcher::Event::Delete(object("a", None, "5"))), [""; 0], "nobody's");
    world.apply(watcher::Event::Apply(object("b", Some("two"), "6")));
    assert_eq!(world.apply(watcher::Event::Delete(object("b", Some("two"), "7"))), ["two"]);
    assert!(world.objects.by_owner.is_empty() && world.objects.owners.is_empty());
}

/// Objects in lists lack their kind, and templates have no managed fields.
#[test]
fn objects_are_kept_with_their_kind_and_without_notes() {
    let mut world = ChildrenFixture::default();
    world.list(vec![object("a", Some("one"), "1")]);
    let kept = world.objects.by_owner["one"].values().next().unwrap();
    assert_eq!((&kept["apiVersion"], &kept["kind"]), (&json!("v1"), &json!("ConfigMap")));
    assert!(kept["metadata"]["managedFields"].is_null());
    assert_eq!(kept["data"]["version"], "1");
}

/// Definitions come and go for as long as the operator runs; what they were made of must not be watched for ever.
#[tokio::test]
async fn a_watch_ends_when_it_is_stopped() {
    // Nothing listens there: the watch tries again and again.
    let client = Client::try_from(Config::new("http://127.0.0.1:9".parse().unwrap())).unwrap();
    let (changed, _told) = futures::channel::mpsc::unbounded();
    let watches = ChildWatches::new(
        (client.clone(), client),
        vec![Scope::Cluster],
        Writes::default(),
        ServedKinds::default(),
        Clock::system(),
        changed,
    );
    let kind = ObjectKind::new("v1", "ConfigMap");
    let watch = watches.start(&kind, &resource(), &Scope::Cluster);
    let cache = Arc::downgrade(&watch.cache);
    watches.kinds.lock().await.insert(kind.clone(), Entry::Watched(vec![watch]));
    assert_eq!(watches.kinds().await, BTreeSet::from([kind.clone()]));
    let stopped = tokio::time::timeout(Duration::from_secs(10), async {
        watches.stop(&BTreeSet::from([kind])).await;
        // The task holds its cache until it has ended.
        while cache.upgrade().is_some() {
            tokio::task::yield_now().await;
        }
    });
    stopped.await.expect("the task ends");
    assert_eq!(watches.kinds().await, BTreeSet::new());
}
