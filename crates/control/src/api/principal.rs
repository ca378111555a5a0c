//! Who asks, and how that is proven: by a token (people and scripts) or by a
//! client certificate of our CA (roles).
//!
//! A token is compared by its SHA-256 only, with every digest that is kept and
//! each time over its whole length, so that the time taken tells nothing.

use http::HeaderMap;
use http::header::AUTHORIZATION;

use model::id::{MachineId, TokenId};
use model::identity::RoleIdentity;
use model::project::{Role, Token};
use model::{ErrorCode, Problem, Timestamp};

use crate::identity::{Peer, tokens};
use crate::nouns::Nouns;

/// Who asks.
#[derive(Clone, Debug)]
pub enum Principal {
    /// Nobody has said.
    Nobody,
    /// The holder of a token.
    Person(Person),
    /// The agent on a machine.
    Agent(MachineId),
    /// Another control plane. It has no rights at this one.
    Control,
}

/// The holder of a token.
#[derive(Clone, Debug)]
pub struct Person {
    /// Which token.
    pub token: TokenId,
    /// Its name: the actor of whatever is done with it.
    pub name: String,
    /// What it may do.
    pub role: Role,
    /// Where; everywhere when absent.
    pub project: Option<String>,
    /// After this it is refused.
    pub expires: Option<Timestamp>,
}

impl Person {
    fn of(token: &Token) -> Self {
        Self {
            token: token.id,
            name: token.name.clone(),
            role: token.spec.role,
            project: token.spec.project.clone(),
            expires: token.spec.expires,
        }
    }

    /// Whether the token is still good: neither taken back nor expired. Asked again
    /// and again while a stream is open.
    pub fn still_good(&self, nouns: &Nouns, now: Timestamp) -> bool {
        nouns.tokens.get(self.token.uuid()).is_some() && self.expires.is_none_or(|end| now < end)
    }
}

impl Principal {
    /// The name under which what is done is recorded.
    pub fn actor(&self) -> String {
        match self {
            Principal::Nobody => "nobody".to_owned(),
            Principal::Person(person) => person.name.clone(),
            Principal::Agent(machine) => format!("machine:{machine}"),
            Principal::Control => "control".to_owned(),
        }
    }

    /// Who asks, by a token where one is given, by the certificate otherwise.
    /// A token that is not good is refused even when there is a certificate.
    pub fn of_person(
        headers: &HeaderMap,
        peer: Option<&Peer>,
        nouns: &Nouns,
        now: Timestamp,
    ) -> Result<Self, Problem> {
        match bearer(headers)? {
            Some(token) => known(token, nouns, now).map(Principal::Person),
            None => Self::of_role(peer, now),
        }
    }

    /// Who asks, by the certificate alone.
    pub fn of_role(peer: Option<&Peer>, now: Timestamp) -> Result<Self, Problem> {
        let Some(peer) = peer else {
            return Ok(Principal::Nobody);
        };
        if peer.expires <= now {
            let detail = format!("the certificate expired at {}", peer.expires);
            return Err(Problem::new(ErrorCode::Unauthenticated, detail)
                .next("Say hello again: the agent gets a new certificate for the same key."));
        }
        Ok(match peer.identity {
            RoleIdentity::Agent(machine) => Principal::Agent(machine),
            RoleIdentity::Control => Principal::Control,
        })
    }
}

/// The token of a request, if it has one.
fn bearer(headers: &HeaderMap) -> Result<Option<&str>, Problem> {
    let mut values = headers.get_all(AUTHORIZATION).iter();
    let Some(value) = values.next() else {
        return Ok(None);
    };
    let refused = |detail: &str| Err(Problem::new(ErrorCode::Unauthenticated, detail));
    if values.next().is_some() {
        return refused("there is more than one Authorization header");
    }
    let token = value.to_str().ok().and_then(|text| text.split_once(' '));
    match token {
        Some((scheme, token)) if scheme.eq_ignore_ascii_case("bearer") => {
            let token = token.trim();
            match token.len() {
                1..=tokens::LONGEST => Ok(Some(token)),
                _ => refused("the token is empty or far too long"),
            }
        }
        _ => refused("the Authorization header is not `Bearer` and a token"),
    }
}

/// The holder of a token.
fn known(token: &str, nouns: &Nouns, now: Timestamp) -> Result<Person, Problem> {
    let digest = tokens::digest(token);
    let mut found = None;
    for (_, kept) in nouns.tokens.iter() {
        if tokens::same_secret(digest.as_bytes(), kept.status.digest.as_bytes()) {
            found = Some(Person::of(kept));
        }
    }
    let person = found.ok_or_else(|| {
        Problem::new(
            ErrorCode::Unauthenticated,
            "this token is not known: it was taken back, or it is of another Bedplate",
        )
    })?;
    match person.expires {
        Some(end) if end <= now => Err(Problem::new(
            ErrorCode::Unauthenticated,
            format!("the token {} expired at {end}", person.name),
        )),
        _ => Ok(person),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn header(value: &str) -> HeaderMap {
        let mut headers = HeaderMap::new();
        headers.insert(AUTHORIZATION, value.parse().unwrap());
        headers
    }

    #[test]
    fn only_a_bearer_token_is_read() {
        assert_eq!(bearer(&HeaderMap::new()).unwrap(), None);
        assert_eq!(bearer(&header("bearer  bp_1")).unwrap(), Some("bp_1"));
        for value in ["Basic YQ==", "Bearer", "Bearer ", &format!("Bearer {}", "x".repeat(129))] {
            assert!(bearer(&header(value)).is_err(), "{value}");
        }
        let mut two = header("Bearer a");
        two.append(AUTHORIZATION, "Bearer b".parse().unwrap());
        assert!(bearer(&two).is_err());
    }

    #[test]
    fn digests_are_the_same_or_not() {
        assert!(tokens::same_secret(b"abc", b"abc"));
        assert!(!tokens::same_secret(b"abc", b"abd"));
        assert!(!tokens::same_secret(b"abc", b"abcd"));
    }
}
