//! `bedplate volume attach`: serve a volume to a virtual machine.

use std::path::PathBuf;

use clap::Args;
use model::Bytes;
use model::volume::{Attachment, DiskOrder};

use super::{service, words};
use crate::Failure;
use crate::session::Session;

/// Which, and how.
#[derive(Args, Debug)]
#[command(
    after_help = "Prints the arguments by which QEMU uses it, so this starts a machine with the volume as its disk:\n  qemu-system-x86_64 -enable-kvm $(bedplate volume attach data --memory 4G)\nOne virtual machine at a time has a volume.\n\nExamples:\n  bedplate volume attach data\n  bedplate volume attach data --socket /run/data.sock --queues 8 --memory 16G"
)]
pub struct Arguments {
    /// Which volume
    volume: String,
    /// The path of the socket [default: VOLUME.vhost in the service's directory]
    #[arg(long)]
    socket: Option<PathBuf>,
    /// How many queues are offered; one for each virtual processor is best
    #[arg(long, value_name = "N", default_value_t = 4, value_parser = clap::value_parser!(u16).range(1..=64))]
    queues: u16,
    /// No writes
    #[arg(long)]
    read_only: bool,
    /// Memory of the virtual machine, in the arguments that are printed
    #[arg(long, value_name = "SIZE", default_value = "4G")]
    memory: Bytes,
}

/// Serves it.
pub async fn run(session: &Session, arguments: Arguments) -> Result<(), Failure> {
    let Arguments { volume, queues, read_only, memory, .. } = arguments;
    let socket = arguments.socket.as_deref().map(service::absolute).transpose()?;
    let asked = DiskOrder::Attach { volume, socket, queues: Some(queues), read_only };
    let attachment: Attachment = service::order(session, asked).await?;
    if !session.json {
        let (name, socket) = (&attachment.volume, &attachment.socket);
        session.say(&format!("{name} waits for a virtual machine at {socket}; its arguments:"))?;
    }
    session.show(&attachment, |it| format!("{}\n", words::qemu(it, queues, memory).join("\n")))
}
