//! HTTP/1.1 for a server (RFC 9110, RFC 9112), without sockets: bytes in, heads and
//! content out, and heads of replies written into buffers.
//!
//! All of it is strict. Two parties that read the same bytes differently are how
//! requests get smuggled, so whatever could be read in two ways is refused, and the
//! connection with it.

pub mod chunked;
pub mod content;
pub mod date;
pub mod head;
pub mod reply;

pub use content::{Content, Progress};
pub use date::HttpDate;
pub use head::{Broken, Limits, Manner, read_head};
pub use reply::{Closing, write_end, write_field, write_fields, write_head, write_stored};
