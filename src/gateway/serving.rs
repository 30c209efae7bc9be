//! What serves: the rules and settings of one load, as a worker holds them.

use std::{
    collections::BTreeMap,
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use super::{
    access::{Access, Door, Memory},
    clock,
    metrics::{RuleTally, Tally},
};
use crate::{
    config::Settings,
    core::{CompiledRule, Routes},
};

/// The rules and settings of one load. A request keeps the set that it began with.
#[derive(Clone)]
pub(super) struct Set {
    pub(super) settings: Arc<Settings>,
    /// Who may ask; nothing if everybody may.
    pub(super) access: Option<Arc<Access>>,
    routes: Arc<Routes<Served>>,
}

/// A rule that serves, and what is counted of it.
pub(super) struct Served {
    pub(super) rule: Arc<CompiledRule>,
    pub(super) tally: Arc<RuleTally>,
    /// What is asked of those who ask.
    pub(super) door: Arc<Door>,
}

impl Set {
    /// Rules that were counted before go on from there.
    pub(super) fn new(settings: Settings, rules: &Routes<CompiledRule>, tally: &Tally, memory: &Memory) -> Self {
        let names = rules.names();
        let tallies = tally.of_rules(&names);
        let (access, doors) = memory.make(&settings, &names);
        let doors: BTreeMap<_, _> = names.iter().copied().zip(doors).collect();
        let served = rules.iter().filter_map(|(name, rule)| {
            // There is one for each name.
            let (tally, door) = (tallies.get(name)?.clone(), doors.get(name.as_str())?.clone());
            Some((name.clone(), Served { rule: rule.clone(), tally, door }))
        });
        let routes = Arc::new(Routes::new(served));
        Set { settings: Arc::new(settings), access: access.map(Arc::new), routes }
    }

    /// The rule at a path.
    pub(super) fn find(&self, path: &str) -> Option<&Served> {
        self.routes.find(path)
    }

    /// All rules that serve.
    pub(super) fn rules(&self) -> impl Iterator<Item = &CompiledRule> {
        self.routes.iter().map(|(_, served)| &*served.rule)
    }

    /// True if there is no rule.
    pub(super) fn is_empty(&self) -> bool {
        self.routes.iter().next().is_none()
    }
}

/// What a worker has of its own, so that no two write to the same memory for every request.
pub(super) struct Worker {
    set: Mutex<Arc<Set>>,
    /// When it last showed that it is alive, in milliseconds of the clock.
    seen: AtomicU64,
}

impl Worker {
    pub(super) fn new(set: &Set) -> Self {
        let worker = Worker { set: Mutex::new(Arc::new(set.clone())), seen: AtomicU64::new(0) };
        worker.show();
        worker
    }

    /// The set that is current. Only its worker asks for every request, so the lock is free.
    pub(super) fn set(&self) -> Arc<Set> {
        self.set.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Exchanges the set, for requests that begin from now on.
    pub(super) fn exchange(&self, set: &Set) {
        // An `Arc` of its own: its count is then written by this worker alone.
        let set = Arc::new(set.clone());
        *self.set.lock().unwrap_or_else(PoisonError::into_inner) = set;
    }

    /// The worker shows that it is alive.
    pub(super) fn show(&self) {
        self.seen.store(clock().as_millis() as u64, Ordering::Relaxed);
    }

    /// How long ago that was.
    pub(super) fn unseen(&self) -> Duration {
        clock().saturating_sub(Duration::from_millis(self.seen.load(Ordering::Relaxed)))
    }
}
