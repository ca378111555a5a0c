//! Have the agent write the image to a disk, while it downloads.

use model::agent::{AgentCommand, AgentFact, WriteImage};
use model::effect::Action;
use model::machine::{ReasonCode, SystemPresence};
use world::entropy::new_token;

use super::{Heard, unasked};
use crate::input::Input;
use crate::seed;
use crate::turn::Turn;

/// Makes the seed, with a fresh token for the call home, and asks the agent.
pub fn begin(turn: &mut Turn<'_>) {
    let token = new_token::<24>(turn.around.entropy);
    let settings = turn.around.settings;
    let machine = &turn.machine;
    let wanted = machine.spec.deployment.as_ref().expect("a deployment is what is being done");
    let ready = turn.around.image.filter(|image| image.status.ready);
    let found = ready.and_then(|image| Some((image, image.status.checksum.clone()?)));
    let Some((image, checksum)) = found else {
        let fault = format!("image {} is not there any more, or not ready", wanted.image);
        return turn.give_up(ReasonCode::ImageFailed, fault);
    };
    let order = WriteImage {
        url: format!("{}/v1/agent/images/{}", settings.agent_url, image.id),
        checksum,
        format: image.spec.format,
        compression: image.spec.compression,
        size: image.status.size,
        disk: wanted.disk.clone(),
        grow: true,
        seed: seed::files(machine, wanted, settings, &token),
    };
    let token_digest = digest(&token);
    turn.machine.status.system = Some(SystemPresence { token_digest, ..Default::default() });
    let command = AgentCommand::WriteImage { order: Box::new(order) };
    turn.emit_for_step(Action::Agent { command });
}

/// SHA-256 of a token, hexadecimal: the record keeps no token.
pub fn digest(token: &str) -> String {
    use sha2::Digest as _;
    let digest = sha2::Sha256::digest(token.as_bytes());
    digest.iter().map(|byte| format!("{byte:02x}")).collect()
}

/// Evidence: the image is on disk, and its checksum was the right one.
pub fn done(turn: &mut Turn<'_>, fact: &AgentFact, _: &Input) -> Heard {
    let AgentFact::ImageWritten { disk, written, checksum } = fact else { return unasked(fact) };
    let expected = turn.around.image.and_then(|image| image.status.checksum.as_ref());
    if expected.is_some_and(|expected| expected != checksum) {
        let fault = format!("the agent wrote {checksum}, which is another image");
        return Heard::Failed(ReasonCode::ImageFailed, fault);
    }
    Heard::Done(format!("{written} on {disk}"))
}
