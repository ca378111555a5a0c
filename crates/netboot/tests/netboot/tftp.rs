//! TFTP against curl, which somebody else wrote. Lost packets: `src/tftp/session.rs`.

use std::net::{Ipv4Addr, UdpSocket};
use std::time::Duration;

use model::sighting::Sighting;
use netboot::tftp::packet::Packet;
use proptest::prelude::*;

use crate::fixture::{Folder, Served, TOKEN, have, pattern, serve};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn curl_reads_the_image() {
    if !have(&[("curl", "curl")]) {
        return;
    }
    let folder = Folder::new("tftp");
    // 65,536 blocks of 512 bytes and more: the block number goes round.
    for (length, block_size) in
        [(1, "512"), (1_024, "512"), (40_000_000, "512"), (5_000_001, "1428")]
    {
        let file = pattern(length);
        let served = serve(file.clone());
        let out = folder.join("out");
        let _ = std::fs::remove_file(&out);
        let url = format!("tftp://{}{}", served.tftp, netboot::boot_path(TOKEN));
        let mut curl = tokio::process::Command::new("curl");
        curl.args(["-sS", "--noproxy", "*", "--tftp-blksize", block_size, "-o"]).arg(&out).arg(url);
        assert!(curl.status().await.unwrap().success(), "{length} bytes in {block_size}");
        assert!(std::fs::read(&out).unwrap_or_default() == file);
        stop_and_see_both(served).await;
    }
}

async fn stop_and_see_both(served: Served) {
    let book = served.book.clone();
    let fetched = Sighting::Fetched { token: TOKEN.to_owned() };
    // The last acknowledgement may still be on its way when the client is done.
    for _ in 0..100 {
        if book.seen().contains(&fetched) {
            break;
        }
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    served.running.stop().await;
    assert_eq!(book.seen(), [Sighting::Fetching { token: TOKEN.to_owned() }, fetched]);
}

fn request(file: &str, options: &[(&str, &str)]) -> Vec<u8> {
    let mut packet = vec![0, 1];
    let mut words = vec![file, "octet"];
    words.extend(options.iter().flat_map(|(name, value)| [*name, *value]));
    for word in words {
        packet.extend(word.as_bytes());
        packet.push(0);
    }
    packet
}

fn client(served: &Served) -> UdpSocket {
    let socket = UdpSocket::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
    socket.connect(served.tftp).unwrap();
    socket.set_read_timeout(Some(Duration::from_secs(10))).unwrap();
    socket
}

fn receive(socket: &UdpSocket) -> Vec<u8> {
    let mut buffer = [0; 2_048];
    let length = socket.recv(&mut buffer).unwrap();
    buffer[..length].to_vec()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nothing_else_is_served() {
    let served = serve(pattern(1_000));
    let socket = client(&served);
    for file in ["/etc/passwd", "../../etc/passwd", "boot/unknown/bedplate.efi", ""] {
        socket.send(&request(file, &[])).unwrap();
        assert_eq!(receive(&socket)[..4], [0, 5, 0, 1], "{file}");
    }
    let mut write = request(&netboot::boot_path(TOKEN), &[]);
    write[1] = 2;
    socket.send(&write).unwrap();
    assert_eq!(receive(&socket)[..4], [0, 5, 0, 2]);
    assert_eq!(served.book.seen(), []);
    served.running.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn sessions_are_bounded() {
    let served = serve(pattern(10_000));
    let clients: Vec<UdpSocket> = (0..65).map(|_| client(&served)).collect();
    let mut full = 0;
    for socket in &clients {
        socket.send(&request(&netboot::boot_path(TOKEN), &[])).unwrap();
        if receive(socket)[..4] == [0, 5, 0, 3] {
            full += 1;
        }
    }
    assert_eq!(full, 1);
    served.running.stop().await;
}

proptest! {
    #[test]
    fn no_packet_breaks_the_reader(bytes in proptest::collection::vec(any::<u8>(), 0..600)) {
        let _ = Packet::read(&bytes);
    }

    #[test]
    fn requests_are_read_back(file in "[a-z/]{1,60}", value in 0u32..100_000) {
        let read = Packet::read(&request(&file, &[("BLKSIZE", &value.to_string())]));
        let options = vec![("blksize".to_owned(), value.to_string())];
        prop_assert_eq!(read, Some(Packet::Read { file, options }));
    }
}
