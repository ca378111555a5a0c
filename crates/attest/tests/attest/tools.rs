//! tpm2-tools, an implementation by others, on both ends: it judges our quotes, and
//! we judge its.

use std::process::Command;

use attest::{Question, Rules, binding, judge};
use model::agent::Quote;
use model::attestation::Finding;

use crate::evidence::{BOOT, CSR, NONCE, NOW, boot, learning};
use crate::round_trip::counting;
use crate::swtpm::{SwTpm, installed, run};

/// A tool that talks to this TPM, in its folder.
fn tool(swtpm: &SwTpm, name: &str, arguments: &[&str]) -> Result<String, String> {
    run(Command::new(name)
        .current_dir(swtpm.folder.path(""))
        .env("TPM2TOOLS_TCTI", swtpm.tcti())
        .args(arguments))
}

/// A tool that must succeed, and gives back the slots that it took.
fn must(swtpm: &SwTpm, name: &str, arguments: &[&str]) -> String {
    let said = tool(swtpm, name, arguments).expect("the tool succeeds");
    tool(swtpm, "tpm2_flushcontext", &["-t"]).expect("slots are given back");
    tool(swtpm, "tpm2_flushcontext", &["-l"]).expect("sessions are given back");
    said
}

fn sized(bytes: &[u8]) -> Vec<u8> {
    let length = u16::try_from(bytes.len()).expect("short").to_be_bytes();
    [&length, bytes].concat()
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

const TOOLS: &[(&str, &str)] = &[("tpm2_checkquote", "tpm2-tools"), ("tpm2_quote", "tpm2-tools")];

#[test]
fn tpm2_checkquote_accepts_our_quote() {
    if !installed(TOOLS) {
        return;
    }
    let Some(swtpm) = SwTpm::bare() else { return };
    boot(&swtpm, BOOT);
    let mut tpm = swtpm.open();
    let keys = tpm.keys().expect("keys");
    let binding = binding(NONCE, CSR);
    let pcrs = [0, 2, 4, 7, 11, 12];
    let quote = tpm.quote(&binding, &pcrs, BOOT.to_vec()).expect("a quote");
    drop(tpm);

    let folder = &swtpm.folder;
    folder.write("ak.pub", &sized(keys.attestation.as_ref()));
    folder.write("quote.msg", quote.attest.as_ref());
    folder.write("quote.sig", quote.signature.as_ref());
    let values: Vec<u8> = quote.pcrs.iter().flat_map(|(_, value)| value.0.clone()).collect();
    folder.write("quote.pcrs", &values);
    let check = |nonce: &[u8]| {
        let files = ["-u", "ak.pub", "-m", "quote.msg", "-s", "quote.sig", "-f", "quote.pcrs"];
        let nonce = hex(nonce);
        let rest = ["-F", "values", "-l", "sha256:0,2,4,7,11,12", "-g", "sha256", "-q", &nonce];
        tool(&swtpm, "tpm2_checkquote", &[&files[..], &rest[..]].concat())
    };
    check(&binding).expect("tpm2_checkquote accepts our quote");
    check(&[0; 32]).expect_err("and refuses it for another nonce");
    folder.write("quote.pcrs", &vec![0; values.len()]);
    check(&binding).expect_err("and for other PCR values");
}

#[test]
fn a_quote_of_tpm2_quote_is_accepted() {
    if !installed(TOOLS) {
        return;
    }
    for (kind, scheme) in [("ecc", "ecdsa"), ("rsa", "rsassa")] {
        let Some(swtpm) = SwTpm::bare() else { return };
        boot(&swtpm, BOOT);
        must(&swtpm, "tpm2_createek", &["-c", "ek.ctx", "-G", "rsa", "-u", "ek.pub"]);
        let key = ["-C", "ek.ctx", "-c", "ak.ctx", "-G", kind, "-g", "sha256", "-s", scheme];
        must(&swtpm, "tpm2_createak", &[&key[..], &["-u", "ak.pub", "-n", "ak.name"]].concat());
        let nonce = hex(&binding(NONCE, CSR));
        let quote = ["-c", "ak.ctx", "-l", "sha256:0,7,11", "-g", "sha256", "-q", &nonce];
        must(&swtpm, "tpm2_quote", &[&quote[..], &["-m", "quote.msg", "-s", "quote.sig"]].concat());
        must(&swtpm, "tpm2_pcrread", &["sha256:0,7,11", "-o", "quote.pcrs"]);

        let folder = &swtpm.folder;
        let values = folder.read("quote.pcrs");
        assert_eq!(values.len(), 3 * 32);
        let pcrs = [0, 7, 11];
        let values = pcrs.into_iter().zip(values.chunks(32).map(|value| value.to_vec().into()));
        let quote = Quote {
            attest: folder.read("quote.msg").into(),
            signature: folder.read("quote.sig").into(),
            pcrs: values.collect(),
            event_log: BOOT.to_vec().into(),
        };
        // TPM2B_PUBLIC without its length.
        let attestation = &folder.read("ak.pub")[2..];
        let question = Question { attestation, nonce: NONCE, csr: CSR, pcrs: &pcrs };
        let rules = Rules { name: "default", generation: 1, spec: &learning() };
        assert_eq!(judge(&quote, &question, &rules, NOW).finding, Finding::Learning, "{kind}");
    }
}

#[test]
fn a_credential_of_tpm2_makecredential_is_opened() {
    if !installed(TOOLS) {
        return;
    }
    let Some(swtpm) = SwTpm::bare() else { return };
    let keys = swtpm.open().keys().expect("keys");
    let folder = &swtpm.folder;
    folder.write("ek.pub", &sized(keys.endorsement.as_ref()));
    folder.write("secret", b"a secret of thirty-two bytes ...");
    let digest = ring::digest::digest(&ring::digest::SHA256, keys.attestation.as_ref());
    let name = format!("000b{}", hex(digest.as_ref()));
    run(Command::new("tpm2_makecredential").current_dir(folder.path("")).args([
        "-T",
        "none",
        "-u",
        "ek.pub",
        "-s",
        "secret",
        "-n",
        &name,
        "-o",
        "credential",
    ]))
    .expect("tpm2_makecredential makes one");
    // Magic and version, then TPM2B_ID_OBJECT and TPM2B_ENCRYPTED_SECRET.
    let made = folder.read("credential");
    let length = 2 + usize::from(u16::from_be_bytes([made[8], made[9]]));
    let (blob, secret) = made[8..].split_at(length);
    let credential =
        model::agent::Credential { blob: blob.to_vec().into(), secret: secret.to_vec().into() };
    let opened = swtpm.open().activate(&credential).expect("it opens");
    assert_eq!(opened.as_slice(), b"a secret of thirty-two bytes ...");
}

#[test]
fn our_credential_is_opened_by_tpm2_activatecredential() {
    if !installed(TOOLS) {
        return;
    }
    let Some(swtpm) = SwTpm::bare() else { return };
    must(&swtpm, "tpm2_createek", &["-c", "ek.ctx", "-G", "rsa", "-u", "ek.pub"]);
    let key = ["-C", "ek.ctx", "-c", "ak.ctx", "-G", "ecc", "-g", "sha256", "-s", "ecdsa"];
    must(&swtpm, "tpm2_createak", &[&key[..], &["-u", "ak.pub", "-n", "ak.name"]].concat());
    let folder = &swtpm.folder;
    let (endorsement, attestation) = (folder.read("ek.pub"), folder.read("ak.pub"));
    let secret = [5; 32];
    let credential =
        attest::make_credential(&endorsement[2..], &attestation[2..], &secret, &mut counting())
            .expect("keys of tpm2-tools are of the same templates");
    let head = [0xba, 0xdc, 0xc0, 0xde, 0, 0, 0, 1];
    folder.write(
        "credential",
        &[&head, credential.blob.as_ref(), credential.secret.as_ref()].concat(),
    );
    let talk = |name: &str, arguments: &[&str]| tool(&swtpm, name, arguments).expect("it succeeds");
    talk("tpm2_startauthsession", &["--policy-session", "-S", "session.ctx"]);
    talk("tpm2_policysecret", &["-S", "session.ctx", "-c", "e"]);
    let keys = ["-c", "ak.ctx", "-C", "ek.ctx", "-i", "credential", "-o", "opened"];
    talk("tpm2_activatecredential", &[&keys[..], &["-P", "session:session.ctx"]].concat());
    assert_eq!(folder.read("opened"), secret);
}
