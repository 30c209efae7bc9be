//! The calls of a rule as they run: everything that does not depend on a request is made already.

use std::{sync::Arc, time::Duration};

use http::{HeaderMap, HeaderName, Method};
use url::Url;

use super::{
    auth::OwnToken,
    body::Body,
    cache::Cache,
    decode::Decoder,
    lists::{Each, Paginate},
    meta::Meta,
    redirect::Redirects,
    retry::Retry,
};
use crate::core::{
    denial::Denial,
    facts::{Root, Shape},
    identity::Identity,
    problem::Place,
    value::{Condition, Mentions, Template},
};

/// All calls of a rule, ready to run.
#[derive(Debug, Default)]
pub struct Plan {
    pub(super) calls: Vec<Call>,
    pub(super) mentions: Mentions,
}

#[derive(Debug)]
pub(super) struct Call {
    pub(super) name: String,
    /// Where the rule names it, for traces.
    pub(super) place: Place,
    pub(super) method: Method,
    /// It changes nothing, as far as can be told.
    pub(super) safe: bool,
    pub(super) address: Address,
    /// Parameters that only a request knows, their names encoded.
    pub(super) query: Vec<(String, Template)>,
    /// Headers that are the same for every request.
    pub(super) fixed_headers: HeaderMap,
    /// The same for human eyes.
    pub(super) fixed_shown: Vec<String>,
    pub(super) headers: Vec<(HeaderName, Template)>,
    pub(super) body: Body,
    pub(super) token: TokenPlan,
    /// Where a token of our own comes from, if one travels in the header Authorization.
    pub(super) own_token: Option<OwnToken>,
    /// Who we show to be.
    pub(super) identity: Option<Arc<Identity>>,
    /// The upstream judges the caller's token, so its 401 and 403 are about that.
    pub(super) carries_token: bool,
    pub(super) decoder: Decoder,
    pub(super) optional: bool,
    pub(super) when: Option<Condition>,
    pub(super) expect: Vec<u16>,
    pub(super) fail_when: Vec<Row>,
    pub(super) timeout: Option<Duration>,
    pub(super) redirects: Redirects,
    /// The calls whose answers it reads.
    pub(super) needs: Vec<usize>,
    /// The same by their names, for traces.
    pub(super) after: Vec<String>,
    /// What is read of its answer.
    pub(super) shape: Shape,
    /// What is read of its answer besides the body.
    pub(super) meta: Meta,
    /// Errors stand in an answer whose status is fine.
    pub(super) graphql: bool,
    pub(super) retry: Option<Retry>,
    pub(super) each: Option<Each>,
    pub(super) paginate: Option<Paginate>,
    pub(super) cache: Option<Cache>,
    /// Somebody wants to know how long its answers may be used again.
    pub(super) watched: bool,
}

impl Call {
    /// True unless it is made for several values or pages.
    pub(super) fn is_one_request(&self) -> bool {
        self.each.is_none() && self.paginate.is_none()
    }

    /// True if one answer of several may be missing. One entry less is what `optional` asks for with `each`; half
    /// of a list of pages is not.
    pub(super) fn may_lose_one(&self) -> bool {
        self.optional && self.each.is_some()
    }
}

#[derive(Debug)]
pub(super) enum Address {
    /// The same for every request, with what people see of it.
    Fixed(Url, String),
    /// The second is the address up to the first part that only a request knows: its origin holds.
    Template(Template, Url),
}

#[derive(Debug)]
pub(super) enum TokenPlan {
    Bearer,
    AsReceived,
    /// A scheme of its own; none for the bare token.
    Scheme(String),
    Header(HeaderName),
    Query(String),
    Form(String),
    /// Nowhere, or where `${token}` or a JSON member puts it.
    Elsewhere,
}

/// One row of `fail_when`.
#[derive(Debug)]
pub(super) struct Row {
    pub(super) when: Condition,
    pub(super) denial: Denial,
    pub(super) reason: String,
    /// It looks at `meta` of its own call, so that it can judge an answer of any status.
    pub(super) reads_meta: bool,
}

impl Plan {
    /// Widens what is kept of the answers by what other steps read of them.
    pub fn keep(&mut self, mentions: &Mentions) {
        for (root, members) in &mentions.paths {
            match (root, members.split_first()) {
                (Root::Call(number), _) => self.calls[*number].shape.add(members),
                (Root::Meta, Some((name, rest))) => {
                    let call = self.calls.iter_mut().find(|call| call.name == *name);
                    call.into_iter().for_each(|call| call.meta.widen(rest));
                }
                (Root::Meta, None) => self.calls.iter_mut().for_each(|call| call.meta.widen(&[])),
                _ => {}
            }
        }
    }

    /// Keeps the answers whole, for somebody who wants to see them.
    pub fn keep_all(&mut self) {
        for call in &mut self.calls {
            call.shape.add(&[]);
            call.meta.widen(&["status".to_owned()]);
        }
    }

    /// The names of the calls, in the order of the rule.
    pub fn names(&self) -> impl Iterator<Item = &str> {
        self.calls.iter().map(|call| &*call.name)
    }

    /// What the calls themselves read.
    pub fn mentions(&self) -> &Mentions {
        &self.mentions
    }

    /// Where each call goes, and whether the caller's token goes with it.
    pub fn destinations(&self) -> impl Iterator<Item = (&Url, bool)> {
        self.calls.iter().map(|call| match &call.address {
            Address::Fixed(url, _) | Address::Template(_, url) => (url, call.carries_token),
        })
    }

    /// The token endpoint of each call that has one.
    pub fn token_endpoints(&self) -> impl Iterator<Item = Option<&Url>> {
        self.calls.iter().map(|call| call.own_token.as_ref().map(OwnToken::endpoint))
    }

    /// The key set that the answer of each call is verified with.
    pub fn key_sets(&self) -> impl Iterator<Item = Option<&Url>> {
        self.calls.iter().map(|call| call.decoder.key_set())
    }

    /// What is read of the answer of each call.
    pub fn shapes(&self) -> impl Iterator<Item = &Shape> {
        self.calls.iter().map(|call| &call.shape)
    }
}
