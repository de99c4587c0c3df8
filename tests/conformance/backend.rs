//! The two servers that each check is made on, and what a check starts from.

use std::{fmt, ops::Deref};

use colonyos_fake::FakeServer;
use colonyos_operator::colony::{Error, ErrorKind, PrivateKey};

use crate::stage;

/// A colony of its own on one of the servers; the one in memory is gone with it.
pub struct Stage {
    stage: stage::Stage,
    fake: Option<FakeServer>,
}

impl Deref for Stage {
    type Target = stage::Stage;

    fn deref(&self) -> &stage::Stage {
        &self.stage
    }
}

impl Stage {
    pub async fn on_the_real_server() -> Self {
        Self { stage: stage::Stage::new().await, fake: None }
    }

    pub fn is_real(&self) -> bool {
        self.fake.is_none()
    }

    pub async fn in_memory() -> Self {
        let owner = PrivateKey::generate().unwrap();
        let fake = FakeServer::start(&owner).await.unwrap();
        Self { stage: stage::Stage::at(fake.address(), owner).await, fake: Some(fake) }
    }
}

/// Makes each check a test against both servers.
macro_rules! checks {
    ($($name:ident,)+) => {
        mod real {
            $(#[tokio::test]
            async fn $name() {
                super::$name($crate::backend::Stage::on_the_real_server().await).await;
            })+
        }

        mod fake {
            $(#[tokio::test]
            async fn $name() {
                super::$name($crate::backend::Stage::in_memory().await).await;
            })+
        }
    };
}

pub(crate) use checks;

/// That a call was refused with this status and class, and that nothing has happened.
#[track_caller]
pub fn refused<T: fmt::Debug>(result: Result<T, Error>, status: u16, kind: ErrorKind) {
    let error = result.unwrap_err();
    assert_eq!((error.status(), error.kind()), (Some(status), kind), "{error}");
    assert!(!error.may_have_happened());
}
