//! What the API server itself counted: requests by verb and resource, from its own metrics.

use std::collections::BTreeMap;

use colonyos_operator::runtime::kubernetes::Kubernetes;

/// Verbs that change something.
const WRITING_VERBS: [&str; 7] = ["APPLY", "PATCH", "POST", "PUT", "DELETE", "DELETECOLLECTION", "CREATE"];

/// Writes since the server started, by `VERB resource.group/subresource`; refused ones count too.
pub type Writes = BTreeMap<String, u64>;

/// Reads the counters of all writes.
pub async fn read(kubernetes: &Kubernetes) -> Writes {
    let request = http::Request::get("/metrics").body(Vec::new()).unwrap();
    let text = kubernetes.calls.request_text(request).await.expect("the API server shows its metrics");
    parse(&text)
}

fn parse(text: &str) -> Writes {
    let mut writes = Writes::new();
    for line in text.lines() {
        let Some((labels, value)) =
            line.strip_prefix("apiserver_request_total{").and_then(|rest| rest.rsplit_once("} "))
        else {
            continue;
        };
        let label = |name: &str| {
            labels
                .split("\",")
                .find_map(|pair| pair.strip_prefix(name)?.strip_prefix("=\""))
                .map(|value| value.trim_end_matches('"'))
                .unwrap_or_default()
        };
        if !WRITING_VERBS.contains(&label("verb")) {
            continue;
        }
        let mut key = format!("{} {}", label("verb"), label("resource"));
        for (separator, name) in [(".", "group"), ("/", "subresource")] {
            if !label(name).is_empty() {
                key.push_str(separator);
                key.push_str(label(name));
            }
        }
        let count = value.parse::<f64>().expect("a counter");
        #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "a count of requests")]
        let count = count as u64;
        *writes.entry(key).or_default() += count;
    }
    writes
}

/// What was written between two readings, without the resources that `is_expected` names.
pub fn between(before: &Writes, after: &Writes, is_expected: impl Fn(&str) -> bool) -> Writes {
    after
        .iter()
        .map(|(key, count)| (key.clone(), count - before.get(key).copied().unwrap_or_default()))
        .filter(|(key, count)| *count > 0 && !is_expected(key))
        .collect()
}

/// The counters must be read right, or "no writes" would pass whatever was written.
#[test]
fn writes_are_read_from_the_servers_metrics() {
    let before = parse(
        "# TYPE apiserver_request_total counter\n\
         apiserver_request_total{code=\"200\",component=\"apiserver\",dry_run=\"\",group=\"apps\",resource=\"deployments\",\
         scope=\"resource\",subresource=\"\",verb=\"APPLY\",version=\"v1\"} 3\n\
         apiserver_request_total{code=\"409\",component=\"apiserver\",dry_run=\"\",group=\"apps\",resource=\"deployments\",\
         scope=\"resource\",subresource=\"\",verb=\"APPLY\",version=\"v1\"} 1\n\
         apiserver_request_total{code=\"200\",component=\"apiserver\",dry_run=\"\",group=\"\",resource=\"pods\",\
         scope=\"cluster\",subresource=\"\",verb=\"LIST\",version=\"v1\"} 9\n",
    );
    assert_eq!(before, Writes::from([("APPLY deployments.apps".to_owned(), 4)]));
    let mut after = before.clone();
    after.insert("APPLY deployments.apps".to_owned(), 6);
    after.insert("PUT leases.coordination.k8s.io".to_owned(), 5);
    let written = between(&before, &after, |key| key.contains("leases"));
    assert_eq!(written, Writes::from([("APPLY deployments.apps".to_owned(), 2)]));
}
