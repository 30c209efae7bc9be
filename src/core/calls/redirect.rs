//! Which redirects are followed, and what travels along.

use http::{HeaderMap, Method, StatusCode, header};
use url::{Origin, Url};

use super::Cause;
use crate::core::{
    message::{Answer, Outgoing},
    value::has_credentials,
};

/// How many redirects of a call are followed, and where to.
#[derive(Debug)]
pub(super) struct Redirects {
    pub(super) max: u8,
    /// Origins besides the call's own; no credentials go there.
    pub(super) others: Vec<Origin>,
}

impl Redirects {
    /// The request that follows from an answer; `None` if the answer is final.
    pub(super) fn next(&self, hops: u8, sent: &Outgoing, answer: &Answer) -> Result<Option<Outgoing>, Cause> {
        if self.max == 0 || !is_redirect(answer.status) {
            return Ok(None);
        }
        if hops >= self.max {
            return Err(Cause::Redirect("there are more of them than the call follows"));
        }
        let location = answer.headers.get(header::LOCATION).and_then(|value| value.to_str().ok());
        let url = location
            .and_then(|location| sent.url.join(location).ok())
            .ok_or(Cause::Redirect("its Location is no URL"))?;
        if has_credentials(&url) {
            return Err(Cause::Redirect("its Location holds credentials, which would be sent"));
        }
        self.follow(sent, url, answer.status).map(Some)
    }

    fn follow(&self, sent: &Outgoing, url: Url, status: StatusCode) -> Result<Outgoing, Cause> {
        let same = url.origin() == sent.url.origin();
        if !same && !self.others.contains(&url.origin()) {
            return Err(Cause::Redirect("it leads to another origin"));
        }
        let keeps_method = matches!(status, StatusCode::TEMPORARY_REDIRECT | StatusCode::PERMANENT_REDIRECT)
            || matches!(sent.method, Method::GET | Method::HEAD);
        if keeps_method && !same && !sent.body.is_empty() {
            return Err(Cause::Redirect("it would take the body to another origin"));
        }
        let mut next = Outgoing { url, ..sent.clone() };
        if !keeps_method {
            next.method = Method::GET;
            next.body = bytes::Bytes::new();
            next.headers.remove(header::CONTENT_TYPE);
        }
        if !same {
            next.headers = without_credentials(&sent.headers);
            next.identity = None;
        }
        Ok(next)
    }
}

fn is_redirect(status: StatusCode) -> bool {
    matches!(status.as_u16(), 301 | 302 | 303 | 307 | 308)
}

/// The headers that say nothing of who asks.
fn without_credentials(headers: &HeaderMap) -> HeaderMap {
    [header::ACCEPT, header::USER_AGENT]
        .into_iter()
        .filter_map(|name| headers.get(&name).cloned().map(|value| (name, value)))
        .collect()
}
