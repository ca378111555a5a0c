//! The virtual drive and the secure-boot keys, judged by OVMF: a boot loader signed by
//! our key starts from an image that the BMC fetched on the machine's own wire.

use std::path::{Path, PathBuf};

use axum::Router;
use axum::routing::get;
use bedplate_lab::Rack;
use model::Duration;
use serde_json::json;
use world::network::{Namespace, listen};
use world::process::run;

use crate::client::Client;
use crate::machines::{Site, await_text, skipped};

const LOADER: &str = "/usr/lib/systemd/boot/efi/systemd-bootx64.efi";
const LIMIT: Duration = Duration::from_secs(60);

/// Whether what makes the image is missing.
fn tools_missing() -> bool {
    let tools = [("openssl", "openssl"), ("sbsign", "sbsigntool"), ("mformat", "mtools")];
    let absent = tools.iter().find(|(tool, _)| world::process::find(tool).is_none());
    if let Some((tool, package)) = absent {
        println!("skipped: {tool} is not installed (apt-get install {package})");
    } else if !Path::new(LOADER).exists() {
        println!("skipped: systemd-boot is not installed (apt-get install systemd-boot-efi)");
    }
    absent.is_some() || !Path::new(LOADER).exists()
}

/// A FAT image with a signed boot loader, and the certificate that vouches for it.
async fn image(dir: &Path) -> (PathBuf, PathBuf) {
    let path = |name: &str| dir.join(name).to_str().unwrap().to_owned();
    let (key, certificate, image) = (path("db.key"), path("db.pem"), path("boot.img"));
    let request =
        ["req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2", "-subj", "/CN=lab"];
    let request = request.into_iter().chain(["-keyout", &key, "-out", &certificate]);
    run("openssl", request, LIMIT).await.unwrap();
    let signed = path("signed.efi");
    let sign = ["--key", &key, "--cert", &certificate, "--output", &signed, LOADER];
    run("sbsign", sign, LIMIT).await.unwrap();
    std::fs::File::create(&image).unwrap().set_len(33 << 20).unwrap();
    run("mformat", ["-i", &image, "-F", "::"], LIMIT).await.unwrap();
    run("mmd", ["-i", &image, "::EFI", "::EFI/BOOT"], LIMIT).await.unwrap();
    run("mcopy", ["-i", &image, &signed, "::EFI/BOOT/BOOTX64.EFI"], LIMIT).await.unwrap();
    (image.into(), certificate.into())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_signed_image_in_the_virtual_drive_boots() {
    if skipped() || tools_missing() {
        return;
    }
    let site = Site::new("lab-media-boot");
    let (image, certificate) = image(site.dir()).await;
    let mut spec = site.spec("media", 1);
    spec.trust = Some(certificate);
    let namespace = Namespace::named(spec.network.namespace.clone());
    let rack = Rack::up(spec, |_| ()).await.unwrap();
    let server = listen(Some(&namespace), "10.77.0.1:80".parse().unwrap()).unwrap();
    let server = tokio::net::TcpListener::from_std(server).unwrap();
    let bytes = bytes::Bytes::from(std::fs::read(image).unwrap());
    let images = Router::new().route("/boot.img", get(async move || bytes));
    tokio::spawn(async move { axum::serve(server, images).await });
    let machine = rack.machines().remove(0);
    let client = Client::of(&machine);
    let insert = "/redfish/v1/Managers/1/VirtualMedia/Cd/Actions/VirtualMedia.InsertMedia";
    let inserted = client.post(insert, json!({"Image": "http://10.77.0.1/boot.img"})).await;
    assert_eq!(inserted.status(), 204);
    let boot =
        json!({"Boot": {"BootSourceOverrideEnabled": "Once", "BootSourceOverrideTarget": "Cd"}});
    assert_eq!(client.patch("/redfish/v1/Systems/1", boot).await.status(), 200);
    client.reset("On").await;
    await_text(&rack, &machine.name, "starting Boot0BED \"Bedplate: Virtual media\"").await;
    // Out and in again while the machine runs.
    let eject = "/redfish/v1/Managers/1/VirtualMedia/Cd/Actions/VirtualMedia.EjectMedia";
    let ejected = client.post(eject, json!({})).await;
    assert_eq!(ejected.status(), 204, "{}", ejected.text().await.unwrap());
    let inserted = client.post(insert, json!({"Image": "http://10.77.0.1/boot.img"})).await;
    assert_eq!(inserted.status(), 204);
    rack.down().await.unwrap();
}
