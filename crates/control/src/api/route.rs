//! Routes made from the table of endpoints. A handler is given for an [`Endpoint`],
//! and method, path, permission, request, reply and status follow from its row:
//! they cannot differ from the table.

use std::sync::Arc;

use axum::Router;
use axum::body::Body;
use axum::extract::{Request, State};
use axum::response::{IntoResponse as _, Response};
use axum::routing::{MethodFilter, on};
use http::header::{CONTENT_TYPE, ETAG, LOCATION};
use http::{HeaderName, HeaderValue, StatusCode};

use model::Problem;
use model::api::{Endpoint, Method, Shape};
use model::operation::Operation;

use super::incoming::Incoming;
use super::refusal::{Refusal, internal};
use crate::plane::Plane;

/// In the reply to a request that had been answered before, by its idempotency key.
pub const REPLAYED: HeaderName = HeaderName::from_static("idempotency-replayed");

/// What a handler gives back.
pub type Outcome<E> = Result<Answered<E>, Problem>;

/// An answer.
pub struct Answered<E: Endpoint> {
    content: Content<E>,
    etag: Option<u64>,
    location: Option<String>,
    replayed: bool,
}

enum Content<E: Endpoint> {
    Document(Box<E::Reply>),
    Raw(Response),
}

impl<E: Endpoint> Answered<E> {
    /// A document.
    pub fn document(reply: E::Reply) -> Self {
        let content = Content::Document(Box::new(reply));
        Self { content, etag: None, location: None, replayed: false }
    }
    /// Something that is not a document: bytes, or a watch.
    pub fn raw(response: Response) -> Self {
        Self { content: Content::Raw(response), etag: None, location: None, replayed: false }
    }
    /// With the generation as its etag.
    pub fn etag(mut self, generation: u64) -> Self {
        self.etag = Some(generation);
        self
    }
    /// With the path of what was made.
    pub fn location(mut self, path: String) -> Self {
        self.location = Some(path);
        self
    }
    /// It is a reply that was given before.
    pub fn replayed(mut self, replayed: bool) -> Self {
        self.replayed = replayed;
        self
    }

    /// The response. What a dry run makes is not made, so it is a plain document.
    fn into_response(self, dry_run: bool) -> Response {
        let mut response = match self.content {
            Content::Raw(response) => return response,
            Content::Document(reply) => match serde_json::to_vec(&*reply) {
                Ok(bytes) => Response::new(Body::from(bytes)),
                Err(error) => return Refusal(internal(error)).into_response(),
            },
        };
        *response.status_mut() = match E::INFO.shape {
            Shape::Document | Shape::Bytes => StatusCode::OK,
            _ if dry_run => StatusCode::OK,
            Shape::Created => StatusCode::CREATED,
            Shape::Accepted => StatusCode::ACCEPTED,
        };
        let headers = response.headers_mut();
        headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
        let etag = self.etag.map(|generation| format!("\"{generation}\""));
        let location = self.location.filter(|_| !dry_run);
        for (name, value) in [(ETAG, etag), (LOCATION, location)] {
            if let Some(value) = value.and_then(|value| HeaderValue::from_str(&value).ok()) {
                headers.insert(name, value);
            }
        }
        if self.replayed {
            headers.insert(REPLAYED, HeaderValue::from_static("true"));
        }
        response
    }
}

impl<E: Endpoint<Reply = Operation>> Answered<E> {
    /// An operation, with where it can be watched and waited for.
    pub fn operation(operation: Operation) -> Self {
        let path = format!("/v1/operations/{}", operation.id);
        Self::document(operation).location(path)
    }
}

/// The router as it grows.
pub struct Routes {
    router: Router<Arc<Plane>>,
    names: Vec<&'static str>,
}

impl Routes {
    /// None yet.
    pub fn new() -> Self {
        Self { router: Router::new(), names: Vec::new() }
    }

    /// Serves an endpoint whose request is a document or nothing.
    pub fn add<E, F, T>(self, handler: F) -> Self
    where
        E: Endpoint,
        F: Fn(Incoming<E>) -> T + Clone + Send + Sync + 'static,
        T: Future<Output = Outcome<E>> + Send,
    {
        self.serve::<E, _, _>(handler, false)
    }

    /// Serves an endpoint whose request is bytes: the handler reads them itself.
    pub fn add_upload<E, F, T>(self, handler: F) -> Self
    where
        E: Endpoint,
        F: Fn(Incoming<E>) -> T + Clone + Send + Sync + 'static,
        T: Future<Output = Outcome<E>> + Send,
    {
        self.serve::<E, _, _>(handler, true)
    }

    fn serve<E, F, T>(mut self, handler: F, upload: bool) -> Self
    where
        E: Endpoint,
        F: Fn(Incoming<E>) -> T + Clone + Send + Sync + 'static,
        T: Future<Output = Outcome<E>> + Send,
    {
        let info = E::INFO;
        assert!(!self.names.contains(&info.name), "{} is routed twice", info.name);
        let route = move |State(plane): State<Arc<Plane>>, request: Request| {
            let handler = handler.clone();
            async move {
                let outcome = match Incoming::<E>::read(plane, request, upload).await {
                    Ok(incoming) => {
                        let dry_run = incoming.query.dry_run;
                        handler(incoming).await.map(|answered| answered.into_response(dry_run))
                    }
                    Err(problem) => Err(problem),
                };
                outcome.unwrap_or_else(|problem| Refusal(problem).into_response())
            }
        };
        self.router = self.router.route(info.path, on(filter(info.method), route));
        self.names.push(info.name);
        self
    }

    /// The router, and the names of the endpoints that it serves.
    pub fn finish(self) -> (Router<Arc<Plane>>, Vec<&'static str>) {
        (self.router, self.names)
    }
}

fn filter(method: Method) -> MethodFilter {
    match method {
        Method::Get => MethodFilter::GET,
        Method::Post => MethodFilter::POST,
        Method::Put => MethodFilter::PUT,
        Method::Delete => MethodFilter::DELETE,
    }
}
