//! How we are let in: by a session that is made once and used for all requests
//! (DSP0266 section 13.3.4), or by Basic where the BMC has no sessions.

use std::fmt;

use model::bmc::BmcFailureKind;
use reqwest::{Method, RequestBuilder};
use serde_json::json;

use crate::document::ROOT;
use crate::failure::Outcome;
use crate::wire::{Request, Wire};

/// Where sessions are made when the service root does not say.
const SESSIONS: &str = "/redfish/v1/SessionService/Sessions";

/// How we are let in, for now.
#[derive(Default)]
pub(crate) enum Entry {
    /// Not yet.
    #[default]
    Outside,
    /// By a session.
    Session {
        token: String,
        /// Where it is deleted.
        location: Option<String>,
    },
    /// By name and password with every request.
    Basic,
}

impl fmt::Debug for Entry {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Entry::Outside => "Outside",
            Entry::Session { .. } => "Session",
            Entry::Basic => "Basic",
        })
    }
}

impl Entry {
    pub(crate) fn is_session(&self) -> bool {
        matches!(self, Entry::Session { .. })
    }

    pub(crate) fn authorise(&self, builder: RequestBuilder, wire: &Wire) -> RequestBuilder {
        match self {
            Entry::Outside => builder,
            Entry::Session { token, .. } => builder.header("X-Auth-Token", token),
            Entry::Basic => builder.basic_auth(&wire.username, Some(wire.password.expose())),
        }
    }
}

impl Wire {
    /// Enters unless we are inside.
    pub(crate) async fn enter(&self, entry: &mut Entry) -> Outcome<()> {
        if matches!(entry, Entry::Outside) {
            *entry = self.log_in().await?;
        }
        Ok(())
    }

    /// Enters anew after a session has expired.
    pub(crate) async fn enter_anew(&self, entry: &mut Entry) -> Outcome<()> {
        *entry = Entry::Outside;
        self.enter(entry).await
    }

    /// Leaves: the session is deleted, if the BMC still hears us. Sessions are few
    /// (often 8 or 16), and one that is left behind blocks others for half an hour.
    pub(crate) async fn leave(&self) {
        let mut entry = self.entry().await;
        let left = std::mem::take(&mut *entry);
        if let Entry::Session { location: Some(location), .. } = &left {
            let request = Request::new(Method::DELETE, location, None);
            if let Err(failure) = self.bounded(&request, &left).await {
                tracing::debug!(%failure, "the session was not deleted");
            }
        }
    }

    /// Forgets how we are let in, without a word to the BMC.
    pub(crate) async fn forget(&self) {
        *self.entry().await = Entry::Outside;
    }

    async fn log_in(&self) -> Outcome<Entry> {
        let sessions = self.sessions().await?;
        let account = json!({"UserName": self.username, "Password": self.password.expose()});
        let request = Request::new(Method::POST, &sessions, Some(&account));
        let answer = match self.bounded(&request, &Entry::Outside).await {
            Ok(answer) => answer,
            // Never the password again in another form: accounts lock after a few.
            Err(failure) if failure.kind == BmcFailureKind::Unauthorised => return Err(failure),
            Err(failure) if failure.status.is_none() => return Err(failure),
            // No sessions, or no more of them.
            Err(failure) => {
                tracing::debug!(%failure, "no session: going on with Basic");
                return Ok(Entry::Basic);
            }
        };
        let token = answer.headers.get("x-auth-token").and_then(|token| token.to_str().ok());
        Ok(match token {
            Some(token) if !token.is_empty() => Entry::Session {
                token: token.to_owned(),
                location: answer.location().map(str::to_owned).or_else(|| {
                    let id = answer.body.as_ref()?.get("@odata.id")?;
                    id.as_str().map(str::to_owned)
                }),
            },
            _ => Entry::Basic,
        })
    }

    /// Where sessions are made. The service root is open to all, as a rule.
    async fn sessions(&self) -> Outcome<String> {
        match self.get_unauthorised(ROOT).await {
            Ok(root) => Ok(root.link("/Links/Sessions").unwrap_or_else(|| SESSIONS.to_owned())),
            Err(failure) if failure.status.is_some() => Ok(SESSIONS.to_owned()),
            Err(failure) => Err(failure),
        }
    }
}
