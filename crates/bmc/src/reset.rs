//! Restarting the BMC itself (DSP0268, Manager.Reset). The machine goes on.

use model::bmc::BmcFact;
use serde_json::json;

use crate::failure::{Failure, Outcome};
use crate::redfish::Redfish;

const RESTARTS: [&str; 2] = ["GracefulRestart", "ForceRestart"];

impl Redfish {
    pub(crate) async fn reset_bmc(&mut self) -> Outcome<BmcFact> {
        let manager = self.layout().await?.manager.clone();
        let manager = manager.ok_or_else(|| Failure::unsupported("this BMC has no Manager"))?;
        let manager = self.wire.get(&manager).await?;
        let mut reset = manager
            .action("#Manager.Reset", "ResetType")
            .ok_or_else(|| Failure::unsupported(format!("{} cannot be reset", manager.path)))?;
        if let (true, Some(info)) = (reset.allowable.is_empty(), &reset.info)
            && let Ok(info) = self.wire.get(info).await
        {
            reset.allowable = info.parameter_values("ResetType");
        }
        let allowed = |word: &&str| reset.allowable.iter().any(|a| a == word);
        let mut words: Vec<&str> = RESTARTS.into_iter().filter(allowed).collect();
        if words.is_empty() {
            words = RESTARTS.to_vec();
        }
        let mut outcome = Ok(());
        for word in words {
            // No task is followed: the BMC is gone before it could tell.
            let answer = self.wire.post(&reset.target, &json!({"ResetType": word})).await;
            outcome = answer.map(|_| ());
            if !outcome.as_ref().is_err_and(Failure::is_about_the_request) {
                break;
            }
        }
        outcome?;
        // Whatever we knew is of the BMC before its restart. The session dies with
        // it; deleting it now would only meet a BMC on its way down.
        self.wire.forget().await;
        self.layout = None;
        Ok(BmcFact::Accepted)
    }
}
