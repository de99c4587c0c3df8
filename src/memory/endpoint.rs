//! Where API servers have objects converted, as far as this process serves there.

use std::sync::Arc;

use crate::snapshot::{ConversionEndpoint, Observed};

/// The endpoint of conversions; clones share it.
#[derive(Clone)]
pub struct Endpoint(Arc<tokio::sync::watch::Sender<Observed<ConversionEndpoint>>>);

impl Default for Endpoint {
    fn default() -> Self {
        Self(Arc::new(tokio::sync::watch::Sender::new(Observed::Unknown("it is being started".to_owned()))))
    }
}

impl Endpoint {
    #[must_use]
    pub fn known(&self) -> Observed<ConversionEndpoint> {
        self.0.borrow().clone()
    }

    /// Notes that it serves there.
    pub fn serves(&self, endpoint: ConversionEndpoint) {
        self.note(Observed::Known(endpoint));
    }

    /// Notes why it does not serve. What was known to serve is not forgotten: API servers go on asking there.
    pub fn fails(&self, why: String) {
        if matches!(*self.0.borrow(), Observed::Unknown(_)) {
            self.note(Observed::Unknown(why));
        }
    }

    fn note(&self, now: Observed<ConversionEndpoint>) {
        self.0.send_if_modified(|known| {
            let is_news = *known != now;
            *known = now;
            is_news
        });
    }

    /// Yields on each change.
    #[must_use]
    pub fn changes(&self) -> tokio::sync::watch::Receiver<Observed<ConversionEndpoint>> {
        self.0.subscribe()
    }
}
