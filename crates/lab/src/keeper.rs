//! The keeper: one thread that lives in the rack's network namespace and starts
//! everything that runs there.
//!
//! Children are told to die with their parent (`PR_SET_PDEATHSIG`, by util-linux'
//! `setpriv`, so that no code of ours runs between fork and exec). The kernel means
//! by parent the *thread* that forked: a worker of a runtime may end at any time,
//! this thread ends with the rack. So `kill -9` of the lab leaves no QEMU behind, and
//! dropping a rack ends its machines.

use std::fs::File;
use std::io;
use std::os::fd::AsFd;
use std::process::Stdio;
use std::sync::mpsc;

use rustix::thread::{LinkNameSpaceType, move_into_link_name_space};
use tokio::process::{Child, Command};
use tokio::sync::oneshot;
use world::network::Namespace;
use world::process;

use crate::error::{LabError, system};

type Job = Box<dyn FnOnce() + Send>;

/// Starts programs inside a namespace. Clones are the same keeper; the thread ends
/// with the last of them.
#[derive(Clone)]
pub(crate) struct Keeper {
    jobs: mpsc::Sender<Job>,
}

impl Keeper {
    /// A keeper inside a namespace, or outside of any.
    pub(crate) fn start(namespace: Option<&Namespace>) -> Result<Self, LabError> {
        let handle = match namespace {
            Some(namespace) => Some(
                File::open(namespace.path())
                    .map_err(system(format!("enter the namespace {}", namespace.name())))?,
            ),
            None => None,
        };
        let (jobs, queue) = mpsc::channel::<Job>();
        let (entered, result) = mpsc::channel();
        std::thread::Builder::new()
            .name("lab-keeper".into())
            .spawn(move || {
                let kind = Some(LinkNameSpaceType::Network);
                let moved = handle.map_or(Ok(()), |h| move_into_link_name_space(h.as_fd(), kind));
                let inside = moved.is_ok();
                let _ = entered.send(moved);
                while inside && let Ok(job) = queue.recv() {
                    job();
                }
            })
            .map_err(system("start a thread"))?;
        let gone = || io::Error::other("the thread ended");
        result
            .recv()
            .map_err(|_| gone())
            .and_then(|moved| moved.map_err(io::Error::from))
            .map_err(system("enter the network namespace"))?;
        Ok(Self { jobs })
    }

    /// Runs something on the thread.
    pub(crate) async fn run<T: Send + 'static>(
        &self,
        inside: impl FnOnce() -> io::Result<T> + Send + 'static,
    ) -> io::Result<T> {
        let (sender, receiver) = oneshot::channel();
        let job = Box::new(move || {
            let _ = sender.send(inside());
        });
        let gone = || io::Error::other("the rack is being taken down");
        self.jobs.send(job).map_err(|_| gone())?;
        receiver.await.map_err(|_| gone())?
    }

    /// Starts a program that dies with the rack. Its error output goes to a file.
    pub(crate) async fn spawn(
        &self,
        program: &str,
        arguments: Vec<String>,
        errors: File,
    ) -> Result<Child, LabError> {
        let path = process::command(program)?.as_std().get_program().to_owned();
        let setpriv = process::command("setpriv")?.as_std().get_program().to_owned();
        let runtime = tokio::runtime::Handle::current();
        let start = move || {
            let _runtime = runtime.enter();
            let mut command = Command::new(setpriv);
            command.args(["--pdeathsig", "KILL", "--"]).arg(path).args(arguments);
            command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(errors);
            command.kill_on_drop(true).spawn()
        };
        self.run(start).await.map_err(system(format!("start {program}")))
    }
}
