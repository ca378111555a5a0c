//! A BMC that speaks Redfish (DSP0266).

use std::sync::Arc;

use futures_util::FutureExt;
use futures_util::future::BoxFuture;
use model::bmc::{BmcCommand, BmcFact, BmcFailure};

use crate::document::Document;
use crate::failure::{Failure, Outcome};
use crate::locate::{Layout, locate};
use crate::wire::Wire;
use crate::{Bmc, ByteStream, Endpoint, EventStream, Limits};

/// A BMC behind Redfish. Dropping it deletes its session, as far as that is
/// possible; [`Redfish::close`] waits for it.
pub struct Redfish {
    pub(crate) wire: Arc<Wire>,
    pub(crate) layout: Option<Layout>,
}

/// Prepares the way to a BMC; nothing is sent before the first command.
///
/// # Errors
///
/// [`model::bmc::BmcFailureKind::Refused`] when the address is none.
pub fn connect(endpoint: Endpoint) -> Result<Redfish, BmcFailure> {
    connect_with(endpoint, Limits::default())
}

/// [`connect`] with other bounds than the usual.
///
/// # Errors
///
/// As [`connect`].
pub fn connect_with(endpoint: Endpoint, limits: Limits) -> Result<Redfish, BmcFailure> {
    Ok(Redfish { wire: Arc::new(Wire::new(&endpoint, limits)?), layout: None })
}

impl Redfish {
    /// SHA-256 of the certificate that is trusted: the pin, or the one of the
    /// first contact. `None` before that, and always with `http`.
    pub fn certificate(&self) -> Option<String> {
        self.wire.certificate()
    }

    /// Leaves, and deletes the session.
    pub async fn close(self) {
        self.wire.leave().await;
    }

    pub(crate) async fn layout(&mut self) -> Outcome<&Layout> {
        if self.layout.is_none() {
            self.layout = Some(locate(&self.wire).await?);
        }
        Ok(self.layout.as_ref().expect("found just now"))
    }

    /// The machine's own document, fresh. When its path leads nowhere, the way is
    /// found anew, once: some BMCs forget a resource until its parents are read.
    pub(crate) async fn system(&mut self) -> Outcome<Document> {
        let known = self.layout.is_some();
        let path = self.layout().await?.system.clone();
        match self.wire.get(&path).await {
            Err(failure) if failure.is_gone() && known => {
                self.layout = None;
                let path = self.layout().await?.system.clone();
                self.wire.get(&path).await
            }
            outcome => outcome,
        }
    }

    async fn carry_out(&mut self, command: &BmcCommand) -> Outcome<BmcFact> {
        match command {
            BmcCommand::Inspect => self.inspect().await,
            BmcCommand::ReadPower => self.read_power().await,
            BmcCommand::Power { action } => self.change_power(*action).await,
            BmcCommand::SetBoot { target } => self.set_boot(target).await,
            BmcCommand::InsertMedia { url } => self.insert_media(url).await,
            BmcCommand::EjectMedia => self.eject_media().await,
            BmcCommand::Reconnect => self.reconnect().await,
            BmcCommand::ResetBmc => self.reset_bmc().await,
        }
    }

    /// Forgets all, and proves that a new login works.
    async fn reconnect(&mut self) -> Outcome<BmcFact> {
        self.wire.leave().await;
        self.layout = None;
        self.layout().await?;
        Ok(BmcFact::Accepted)
    }
}

impl Bmc for Redfish {
    fn execute<'a>(
        &'a mut self,
        command: &'a BmcCommand,
    ) -> BoxFuture<'a, Result<BmcFact, BmcFailure>> {
        let within = self.wire.limits.of(command);
        let carried_out = async move {
            let outcome = tokio::time::timeout(within, self.carry_out(command)).await;
            let late = || Failure::unreachable(format!("not done within {within:?}"));
            Ok(outcome.unwrap_or_else(|_| Err(late()))?)
        };
        carried_out.boxed()
    }

    fn events(&mut self) -> BoxFuture<'_, Result<Option<EventStream>, BmcFailure>> {
        async move { Ok(self.open_events().await?) }.boxed()
    }

    fn console(&mut self, follow: bool) -> BoxFuture<'_, Result<ByteStream, BmcFailure>> {
        async move { Ok(self.open_console(follow).await?) }.boxed()
    }
}

impl Drop for Redfish {
    fn drop(&mut self) {
        // Without a runtime nobody can be told; the session then runs out by itself.
        if let Ok(runtime) = tokio::runtime::Handle::try_current() {
            let wire = self.wire.clone();
            runtime.spawn(async move { wire.leave().await });
        }
    }
}
