//! Reading through the types of `nv-redfish`: our connection as its transport.
//!
//! Its types and platform repairs are used to read; every write goes by our own
//! verbs, where deadlines, retries and reading back are decided. So this transport
//! reads only, and says so when asked for more.

use std::sync::Arc;

use model::bmc::BmcFailureKind;
use nv_redfish_core::query::ExpandQuery;
use nv_redfish_core::repair::decode;
use nv_redfish_core::{
    Action, Bmc, BmcError, BmcErrorClass, BoxTryStream, EntityTypeRef, Expandable, FilterQuery,
    HttpPushUriUpdateRequest, ModificationResponse, MultipartUpdateRequest, NoRepair, ODataETag,
    ODataId, Repair, RepairError, SessionCreateResponse, UploadReader,
};
use serde::{Deserialize, Serialize};

use crate::failure::{Failure, TEXT_MOST, clean};
use crate::wire::Wire;

/// The transport.
pub(crate) struct Reader(pub(crate) Arc<Wire>);

/// A failure in the words of `nv-redfish`.
#[derive(Debug, thiserror::Error)]
#[error(transparent)]
pub(crate) struct ReadError(Failure);

impl BmcError for ReadError {
    fn error_class(&self) -> BmcErrorClass {
        match (self.0.status, self.0.kind) {
            (Some(status), _) => BmcErrorClass::HttpResponse { status },
            (None, BmcFailureKind::Malformed) => BmcErrorClass::ResponseParse,
            (None, BmcFailureKind::Unreachable) => BmcErrorClass::Transport,
            (None, _) => BmcErrorClass::Other,
        }
    }
}

/// A failed typed read in our own words.
pub(crate) fn failure_of(error: RepairError<ReadError>) -> Failure {
    match error {
        RepairError::Transport(ReadError(failure)) => failure,
        RepairError::Decode(error) => Failure::malformed(clean(&error.to_string(), TEXT_MOST)),
    }
}

impl Reader {
    async fn read<T: for<'de> Deserialize<'de>>(
        &self,
        path: &str,
        repair: &impl Repair,
    ) -> Result<Arc<T>, RepairError<ReadError>> {
        let document = self.0.get(path).await.map_err(|e| RepairError::Transport(ReadError(e)))?;
        let mut body = document.body;
        repair.repair(&mut body);
        decode(body).map(Arc::new).map_err(RepairError::Decode)
    }

    async fn read_plain<T: for<'de> Deserialize<'de>>(
        &self,
        path: &str,
    ) -> Result<Arc<T>, ReadError> {
        self.read(path, &NoRepair).await.map_err(|error| ReadError(failure_of(error)))
    }
}

fn reads_only<T>() -> Result<T, ReadError> {
    Err(ReadError(Failure::unsupported("this transport reads only")))
}

impl Bmc for Reader {
    type Error = ReadError;

    async fn expand<T: Expandable>(
        &self,
        id: &ODataId,
        query: ExpandQuery,
    ) -> Result<Arc<T>, ReadError> {
        self.read_plain(&format!("{id}?{}", query.to_query_string())).await
    }

    async fn get<T: EntityTypeRef + for<'de> Deserialize<'de> + 'static>(
        &self,
        id: &ODataId,
    ) -> Result<Arc<T>, ReadError> {
        self.read_plain(&id.to_string()).await
    }

    async fn filter<T: EntityTypeRef + for<'de> Deserialize<'de> + 'static>(
        &self,
        id: &ODataId,
        query: FilterQuery,
    ) -> Result<Arc<T>, ReadError> {
        self.read_plain(&format!("{id}?{}", query.to_query_string())).await
    }

    async fn get_repaired<T: EntityTypeRef + for<'de> Deserialize<'de> + 'static>(
        &self,
        id: &ODataId,
        repair: &impl Repair,
    ) -> Result<Arc<T>, RepairError<ReadError>> {
        self.read(&id.to_string(), repair).await
    }

    async fn expand_repaired<T: Expandable>(
        &self,
        id: &ODataId,
        query: ExpandQuery,
        repair: &impl Repair,
    ) -> Result<Arc<T>, RepairError<ReadError>> {
        self.read(&format!("{id}?{}", query.to_query_string()), repair).await
    }

    async fn filter_repaired<T: EntityTypeRef + for<'de> Deserialize<'de> + 'static>(
        &self,
        id: &ODataId,
        query: FilterQuery,
        repair: &impl Repair,
    ) -> Result<Arc<T>, RepairError<ReadError>> {
        self.read(&format!("{id}?{}", query.to_query_string()), repair).await
    }

    async fn create<V: Send + Sync + Serialize, R: Send + Sync + for<'de> Deserialize<'de>>(
        &self,
        _id: &ODataId,
        _query: &V,
    ) -> Result<ModificationResponse<R>, ReadError> {
        reads_only()
    }

    async fn create_session<
        V: Send + Sync + Serialize,
        R: Send + Sync + for<'de> Deserialize<'de>,
    >(
        &self,
        _id: &ODataId,
        _query: &V,
    ) -> Result<SessionCreateResponse<R>, ReadError> {
        reads_only()
    }

    async fn update<V: Sync + Send + Serialize, R: Send + Sync + for<'de> Deserialize<'de>>(
        &self,
        _id: &ODataId,
        _etag: Option<&ODataETag>,
        _update: &V,
    ) -> Result<ModificationResponse<R>, ReadError> {
        reads_only()
    }

    async fn delete<R: EntityTypeRef + for<'de> Deserialize<'de>>(
        &self,
        _id: &ODataId,
    ) -> Result<ModificationResponse<R>, ReadError> {
        reads_only()
    }

    async fn action<T: Send + Sync + Serialize, R: Send + Sync + for<'de> Deserialize<'de>>(
        &self,
        _action: &Action<T, R>,
        _params: &T,
    ) -> Result<ModificationResponse<R>, ReadError> {
        reads_only()
    }

    async fn poll<R: Send + Sync + for<'de> Deserialize<'de>>(
        &self,
        _uri: &ODataId,
    ) -> Result<ModificationResponse<R>, ReadError> {
        reads_only()
    }

    async fn multipart_update<U, V, R>(
        &self,
        _uri: &str,
        _request: MultipartUpdateRequest<'_, U, V>,
    ) -> Result<ModificationResponse<R>, ReadError>
    where
        U: UploadReader,
        R: Send + Sync + for<'de> Deserialize<'de>,
        V: Send + Sync + Serialize,
    {
        reads_only()
    }

    async fn http_push_uri_update<U, R>(
        &self,
        _uri: &str,
        _request: HttpPushUriUpdateRequest<U>,
    ) -> Result<ModificationResponse<R>, ReadError>
    where
        U: UploadReader,
        R: Send + Sync + for<'de> Deserialize<'de>,
    {
        reads_only()
    }

    async fn stream<T: Sized + for<'de> Deserialize<'de> + Send + 'static>(
        &self,
        _uri: &str,
    ) -> Result<BoxTryStream<T, ReadError>, ReadError> {
        reads_only()
    }
}
