//! Follows the processes that objects are bound to, so that what happens to them in a colony reaches their status: by
//! listing them all together from time to time, which is the truth, and by websockets, which are quicker and no more than
//! hints. Both only doubt what is known of a process and wake its object; the pass of the object asks and decides.

mod decide;
mod expected;
mod followed;
mod holders;
mod lists;
mod mirrored_kinds;
mod poll;
mod subscribe;

pub(in crate::controllers) use followed::FollowedProcesses;
pub(in crate::controllers) use holders::ProcessHolders;
pub(super) use lists::{Listed, Lists};
pub(in crate::controllers) use mirrored_kinds::{Kind, MirroredKind, MirroredKinds, Objects};

impl FollowedProcesses {
    /// Follows them for ever.
    pub async fn follow(self) {
        for objects in self.mirrored_kinds.all() {
            objects.filled().reached().await;
        }
        tokio::join!(poll::ProcessPoller::new(self.clone()).run(), subscribe::run(&self));
    }
}
