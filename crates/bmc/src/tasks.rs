//! Replies that only promise: 202 with a task monitor (DSP0266 section 12.2) is
//! followed until the task has ended. The deadline is the command's.

use std::time::Duration;

use reqwest::Method;
use serde_json::Value;

use crate::failure::{Failure, Outcome, TEXT_MOST, clean};
use crate::wire::{Answer, Request, Wire};

/// The longest wait between two looks, whatever the BMC asks for.
const LONGEST_WAIT: Duration = Duration::from_secs(10);

/// What a look at a task says.
enum Progress {
    Running,
    Done,
    Failed(String),
}

impl Wire {
    /// Changes properties and waits for the task, if it becomes one.
    pub(crate) async fn patch_through(
        &self,
        path: &str,
        etag: Option<&str>,
        body: &Value,
    ) -> Outcome<()> {
        let answer = self.patch(path, etag, body).await?;
        self.follow(answer).await
    }

    /// Calls an action and waits for the task, if it becomes one.
    pub(crate) async fn post_through(&self, path: &str, body: &Value) -> Outcome<()> {
        let answer = self.post(path, body).await?;
        self.follow(answer).await
    }

    async fn follow(&self, mut answer: Answer) -> Outcome<()> {
        if answer.status != 202 {
            return Ok(());
        }
        // A 202 that names no task is a change that is staged for the next start.
        let Some(monitor) = monitor(&answer) else { return Ok(()) };
        loop {
            let wait = answer.retry_after().map_or(self.limits.look, Duration::from_secs);
            tokio::time::sleep(wait.min(LONGEST_WAIT)).await;
            let request = Request::new(Method::GET, &monitor, None);
            answer = match self.exchange(&request).await {
                Ok(answer) => answer,
                // The monitor goes away with the task; what it did is read back.
                Err(failure) if failure.is_gone() => return Ok(()),
                Err(failure) => return Err(failure),
            };
            match progress(&answer) {
                Progress::Running => {}
                Progress::Done => return Ok(()),
                Progress::Failed(why) => return Err(Failure::refused(why)),
            }
        }
    }
}

/// Where the task is watched.
fn monitor(answer: &Answer) -> Option<String> {
    let in_body = |name: &str| answer.body.as_ref()?.get(name)?.as_str();
    answer
        .location()
        .or_else(|| in_body("TaskMonitor"))
        .or_else(|| in_body("@odata.id"))
        .map(str::to_owned)
}

fn progress(answer: &Answer) -> Progress {
    let state = answer.body.as_ref().and_then(|task| task.get("TaskState")?.as_str());
    match state {
        Some("Exception" | "Killed" | "Cancelled" | "Interrupted") => {
            Progress::Failed(failed(answer.body.as_ref()))
        }
        Some("Completed") => Progress::Done,
        Some(_) => Progress::Running,
        None if answer.status == 202 => Progress::Running,
        None => Progress::Done,
    }
}

fn failed(task: Option<&Value>) -> String {
    let messages = task.and_then(|task| task.get("Messages")?.as_array());
    let said = messages
        .into_iter()
        .flatten()
        .take(3)
        .filter_map(|message| message.get("Message")?.as_str())
        .collect::<Vec<_>>()
        .join("; ");
    match clean(&said, TEXT_MOST) {
        said if said.is_empty() => "the BMC's task failed without a reason".to_owned(),
        said => format!("the BMC's task failed: {said}"),
    }
}
