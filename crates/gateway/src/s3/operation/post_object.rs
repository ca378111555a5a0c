//! PostObject: a new version from a form that a browser sends.

use std::sync::Arc;

use object::Key;
use object::condition::Conditions;
use object::entry::Tag;
use object::mutation::{Mutation, Put};

use super::put_object::told;
use crate::checksum::Expected;
use crate::s3::ask::{Ask, Shared, commit};
use crate::s3::auth::{self, Event, FormParser, Payload, Trailers, Upload};
use crate::s3::body::Sink;
use crate::s3::draft::Draft;
use crate::s3::error::{Code, Failure, Outcome};
use crate::s3::fields::{Fields, escape};
use crate::s3::header::etag;
use crate::s3::xml::{self, Xml};
use crate::s3::{permit, tags};
use crate::step::{Answer, Receive, Step};

/// Carries it out.
pub fn run(ask: &Shared) -> Outcome<Step> {
    ask.bucket(&ask.gate.store.snapshot())?;
    let form = ask.form.lock().unwrap_or_else(std::sync::PoisonError::into_inner).take();
    let form = form.ok_or(Code::MalformedPOSTRequest)?;
    Ok(Step::Receive(Box::new(Form { ask: Arc::clone(ask), form, file: None })))
}

/// A form on its way in.
struct Form {
    ask: Shared,
    form: FormParser,
    file: Option<File>,
}

/// A form's file on its way in: all fields came before it.
struct File {
    /// The request as its sender makes it.
    ask: Shared,
    upload: Upload,
    draft: Draft,
    bucket: object::BucketName,
    expected: Expected,
    sink: Sink,
    size: u64,
}

impl File {
    fn begin(ask: &Ask, fields: &auth::Fields) -> Outcome<Self> {
        let gate = &ask.gate;
        let settings = &gate.settings.auth;
        let upload = auth::authorise(fields, &ask.bucket, &gate.accounts, settings, ask.now)?;
        let ask = Arc::new(by_sender(ask, &upload, headers(fields)?));
        ask.key()?;
        let bucket = permit::write(&ask, &gate.store.snapshot())?;
        let draft = Draft::of(&ask, &ask.headers, &bucket)?;
        let expected = Expected::from_fields(fields)?;
        let sink = Sink::new(gate, draft.key.as_ref(), expected.wanted(true), None);
        Ok(Self { bucket: bucket.name.clone(), ask, upload, draft, expected, sink, size: 0 })
    }

    fn take(&mut self, content: &[u8]) -> Outcome<()> {
        self.size += content.len() as u64;
        self.upload.check_length(self.size, false)?;
        self.sink.take(content)
    }

    fn end(self) -> Outcome<Step> {
        self.upload.check_length(self.size, true)?;
        let Self { ask, mut draft, bucket, expected, sink, .. } = self;
        let stored = sink.verified(&expected, &Trailers::default())?;
        draft.attributes.checksum = stored.checksum;
        let put = Put {
            bucket,
            key: Key::new(&ask.key).map_err(|_| Code::KeyTooLongError)?,
            size: stored.size,
            tag: Tag { md5: stored.md5, parts: 0 },
            class: draft.class,
            attributes: draft.attributes,
            body: stored.body,
            conditions: Conditions::default(),
        };
        let tag = etag(&put.tag);
        Ok(commit(&ask, Mutation::Put(Box::new(put)), move |ask, reply| answer(ask, &tag, &reply)))
    }
}

impl Receive for Form {
    fn take(&mut self, bytes: &[u8]) -> Result<(), Box<Answer>> {
        let (ask, file) = (&self.ask, &mut self.file);
        let taken = self.form.take::<Box<Failure>>(bytes, &mut |event| match event {
            Event::File(fields) => {
                *file = Some(File::begin(ask, &fields)?);
                Ok(())
            }
            Event::Content(content) => match file {
                Some(file) => file.take(content),
                None => Err(Code::MalformedPOSTRequest.into()),
            },
        });
        taken.map_err(|failure| Box::new(Answer { close: true, ..self.ask.fail(*failure) }))
    }

    fn end(self: Box<Self>) -> Step {
        let Self { ask, form, file } = *self;
        let ended = || {
            form.end()?;
            file.ok_or(Code::MalformedPOSTRequest)?.end()
        };
        ask.settle(ended())
    }
}

/// The fields of a form, as headers that say the same.
fn headers(fields: &auth::Fields) -> Outcome<Fields> {
    let mut headers = Fields::default();
    for (name, value) in &fields.fields {
        let name = name.to_ascii_lowercase();
        match name.as_str() {
            "acl" => headers.push("x-amz-acl", value),
            "tagging" => headers.push("x-amz-tagging", &tagging(value)?),
            _ => headers.push(&name, value),
        }
    }
    if headers.get("content-type").is_none()
        && let Some(kind) = &fields.file_type
    {
        headers.push("content-type", kind);
    }
    Ok(headers)
}

/// A form says tags by a document.
fn tagging(document: &str) -> Outcome<String> {
    let root = xml::parse(document.as_bytes()).map_err(|_| Code::MalformedXML)?;
    let tags = tags::of_document(&root, tags::OBJECT_MOST)?;
    let pairs: Vec<String> =
        tags.iter().map(|(name, value)| format!("{}={}", escape(name), escape(value))).collect();
    Ok(pairs.join("&"))
}

/// The request, as the one who signed the form makes it.
fn by_sender(ask: &Ask, upload: &Upload, headers: Fields) -> Ask {
    let sender = &upload.sender;
    Ask {
        gate: Arc::clone(&ask.gate),
        operation: ask.operation,
        bucket: ask.bucket.clone(),
        key: upload.key.clone(),
        query: ask.query.clone(),
        headers,
        framing: ask.framing,
        bare: false,
        raw_query: ask.raw_query.clone(),
        sender: auth::Authenticated {
            key: sender.key.clone(),
            payload: Payload::Unsigned,
            ..*sender
        },
        now: ask.now,
        id: ask.id.clone(),
        peer: ask.peer,
        content: std::sync::Mutex::default(),
        form: std::sync::Mutex::default(),
        stored: std::sync::OnceLock::new(),
        cors: ask.cors.clone(),
    }
}

fn answer(ask: &Ask, tag: &str, reply: &object::Reply) -> Outcome<Step> {
    let place = format!("/{}/{}", ask.bucket, escape(&ask.key));
    let redirect = ask.headers.filled("success_action_redirect").or(ask.headers.filled("redirect"));
    if let Some(url) = redirect.filter(|url| usable(url)) {
        let joint = if url.contains('?') { '&' } else { '?' };
        let quoted = escape(tag);
        let location = format!(
            "{url}{joint}bucket={}&key={}&etag={quoted}",
            ask.bucket,
            escape(&ask.key).replace('/', "%2F")
        );
        return told(ask, ask.say(303), reply)?.header("Location", location).empty();
    }
    match ask.headers.filled("success_action_status") {
        Some("200") => told(ask, ask.say(200), reply)?.header("Location", place).empty(),
        Some("201") => {
            let mut xml = Xml::bare();
            xml.element("PostResponse", |xml| {
                xml.leaf("Location", &place);
                xml.leaf("Bucket", &ask.bucket);
                xml.leaf("Key", &ask.key);
                xml.leaf("ETag", tag);
            });
            told(ask, ask.say(201), reply)?.header("Location", place.clone()).xml(xml.finish())
        }
        _ => told(ask, ask.say(204), reply)?.header("Location", place).empty(),
    }
}

/// An address that a browser can be sent to.
fn usable(url: &str) -> bool {
    let known = url.starts_with("http://") || url.starts_with("https://");
    known && url.bytes().all(|byte| byte.is_ascii_graphic())
}
