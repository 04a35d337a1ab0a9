//! [`to_its_end`]: what a person asked for is done whole, though who asked may be gone before it is.
//!
//! A request whose client hangs up is dropped where it waits. A change that is on disk by then must be in memory, and told, all the same.

use crate::ingress::answer::Refusal;
use crate::message_store::StoreError;

use super::store_refusal::refusal;

/// Does `work` in a task of its own.
///
/// # Errors
/// 503 where the host goes down meanwhile.
pub(crate) async fn to_its_end<T: Send + 'static>(work: impl Future<Output = T> + Send + 'static) -> Result<T, Refusal> {
    tokio::spawn(work).await.map_err(|_stopped| refusal(&StoreError::Closed))
}

#[cfg(test)]
mod tests {
    use super::to_its_end;
    use tokio::sync::oneshot;

    #[tokio::test]
    async fn what_was_begun_is_done_though_who_asked_is_gone() {
        let (go_on, begun) = oneshot::channel();
        let (done, is_done) = oneshot::channel();
        let mut asked = Box::pin(to_its_end(async move {
            begun.await.unwrap();
            done.send(()).unwrap();
        }));
        assert!(futures_util::poll!(&mut asked).is_pending());
        drop(asked);
        go_on.send(()).unwrap();
        is_done.await.unwrap();
    }
}
