//! `bedplate bucket quota`: how many bytes a bucket may hold. S3 has no such thing, so the
//! gateway is asked at its socket.

use clap::Args;
use model::Bytes;
use model::gateway::{GatewayBucket, GatewayOrder};

use crate::Failure;
use crate::gateway::reach::Reach;
use crate::gateway::service;
use crate::session::Session;

/// What to say.
#[derive(Args, Debug)]
#[command(
    after_help = "It counts all versions. A write that would be more is refused: QuotaExceeded. Quotas of projects:\nbedplate gateway project quota.\n\nExamples:\n  bedplate bucket quota data\n  bedplate bucket quota data --bytes 500G\n  bedplate bucket quota data --none"
)]
pub struct Arguments {
    /// Which bucket
    bucket: String,
    /// The most bytes
    #[arg(long, value_name = "SIZE", conflicts_with = "none")]
    bytes: Option<Bytes>,
    /// No limit
    #[arg(long)]
    none: bool,
}

/// Shows or changes it.
pub async fn run(session: &Session, reach: &Reach, arguments: Arguments) -> Result<(), Failure> {
    let Arguments { bucket, bytes, none } = arguments;
    if reach.endpoint.is_some() {
        return Err(Failure::usage("Quotas are said on the gateway's own host")
            .next("Leave --endpoint out; --gateway says its directory."));
    }
    let order = match none || bytes.is_some() {
        true => GatewayOrder::BucketQuota { bucket, bytes },
        false => GatewayOrder::Bucket { bucket },
    };
    let told: GatewayBucket = service::at(reach.directory(&session.directory()), order).await?;
    session.show(&told, |it| {
        let most = it.bytes_quota.map_or("no limit".to_owned(), |most| format!("at most {most}"));
        format!("{} holds {} in {} objects; {most}\n", it.bucket, it.bytes, it.objects)
    })
}
