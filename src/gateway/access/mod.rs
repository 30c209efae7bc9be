//! Who may ask.
//!
//! What the settings say of it is made ready when they are loaded: a [`Door`] for each rule, and one for paths without
//! a rule. A request comes to [`Access::enter`] before its body is read, to [`Visit::knock`] before its rule is
//! asked, and to [`Visit::leave`] with its answer. Where nothing is set there is no `Access`, and requests pass by.
//!
//! Where a key is asked for, whoever has none is to learn nothing: a wrong key, a path without a rule and a token that
//! is refused have the same answer, and so has whatever else would tell that there is a rule.

mod client;
mod keys;
mod proxy;
mod rate;
mod throttle;

use std::{
    net::IpAddr,
    sync::{Arc, Mutex, PoisonError, RwLock},
    time::Duration,
};

use http::{Method, StatusCode};

pub(super) use self::{client::Peer, keys::Rings, proxy::read as read_proxy_header};
use self::{
    client::{Block, Client, Proxies},
    keys::{Finding, Ring},
    rate::Limiters,
    throttle::{Standing, Throttle},
};
use super::{Upstream, clock};
use crate::{
    config::{self, Network, Settings},
    core::{
        Failure, Host, Outcome, Reception, Request, Token, TurnedAway, refuse,
        store::{Entry, Key, Stored},
    },
};

/// How long a token is known to have been good. One that is good knocks for itself, however many beside it are not.
const GOOD: Duration = Duration::from_secs(3600);
/// The error of a token that is refused.
const INVALID_TOKEN: &str = "invalid_token";
/// The methods by which claims are asked for.
const METHODS: [Method; 3] = [Method::GET, Method::HEAD, Method::POST];

/// What is remembered of those who ask, whatever is loaded meanwhile.
pub(super) struct Memory {
    rings: RwLock<Arc<Rings>>,
    limiters: Mutex<Limiters>,
    throttle: Arc<Throttle>,
}

/// Who may ask, ready to be used.
pub(super) struct Access {
    proxies: Proxies,
    finding: Finding,
    /// Of paths without a rule.
    nowhere: Arc<Door>,
    /// Keys are asked for: nobody is told what there is.
    pub(super) hides: bool,
    /// Where a connection may come from, if that is the same for all rules or narrower for some.
    networks: Vec<Network>,
    throttle: Option<(config::Throttle, Arc<Throttle>)>,
}

/// What is asked of those who ask for one rule.
pub(super) struct Door {
    networks: Vec<Network>,
    names: Vec<String>,
    ring: Option<Arc<Ring>>,
    client_rate: Option<Arc<rate::Limiter<Block>>>,
    token_rate: Option<Arc<rate::Limiter<Key>>>,
}

/// A request that came in.
pub(super) struct Visit<'a> {
    access: &'a Access,
    door: &'a Door,
    block: Block,
    standing: Standing,
    /// The name under which its token is known to be good.
    name: Option<Key>,
    /// Its address has to wait, and it came in because its token is good.
    known: bool,
}

impl Memory {
    pub(super) fn new(rings: Rings) -> Self {
        Memory { rings: RwLock::new(Arc::new(rings)), limiters: Mutex::default(), throttle: Arc::default() }
    }

    /// Exchanges the keys; true if they are others.
    pub(super) fn exchange(&self, rings: Rings) -> bool {
        let mut current = self.rings.write().unwrap_or_else(PoisonError::into_inner);
        let changed = **current != rings;
        *current = Arc::new(rings);
        changed
    }

    /// What the settings say; nothing if they let everybody ask. The doors are those of these rules, in their order.
    pub(super) fn make(&self, settings: &Settings, rules: &[&str]) -> (Option<Access>, Vec<Arc<Door>>) {
        let rings = self.rings.read().unwrap_or_else(PoisonError::into_inner).clone();
        let mut limiters = self.limiters.lock().unwrap_or_else(PoisonError::into_inner);
        limiters.renew();
        let mut maker = Maker { settings, rings: &rings, limiters: &mut limiters };
        let nowhere = Arc::new(maker.door(None));
        let doors: Vec<_> = rules.iter().map(|rule| Arc::new(maker.door(Some(rule)))).collect();
        limiters.settle();
        let all: Vec<_> = doors.iter().chain([&nowhere]).map(Arc::as_ref).collect();
        let throttle = &settings.access.throttle;
        let open = all.iter().all(|door| door.is_open()) && throttle.after == 0;
        // Without a reason to know where a request comes from, nobody is asked who its client is.
        if open && !settings.access.proxy_protocol && !settings.log.client {
            return (None, doors);
        }
        let networks = match all.iter().any(|door| door.networks.is_empty()) {
            true => Vec::new(),
            false => all.iter().flat_map(|door| door.networks.iter().copied()).collect(),
        };
        let access = Access {
            proxies: Proxies::new(&settings.access),
            finding: Finding::new(&settings.access),
            hides: all.iter().any(|door| door.ring.is_some()),
            networks,
            throttle: (throttle.after > 0).then(|| (throttle.clone(), self.throttle.clone())),
            nowhere,
        };
        (Some(access), doors)
    }
}

/// Makes doors.
struct Maker<'s> {
    settings: &'s Settings,
    rings: &'s Rings,
    limiters: &'s mut Limiters,
}

impl Maker<'_> {
    fn door(&mut self, rule: Option<&str>) -> Door {
        let all = &self.settings.access;
        let own = rule.and_then(|rule| self.settings.rule.get(rule)).map(|rule| &rule.access);
        // What a rule shares with others it shares with them: its requests count together with theirs.
        let (client, client_of) = match own.and_then(|own| own.client_rate) {
            Some(limit) => (limit, rule),
            None => (all.client_rate, None),
        };
        let (token, token_of) = match own.and_then(|own| own.token_rate) {
            Some(limit) => (limit, rule),
            None => (all.token_rate, None),
        };
        let (keys, keys_of) = match own.and_then(|own| own.key.as_ref()) {
            Some(keys) => (keys, rule),
            None => (&all.key, None),
        };
        Door {
            networks: own.and_then(|own| own.networks.as_ref()).unwrap_or(&all.networks).clone(),
            names: own.and_then(|own| own.client_names.as_ref()).unwrap_or(&all.client_names).clone(),
            ring: self.rings.of(keys_of, keys),
            client_rate: self.limiters.of_clients(client_of, client),
            token_rate: self.limiters.of_tokens(token_of, token),
        }
    }
}

impl Door {
    fn is_open(&self) -> bool {
        self.networks.is_empty()
            && self.names.is_empty()
            && self.ring.is_none()
            && self.client_rate.is_none()
            && self.token_rate.is_none()
    }
}

impl Access {
    /// Whether a connection may be made from an address. Behind a proxy that is believed is somebody else.
    pub(super) fn may_connect(&self, from: IpAddr) -> bool {
        self.networks.is_empty()
            || self.networks.iter().any(|network| network.contains(from))
            || self.proxies.are_believed(from)
    }

    /// Whether a connection from an address begins with the PROXY protocol.
    pub(super) fn is_proxied(&self, from: IpAddr) -> bool {
        self.proxies.speak_protocol && self.proxies.are_believed(from)
    }

    /// The address of the client, for the log.
    pub(super) fn client(&self, peer: &Peer, request: &Request) -> IpAddr {
        self.proxies.client(peer, request.headers()).address
    }

    /// Whether a request may come in, by what is known before its body is read; `door` is that of its rule. Takes the
    /// key out of it.
    ///
    /// # Errors
    /// Why it may not.
    pub(super) fn enter<'a>(
        &'a self,
        door: Option<&'a Door>,
        peer: &Peer,
        request: &mut Request,
    ) -> Result<Visit<'a>, Failure> {
        let client = self.proxies.client(peer, request.headers());
        let key = self.hides.then(|| self.finding.take(request)).flatten();
        let mut visit = Visit {
            access: self,
            door: door.unwrap_or(&self.nowhere),
            block: Block::of(client.address),
            standing: Standing::Nothing,
            name: None,
            known: false,
        };
        visit.admit(client, peer)?;
        visit.standing = match &visit.door.ring {
            Some(ring) if key.is_some_and(|key| ring.opens(&key)) => Standing::Key,
            Some(_) => return Err(visit.stranger(TurnedAway::Key)),
            // Where keys are asked for, what is not there looks as if one were asked for.
            None if self.hides && door.is_none() => Standing::Nothing,
            None => Standing::Open,
        };
        let counts = door.is_some() || visit.standing == Standing::Key;
        if let Some(limiter) = visit.door.client_rate.as_ref().filter(|_| counts) {
            limiter.take(&visit.block).map_err(|wait| visit.patient(TurnedAway::ClientRate(wait)))?;
        }
        Ok(visit)
    }
}

impl Visit<'_> {
    /// Its address is in a network, and its certificate has a name, that are allowed.
    fn admit(&self, client: Client, peer: &Peer) -> Result<(), Failure> {
        // Whoever is not vouched for is nowhere.
        let inside = |network: &Network| client.vouched && network.contains(client.address);
        if !self.door.networks.is_empty() && !self.door.networks.iter().any(inside) {
            return Err(self.stranger(TurnedAway::Network));
        }
        match self.door.names.is_empty() || peer.has_one_of(&self.door.names) {
            true => Ok(()),
            false => Err(self.stranger(TurnedAway::Certificate)),
        }
    }

    /// The answer to somebody who has no business here: that of a path without a rule.
    fn stranger(&self, why: TurnedAway) -> Failure {
        if !self.access.hides {
            return why.into();
        }
        match self.patience() {
            Err(failure) => failure,
            Ok(()) => {
                self.count();
                hidden(why.into())
            }
        }
    }

    /// Nothing of its answer may tell that there is a rule.
    fn hides(&self) -> bool {
        self.standing != Standing::Open
    }

    fn patient(&self, why: TurnedAway) -> Failure {
        if self.hides() { hidden(why.into()) } else { why.into() }
    }

    /// Whether its address may try again.
    fn patience(&self) -> Result<(), Failure> {
        let Some((settings, throttle)) = &self.access.throttle else { return Ok(()) };
        let free = throttle.enter((self.block, self.standing), settings, clock());
        free.map_err(|wait| self.patient(TurnedAway::Throttled(wait)))
    }

    fn is_watched(&self) -> bool {
        let throttle = self.access.throttle.as_ref();
        throttle.is_some_and(|(settings, throttle)| throttle.is_watched((self.block, self.standing), settings, clock()))
    }

    fn count(&self) {
        if let Some((settings, throttle)) = &self.access.throttle {
            throttle.refused((self.block, self.standing), settings, clock());
        }
    }

    /// Whether its rule may be asked, with the token that it has.
    ///
    /// # Errors
    /// Why not.
    pub(super) async fn knock(
        &mut self,
        rule: Option<&str>,
        request: &Request,
        reception: Reception,
        host: &Upstream,
    ) -> Result<(), Failure> {
        let throttles = self.access.throttle.is_some();
        if (self.door.token_rate.is_some() || throttles)
            && let Ok(token) = Token::receive(request, reception.query_token)
            && let Some(seal) = host.seal()
        {
            let name = seal.name("good token").part(rule.unwrap_or_default()).part(token.value()).key();
            self.name = throttles.then_some(name);
            if let Some(limiter) = &self.door.token_rate {
                let name = seal.name("caller").part(token.value()).key();
                limiter.take(&name).map_err(|wait| self.patient(TurnedAway::TokenRate(wait)))?;
            }
        }
        if (rule.is_some() || self.hides()) && self.is_watched() {
            // What is known to be good is let through, and does not take the place of a try.
            self.known = match &self.name {
                Some(name) => host.recall(name).await.is_some(),
                None => false,
            };
            if !self.known {
                self.patience()?;
            }
        }
        match rule {
            None => Err(Failure::NoRule),
            Some(_) if self.hides() && !METHODS.contains(request.method()) => Err(Failure::Method),
            Some(_) => Ok(()),
        }
    }

    /// What is told of the answer, and what is learnt from it.
    pub(super) async fn leave(self, outcome: Outcome, request_id: &str, host: &Upstream) -> Outcome {
        let Some(failure) = outcome.failure else {
            if let Some(name) = self.name.as_ref().filter(|_| outcome.response.status() == StatusCode::OK) {
                self.remember(name, host).await;
            }
            return outcome;
        };
        let refused = failure.error() == Some(INVALID_TOKEN);
        let tells = self.hides() && tells_of_a_rule(&failure);
        if let Some(name) = self.name.as_ref().filter(|_| refused) {
            host.forget(name, &good()).await;
        }
        if refused || tells {
            self.count();
        }
        if self.hides() && (refused || tells || failure.turned_away().is_some()) {
            return Outcome { calls: outcome.calls, ..refuse(None, hidden(failure), request_id) };
        }
        Outcome { failure: Some(failure), ..outcome }
    }

    async fn remember(&self, name: &Key, host: &Upstream) {
        if let Some((_, throttle)) = self.access.throttle.as_ref().filter(|_| !self.known) {
            throttle.good((self.block, self.standing), clock());
        }
        if !self.known && host.recall(name).await.is_none() {
            host.keep(name, good()).await;
        }
    }
}

/// What the answer would tell whoever has no token that is good.
fn tells_of_a_rule(failure: &Failure) -> bool {
    use Failure as F;
    matches!(failure, F::NoRule | F::Method | F::Token(_) | F::RequestTooLarge | F::Unreadable)
}

fn hidden(failure: Failure) -> Failure {
    match failure {
        Failure::Hidden(_) => failure,
        failure => Failure::Hidden(Box::new(failure)),
    }
}

/// What is kept of a token that was good.
fn good() -> Entry {
    Entry { value: Stored::Done, lifetime: GOOD }
}

impl From<TurnedAway> for Failure {
    fn from(why: TurnedAway) -> Self {
        Failure::TurnedAway(why)
    }
}
