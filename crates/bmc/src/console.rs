//! The serial console.
//!
//! Redfish only tells where a console is reached by SSH or IPMI. The BMCs of our
//! own lab stream theirs over HTTP at one path; elsewhere there is none.

use futures_util::{StreamExt, stream};
use reqwest::Method;
use reqwest::header::CONTENT_TYPE;

use crate::ByteStream;
use crate::failure::{Failure, Outcome, TEXT_MOST, clean};
use crate::redfish::Redfish;
use crate::wire::Request;

/// The console of the first serial port, on BMCs that stream it.
const CONSOLE: &str = "/console/1";

impl Redfish {
    pub(crate) async fn open_console(&mut self, follow: bool) -> Outcome<ByteStream> {
        let path = format!("{CONSOLE}?follow={follow}");
        let request = Request::new(Method::GET, &path, None);
        let none = || Failure::unsupported("this BMC does not stream its console over HTTP");
        let response = self.wire.open(&request).await.map_err(|failure| {
            if failure.kind == model::bmc::BmcFailureKind::Unsupported { none() } else { failure }
        })?;
        // Web interfaces of BMCs answer any path with their start page.
        let kind = response.headers().get(CONTENT_TYPE).and_then(|kind| kind.to_str().ok());
        if kind.is_some_and(|kind| kind.starts_with("text/html")) {
            return Err(none());
        }
        let bytes = stream::unfold(Some(response), |state| async move {
            let mut response = state?;
            match response.chunk().await {
                Ok(Some(chunk)) => Some((Ok(chunk), Some(response))),
                Ok(None) => None,
                Err(error) => {
                    let text = clean(&error.to_string(), TEXT_MOST);
                    Some((Err(Failure::unreachable(text).into()), None))
                }
            }
        });
        Ok(bytes.boxed())
    }
}
