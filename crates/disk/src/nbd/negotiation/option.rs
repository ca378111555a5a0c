//! What each option asks, and how it is answered.

use super::super::export::{Export, MAXIMUM, MAXIMUM_WHOLE, MINIMUM, PREFERRED};
use super::super::wire::{self, CONTEXT, CONTEXT_NUMBER, answer, info, option, transmission};
use super::{Negotiation, Progress, TlsMode};

/// Longest name, in bytes.
const LONGEST_NAME: usize = 4096;
/// Most exports that are listed.
const MOST_LISTED: usize = 4096;

/// Takes an option's data apart. `None` when there is not enough of it.
struct Data<'a>(&'a [u8]);

impl<'a> Data<'a> {
    fn bytes(&mut self, count: usize) -> Option<&'a [u8]> {
        let (here, rest) = self.0.split_at_checked(count)?;
        self.0 = rest;
        Some(here)
    }
    fn u16(&mut self) -> Option<u16> {
        Some(u16::from_be_bytes(self.bytes(2)?.try_into().ok()?))
    }
    fn u32(&mut self) -> Option<u32> {
        Some(u32::from_be_bytes(self.bytes(4)?.try_into().ok()?))
    }
    /// A string that its length stands before.
    fn string(&mut self) -> Option<&'a str> {
        let length = self.u32()? as usize;
        if length > LONGEST_NAME {
            return None;
        }
        std::str::from_utf8(self.bytes(length)?).ok()
    }
}

/// INFO and GO: the export's name, and the kinds of information that are wanted.
fn parse_info(data: &[u8]) -> Option<(&str, Vec<u16>)> {
    let mut data = Data(data);
    let name = data.string()?;
    let count = data.u16()?;
    if data.0.len() != usize::from(count) * 2 {
        return None;
    }
    let wanted = (0..count).map_while(|_| data.u16()).collect();
    Some((name, wanted))
}

/// The options about contexts: the export's name, and what is asked for.
fn parse_contexts(data: &[u8]) -> Option<(&str, Vec<&str>)> {
    let mut data = Data(data);
    let name = data.string()?;
    let count = data.u32()?;
    let mut queries = Vec::new();
    for _ in 0..count {
        queries.push(data.string()?);
    }
    data.0.is_empty().then_some((name, queries))
}

impl Negotiation {
    /// Handles one option.
    pub(super) fn handle(&mut self, option: u32, data: &[u8]) {
        let locked = self.mode == TlsMode::Required && !self.tls;
        match option {
            option::ABORT => {
                self.answer(option, answer::ACK, &[]);
                self.progress = Progress::Ended("the client ended the negotiation");
            }
            option::STARTTLS => self.start_tls(data),
            option::EXPORT_NAME if locked => {
                self.progress =
                    Progress::Ended("the client did not ask for TLS, which is required");
            }
            _ if locked => self.refuse(option, answer::TLS_REQUIRED, "ask for TLS first"),
            option::EXPORT_NAME => self.export_name(data),
            option::LIST => self.list(data),
            option::INFO | option::GO => self.info(option, data),
            option::STRUCTURED_REPLY if !data.is_empty() => {
                self.refuse(option, answer::INVALID, "this option has no data");
            }
            option::STRUCTURED_REPLY => {
                self.structured = true;
                self.answer(option, answer::ACK, &[]);
            }
            option::LIST_META_CONTEXT | option::SET_META_CONTEXT => self.contexts(option, data),
            _ => self.refuse(option, answer::UNSUPPORTED, "this option is not supported"),
        }
    }

    fn start_tls(&mut self, data: &[u8]) {
        let option = option::STARTTLS;
        if !data.is_empty() || self.tls {
            return self.refuse(option, answer::INVALID, "TLS is on, or the option has data");
        }
        if self.mode == TlsMode::Off {
            return self.refuse(option, answer::POLICY, "the server has no certificate");
        }
        if !self.input.is_empty() {
            // What follows in the clear must not be taken for something encrypted.
            self.progress = Progress::Ended("the client did not wait for TLS to begin");
            return;
        }
        self.answer(option, answer::ACK, &[]);
        self.progress = Progress::StartTls;
    }

    fn export_name(&mut self, data: &[u8]) {
        let name = std::str::from_utf8(data).ok().filter(|name| name.len() <= LONGEST_NAME);
        let found = name.and_then(|name| Some((name, self.exports.find(name)?)));
        let Some((name, export)) = found else {
            self.progress = Progress::Ended("the client asked for an export that does not exist");
            return;
        };
        self.output.extend(export.size.to_be_bytes());
        self.output.extend(self.transmission_flags(&export).to_be_bytes());
        if !self.no_zeroes {
            self.output.extend([0; 124]);
        }
        self.agree(name, export);
    }

    fn list(&mut self, data: &[u8]) {
        if !data.is_empty() {
            return self.refuse(option::LIST, answer::INVALID, "this option has no data");
        }
        for export in self.exports.list().into_iter().take(MOST_LISTED) {
            let mut entry = (export.name.len() as u32).to_be_bytes().to_vec();
            entry.extend(export.name.bytes());
            entry.extend(export.description.bytes());
            self.answer(option::LIST, answer::SERVER, &entry);
        }
        self.answer(option::LIST, answer::ACK, &[]);
    }

    fn info(&mut self, option: u32, data: &[u8]) {
        let Some((name, wanted)) = parse_info(data) else {
            return self.refuse(option, answer::INVALID, "the option's data is malformed");
        };
        let Some(export) = self.exports.find(name) else {
            return self.refuse(option, answer::UNKNOWN, "there is no export of this name");
        };
        self.inform(
            option,
            info::EXPORT,
            |reply, flags| {
                reply.extend(export.size.to_be_bytes());
                reply.extend(flags.to_be_bytes());
            },
            self.transmission_flags(&export),
        );
        let longest = if self.structured { MAXIMUM } else { MAXIMUM_WHOLE };
        self.inform(
            option,
            info::BLOCK_SIZE,
            |reply, longest| {
                for size in [MINIMUM, PREFERRED, longest] {
                    reply.extend(size.to_be_bytes());
                }
            },
            longest,
        );
        for (kind, text) in [(info::NAME, &export.name), (info::DESCRIPTION, &export.description)] {
            if wanted.contains(&kind) && !text.is_empty() {
                self.inform(option, kind, |reply, text| reply.extend(text.bytes()), text);
            }
        }
        self.answer(option, answer::ACK, &[]);
        if option == option::GO {
            self.agree(name, export);
        }
    }

    fn inform<T>(&mut self, option: u32, kind: u16, fill: impl FnOnce(&mut Vec<u8>, T), what: T) {
        let mut reply = kind.to_be_bytes().to_vec();
        fill(&mut reply, what);
        self.answer(option, answer::INFO, &reply);
    }

    /// Lists or selects what a block status may tell. There is one thing.
    fn contexts(&mut self, option: u32, data: &[u8]) {
        let select = option == option::SET_META_CONTEXT;
        if select {
            self.status_of = None;
        }
        if !self.structured {
            return self.refuse(option, answer::INVALID, "ask for structured replies first");
        }
        let Some((name, queries)) = parse_contexts(data) else {
            return self.refuse(option, answer::INVALID, "the option's data is malformed");
        };
        if self.exports.find(name).is_none() {
            return self.refuse(option, answer::UNKNOWN, "there is no export of this name");
        }
        let all = !select && (queries.is_empty() || queries.contains(&"base:"));
        if all || queries.contains(&CONTEXT) {
            let number = if select { CONTEXT_NUMBER } else { 0 };
            let mut reply = number.to_be_bytes().to_vec();
            reply.extend(CONTEXT.bytes());
            self.answer(option, answer::META_CONTEXT, &reply);
            if select {
                self.status_of = Some(name.to_owned());
            }
        }
        self.answer(option, answer::ACK, &[]);
    }

    fn transmission_flags(&self, export: &Export) -> u16 {
        use transmission::{DF, FLUSH, FUA, HAS_FLAGS, MULTI_CONN, READ_ONLY, TRIM, WRITE_ZEROES};
        let writes = if export.read_only { READ_ONLY } else { TRIM | WRITE_ZEROES };
        let df = if self.structured { DF } else { 0 };
        HAS_FLAGS | FLUSH | FUA | MULTI_CONN | writes | df
    }

    fn refuse(&mut self, option: u32, error: u32, why: &str) {
        self.answer(option, error, why.as_bytes());
    }

    fn answer(&mut self, option: u32, kind: u32, data: &[u8]) {
        self.output.extend(wire::OPTION_REPLY.to_be_bytes());
        self.output.extend(option.to_be_bytes());
        self.output.extend(kind.to_be_bytes());
        self.output.extend((data.len() as u32).to_be_bytes());
        self.output.extend(data);
    }
}
