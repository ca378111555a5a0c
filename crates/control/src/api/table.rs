//! Which row of the table of endpoints a request belongs to.

use axum::extract::{MatchedPath, Request};
use model::api::{ENDPOINTS, EndpointInfo, Method};

/// Where a request leads.
pub enum Row {
    /// To an endpoint.
    Endpoint(&'static EndpointInfo),
    /// To a path that has other methods: these.
    OtherMethods(Vec<&'static str>),
    /// Nowhere.
    Nowhere,
}

/// Finds the row by the path that the router matched and by the method. A HEAD is
/// a GET without its body.
pub fn row(request: &Request) -> Row {
    let Some(path) = request.extensions().get::<MatchedPath>() else {
        return Row::Nowhere;
    };
    let method = match request.method().as_str() {
        "HEAD" => "GET",
        method => method,
    };
    let mut methods = Vec::new();
    for info in ENDPOINTS.iter().filter(|info| info.path == path.as_str()) {
        if info.method.name() == method {
            return Row::Endpoint(info);
        }
        methods.push(info.method.name());
    }
    match methods.is_empty() {
        true => Row::Nowhere,
        false => Row::OtherMethods(methods),
    }
}

/// Whether a request to an endpoint can change anything.
pub fn mutates(info: &EndpointInfo) -> bool {
    info.method != Method::Get
}
