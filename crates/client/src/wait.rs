//! Waiting for an operation.

use model::api::{GetOperation, OperationDetail};
use model::id::OperationId;
use model::operation::OperationState;

use crate::{Client, ClientError, Options};

/// Seconds that one request waits; Bedplate takes at most 60.
const WAIT: &str = "30";

impl Client {
    /// Waits until an operation has ended or needs attention, and gives it with its
    /// steps. Wrap it in a timeout to give up earlier; the operation goes on.
    pub async fn wait(&self, operation: OperationId) -> Result<OperationDetail, ClientError> {
        let id = operation.to_string();
        loop {
            let query = [("wait", WAIT)];
            let detail = self.call::<GetOperation>(&[&id], &query, &(), Options::default()).await?;
            if detail.operation.state != OperationState::Running {
                return Ok(detail);
            }
        }
    }
}
