//! `bedplate pool create`: a pool in a file, on a device, or in memory.

use std::path::PathBuf;

use clap::{ArgGroup, Args};
use model::Bytes;
use model::volume::{DiskOrder, Pool, PoolMedium, PoolSpec};

use crate::Failure;
use crate::session::Session;
use crate::volume::{service, words};

/// What to make.
#[derive(Args, Debug)]
#[command(
    group = ArgGroup::new("medium").required(true).args(["file", "memory"]),
    after_help = "A file or device that holds a pool already is opened as it is; one that holds anything else is\nrefused, never formatted.\n\nExamples:\n  bedplate pool create fast --file /srv/fast.img --size 100G\n  bedplate pool create nvme --file /dev/nvme0n1\n  bedplate pool create trial --memory --size 1G"
)]
pub struct Arguments {
    /// Its name
    name: String,
    /// File or device that it lies on
    #[arg(long, value_name = "PATH")]
    file: Option<PathBuf>,
    /// In memory: it is lost when the service ends
    #[arg(long, requires = "size")]
    memory: bool,
    /// Its size; needed for a file that is not there yet, and in memory
    #[arg(long)]
    size: Option<Bytes>,
}

/// Makes it.
pub async fn run(session: &Session, arguments: Arguments) -> Result<(), Failure> {
    let Arguments { name, file, size, .. } = arguments;
    let medium = match file {
        Some(path) => PoolMedium::File { path: service::absolute(&path)? },
        None => PoolMedium::Memory,
    };
    let asked = DiskOrder::PoolCreate(PoolSpec { name, medium, size });
    let pool: Pool = service::order(session, asked).await?;
    session.show(&pool, |pool| {
        let place = words::medium(&pool.medium);
        format!("pool {} is open: {place}, {} of {} free\n", pool.name, pool.free, pool.size)
    })
}
