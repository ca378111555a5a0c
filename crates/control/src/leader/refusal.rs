//! What is answered when an ask cannot be recorded. Whoever asks learns whether it
//! was done and what to do; what the store said of paths and addresses is for the
//! log only.

use model::problem::{ErrorCode, Problem};
use record::StoreError;

const AGAIN: &str =
    "Send it again with the same Idempotency-Key: it is done once, whatever happened.";

/// After an error of the store.
pub fn of(error: &StoreError) -> Problem {
    let (code, why) = match error {
        StoreError::Full(_) => {
            let detail = "nothing was done: the disk of the record is full";
            return Problem::new(ErrorCode::StorageFull, detail)
                .next("Free some room for the record; it goes on by itself. Then send it again.");
        }
        StoreError::Fenced { .. } => {
            (ErrorCode::NotLeader, "nothing was done: another control plane has taken over")
        }
        error if error.outcome_unknown() => (
            ErrorCode::Unavailable,
            "whether it was done is not known: the record failed while it was written",
        ),
        _ => (ErrorCode::Unavailable, "nothing was done: the record did not take it"),
    };
    Problem::new(code, why).next(AGAIN)
}

/// While the record cannot be had at all.
pub fn without_record(error: &StoreError) -> Problem {
    match error {
        StoreError::Full(_) => of(error),
        _ => Problem::new(
            ErrorCode::Unavailable,
            "nothing was done: the record cannot be read or written; its log tells why",
        )
        .next("Send it again when it can: the control plane tries each second."),
    }
}

/// Where another leads.
pub fn following() -> Problem {
    Problem::new(
        ErrorCode::NotLeader,
        "nothing was done: this control plane follows another and answers reads only",
    )
    .next("Send it to the one that leads, or again in some seconds, when this one may lead.")
}

/// After a panic in a decision.
pub fn panicked() -> Problem {
    Problem::new(ErrorCode::Internal, "nothing was done: a fault of Bedplate met this request")
        .next("Send the log to whoever maintains Bedplate; others are not affected.")
}

/// When the thread ends before an ask's turn.
pub fn stopping() -> Problem {
    Problem::new(ErrorCode::Unavailable, "nothing was done: the control plane is stopping")
}

/// When an answer was lost with what was under way.
pub fn interrupted() -> Problem {
    Problem::new(
        ErrorCode::Unavailable,
        "whether it was done is not known: the control plane was interrupted",
    )
    .next(AGAIN)
}
