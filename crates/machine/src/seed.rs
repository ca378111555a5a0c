//! The cloud-init seed of a deployment (NoCloud data source): who the system is,
//! whom it lets in, and how it tells us that it runs.

use model::agent::SeedFile;
use model::machine::{Deployment, Machine};

use crate::Settings;

/// The files of the seed. `token` is what the system calls home with, once.
pub fn files(
    machine: &Machine,
    deployment: &Deployment,
    settings: &Settings,
    token: &str,
) -> Vec<SeedFile> {
    let instance = format!("{}-{}", machine.id, machine.status.sequence);
    let meta = format!("instance-id: {instance}\nlocal-hostname: {}\n", deployment.hostname);
    let user = deployment.user_data.clone().unwrap_or_else(|| user_data(deployment));
    let vendor = vendor_data(settings, token);
    [("meta-data", meta), ("user-data", user), ("vendor-data", vendor)]
        .map(|(name, content)| SeedFile { name: name.to_owned(), content })
        .into()
}

fn user_data(deployment: &Deployment) -> String {
    let keys = serde_json::json!({
        "ssh_authorized_keys": deployment.ssh_keys,
        "ssh_pwauth": false,
        "growpart": {"mode": "off"},
        "resize_rootfs": true,
    });
    // JSON is YAML.
    format!("#cloud-config\n{keys}\n")
}

/// In the vendor's part, so that the tenant's own user data stays whole.
fn vendor_data(settings: &Settings, token: &str) -> String {
    let data = serde_json::json!({
        "ca_certs": {"trusted": [settings.ca_pem]},
        "phone_home": {
            "url": format!("{}/v1/systems/{token}/home", settings.agent_url),
            "post": ["pub_key_rsa", "pub_key_ecdsa", "pub_key_ed25519", "instance_id", "hostname"],
            "tries": 20,
        },
    });
    format!("#cloud-config\n{data}\n")
}
