//! Calls that read better with a name. Everything else goes by [`Client::call`].

use model::api::{Caller, DeployMachine, Enroll, EnrollMachine, ReleaseMachine};
use model::api::{
    Endpoint, GetHealth, GetMachine, GetSelf, Health, ListImages, ListMachines, ListOperations,
    Page,
};
use model::image::Image;
use model::machine::{Deployment, Machine};
use model::operation::Operation;

use crate::{Client, ClientError, Options};

/// Items asked for at a time.
const LIMIT: &str = "500";

impl Client {
    /// Whether the control plane is well.
    pub async fn health(&self) -> Result<Health, ClientError> {
        self.call::<GetHealth>(&[], &[], &(), Options::default()).await
    }

    /// Who the token speaks for.
    pub async fn whoami(&self) -> Result<Caller, ClientError> {
        self.call::<GetSelf>(&[], &[], &(), Options::default()).await
    }

    /// A machine, by name or id.
    pub async fn machine(&self, machine: &str) -> Result<Machine, ClientError> {
        self.call::<GetMachine>(&[machine], &[], &(), Options::default()).await
    }

    /// Takes a machine in.
    pub async fn enroll(&self, request: &Enroll) -> Result<Operation, ClientError> {
        self.call::<EnrollMachine>(&[], &[], request, Options::default()).await
    }

    /// Installs an image on an available machine.
    pub async fn deploy(
        &self,
        machine: &str,
        deployment: &Deployment,
    ) -> Result<Operation, ClientError> {
        self.call::<DeployMachine>(&[machine], &[], deployment, Options::default()).await
    }

    /// Takes a machine back.
    pub async fn release(&self, machine: &str) -> Result<Operation, ClientError> {
        self.call::<ReleaseMachine>(&[machine], &[], &(), Options::default()).await
    }

    /// All machines with all of the labels (`key=value` each), and the revision from
    /// which a watch goes on.
    pub async fn machines(&self, labels: &[String]) -> Result<(Vec<Machine>, u64), ClientError> {
        self.all::<ListMachines, Machine>(labels).await
    }

    /// All images with all of the labels.
    pub async fn images(&self, labels: &[String]) -> Result<(Vec<Image>, u64), ClientError> {
        self.all::<ListImages, Image>(labels).await
    }

    /// All operations, newest first.
    pub async fn operations(&self) -> Result<(Vec<Operation>, u64), ClientError> {
        self.all::<ListOperations, Operation>(&[]).await
    }

    /// All items of a list, page by page, and the revision of the first page: what
    /// changed since then comes with a watch from there.
    pub async fn all<E, T>(&self, labels: &[String]) -> Result<(Vec<T>, u64), ClientError>
    where
        E: Endpoint<Request = (), Reply = Page<T>>,
    {
        let (mut items, mut revision, mut next) = (Vec::new(), None, None::<String>);
        loop {
            let mut query = vec![("limit", LIMIT)];
            query.extend(labels.iter().map(|label| ("label", label.as_str())));
            query.extend(next.as_deref().map(|page| ("page", page)));
            let page = self.call::<E>(&[], &query, &(), Options::default()).await?;
            items.extend(page.items);
            let first = *revision.get_or_insert(page.revision);
            match page.next_page {
                Some(page) => next = Some(page),
                None => return Ok((items, first)),
            }
        }
    }
}
