//! Protocol features that are offered to VMMs, and which requests are questions.

use vhost::vhost_user::VhostUserProtocolFeatures as Protocol;
use vhost::vhost_user::message::FrontendReq as Request;

/// Requests can be acknowledged.
pub(super) const REPLY_ACK: u64 = Protocol::REPLY_ACK.bits();

/// What is offered.
pub(super) const OFFERED: u64 = Protocol::MQ.bits()
    | REPLY_ACK
    | Protocol::BACKEND_REQ.bits()
    | Protocol::CONFIG.bits()
    | Protocol::INFLIGHT_SHMFD.bits()
    | Protocol::RESET_DEVICE.bits()
    | Protocol::CONFIGURE_MEM_SLOTS.bits();

/// Whether a request has an answer of its own. When there is none, the VMM cannot be
/// told, and the connection ends.
pub(super) fn is_question(request: u32) -> bool {
    [
        Request::GET_FEATURES,
        Request::GET_VRING_BASE,
        Request::GET_PROTOCOL_FEATURES,
        Request::GET_QUEUE_NUM,
        Request::GET_CONFIG,
        Request::GET_INFLIGHT_FD,
        Request::GET_MAX_MEM_SLOTS,
    ]
    .iter()
    .any(|question| *question as u32 == request)
}
