//! Volumes in words: times, limits, places, and the lines that others need to use them.

use model::Bytes;
use model::volume::{Attachment, Backing, DiskProtocol, Limits, PoolMedium};

/// Nanoseconds with three digits or so: `640 ns`, `1.3 µs`, `25 ms`, `2.4 s`.
pub fn nanos(nanos: u64) -> String {
    let (value, unit) = match nanos {
        0..=999 => return format!("{nanos} ns"),
        1_000..=999_949 => (nanos as f64 / 1e3, "µs"),
        999_950..=999_949_999 => (nanos as f64 / 1e6, "ms"),
        _ => (nanos as f64 / 1e9, "s"),
    };
    match value >= 99.95 {
        true => format!("{value:.0} {unit}"),
        false => format!("{value:.1} {unit}"),
    }
}

/// What a volume may use, in a line; nothing when that is everything.
pub fn limits(limits: &Limits) -> String {
    let bytes = |rate: u64| format!("{}/s", Bytes(rate));
    let operations = |rate: u64| format!("{rate} IOPS");
    let rates = [
        limits.iops.map(|rate| with_burst(rate, limits.burst_iops, operations)),
        limits.bandwidth.map(|rate| with_burst(rate, limits.burst_bandwidth, bytes)),
    ];
    let mut text = rates.into_iter().flatten().collect::<Vec<_>>().join(", ");
    if limits.burst_iops.is_some() || limits.burst_bandwidth.is_some() {
        text.push_str(&format!(", bursts up to {} s", limits.saved_seconds()));
    }
    text
}

fn with_burst(rate: u64, burst: Option<u64>, words: impl Fn(u64) -> String) -> String {
    match burst {
        Some(burst) => format!("{} (bursts {})", words(rate), words(burst)),
        None => words(rate),
    }
}

/// Where the data of a volume is.
pub fn backing(backing: &Backing) -> String {
    match backing {
        Backing::Pool { name } => name.clone().unwrap_or_default(),
        Backing::Raw { path } => format!("raw {path}"),
        Backing::Null => "null".to_owned(),
    }
}

/// What a pool lies on.
pub fn medium(medium: &PoolMedium) -> String {
    match medium {
        PoolMedium::File { path } => path.clone(),
        PoolMedium::Memory => "memory".to_owned(),
    }
}

/// How a volume is served.
pub fn protocol(protocol: DiskProtocol) -> &'static str {
    match protocol {
        DiskProtocol::VhostUser => "vhost-user",
        DiskProtocol::Nbd => "NBD",
    }
}

/// The address of what is served by NBD (doc/uri.md of the NBD project).
pub fn uri(attachment: &Attachment) -> String {
    let (name, socket) = (quoted(&attachment.volume), quoted(&attachment.socket));
    format!("nbd+unix:///{name}?socket={socket}")
}

/// Percent-encoded, but for what is allowed in paths and in queries (RFC 3986).
fn quoted(text: &str) -> String {
    let mut out = String::new();
    for byte in text.bytes() {
        match byte {
            b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' => out.push(char::from(byte)),
            b'-' | b'.' | b'_' | b'~' | b'/' | b'@' => out.push(char::from(byte)),
            _ => out.push_str(&format!("%{byte:02X}")),
        }
    }
    out
}

/// The arguments by which QEMU uses a volume that is attached. The service maps the
/// guest's memory, so that must be shared memory, all of it.
pub fn qemu(attachment: &Attachment, queues: u16, memory: Bytes) -> Vec<String> {
    // Ids of QEMU begin with a letter; commas in values are doubled.
    let id = format!("disk-{}", attachment.volume.replace('@', "."));
    let socket = attachment.socket.replace(',', ",,");
    let megabytes = memory.0.div_ceil(1 << 20);
    vec![
        format!("-m {megabytes}M"),
        format!("-object memory-backend-memfd,id=guest-memory,size={megabytes}M,share=on"),
        "-machine memory-backend=guest-memory".to_owned(),
        format!("-chardev socket,id={id},path={socket}"),
        format!("-device vhost-user-blk-pci,chardev={id},num-queues={queues}"),
    ]
}
