//! Rules, secrets and settings are taken over while the process serves.
//!
//! A thread of its own looks at the files and compiles, so that no request waits for it. What comes out is handed
//! to the workers as a whole; requests that are on their way end on the set that they began with. What is broken
//! changes nothing, and is told in the log, by metrics and by the admin listener.

use std::{
    path::PathBuf,
    sync::{
        Mutex, MutexGuard, PoisonError,
        mpsc::{Receiver, RecvTimeoutError, Sender, channel},
    },
    thread::{self, JoinHandle},
    time::Duration,
};

use super::{
    Loaded, Loader, Report, Rings, Running, Secrets, Shared, State, Store, Upstream, serving::Set, stamps::Stamps, wait,
};
use crate::{
    config::{self, Config, Flags, Settings},
    core::{
        Host,
        problem::{Problem, Severity},
    },
};

/// How long files have to stay as they are: whoever writes them may not be done.
const SETTLE: Duration = Duration::from_millis(25);
/// How often that is waited for at most; files that change all the time are read all the same.
const MAX_SETTLE: usize = 20;

/// What loads settings and rules, and does so again.
#[derive(Debug)]
pub struct Reloader {
    flags: Flags,
    secrets: Secrets,
    /// What the process started with: settings that need a restart stay so.
    started: Config,
    /// What was read last.
    config: Config,
    settings: Settings,
    loader: Loader,
    /// Settings have changed, and are not yet handed to the workers.
    pending: bool,
    besides: Vec<PathBuf>,
    stamps: Stamps,
    /// Why the keys of those who ask cannot be read.
    keyless: Option<String>,
}

/// A reloader at work; it ends when this is dropped.
#[derive(Debug)]
pub struct Reloading {
    wishes: Option<Sender<()>>,
    thread: Option<JoinHandle<()>>,
}

/// How loading goes, for those who ask.
#[derive(Default)]
pub(super) struct Status(Mutex<Told>);

/// What there is to tell about loading.
#[derive(Clone, Default)]
pub(super) struct Told {
    /// How often the set was exchanged.
    pub(super) exchanges: u64,
    /// How often something could not be taken over.
    pub(super) failures: u64,
    /// When it was last exchanged, since 1970.
    pub(super) since: Duration,
    pub(super) reports: Vec<Report>,
    /// Why the settings cannot be read.
    pub(super) settings: Option<String>,
    /// Why the folder cannot be read.
    pub(super) folder: Option<String>,
    /// Settings that wait for a restart.
    pub(super) restart: Vec<String>,
}

impl Status {
    pub(super) fn told(&self) -> MutexGuard<'_, Told> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Reloader {
    /// One that goes on from settings that were just read by these flags.
    pub fn new(flags: Flags, config: Config, secrets: Secrets) -> Self {
        Reloader {
            flags,
            secrets,
            started: config.clone(),
            settings: config.settings.clone(),
            config,
            loader: Loader::new(),
            pending: false,
            besides: Vec::new(),
            stamps: Stamps::default(),
            keyless: None,
        }
    }

    /// The settings as they are to be now.
    pub fn settings(&self) -> &Settings {
        &self.settings
    }

    /// Loads the rules as they are.
    ///
    /// # Errors
    /// When the folder cannot be read.
    pub fn load(&mut self) -> Result<Loaded, String> {
        // Before anything is read: what changes meanwhile shows at the next look.
        self.stamps = self.look();
        let host = Upstream::new(&self.settings, self.secrets.clone(), Store::new())?;
        let loaded = self.loader.load(&self.settings, &host)?;
        self.besides.clone_from(&loaded.besides);
        Ok(loaded)
    }

    /// Begins to look for changes, for a server that was started with what was loaded last.
    ///
    /// # Errors
    /// When the thread cannot be started.
    pub fn watch(self, running: &Running, reports: Vec<Report>) -> Result<Reloading, String> {
        let shared = running.shared.clone();
        {
            let mut told = shared.status.told();
            told.since = Upstream::now();
            told.reports = reports;
        }
        let (wishes, heard) = channel();
        let thread = thread::Builder::new()
            .name("reload".into())
            // As much as a worker: rules are compiled here.
            .stack_size(super::WORKER_STACK)
            .spawn(move || self.run(&heard, &shared))
            .map_err(|error| format!("cannot start a thread: {error}"))?;
        Ok(Reloading { wishes: Some(wishes), thread: Some(thread) })
    }

    fn run(mut self, wishes: &Receiver<()>, shared: &Shared) {
        let every = self.settings.watch.0;
        loop {
            let wish = match every.is_zero() {
                true => wishes.recv().map_err(|_| RecvTimeoutError::Disconnected),
                false => wishes.recv_timeout(every),
            };
            match wish {
                Ok(()) => {
                    tracing::info!("loading again, as was asked for");
                    self.reload(shared);
                }
                Err(RecvTimeoutError::Timeout) if self.has_changed() => self.reload(shared),
                Err(RecvTimeoutError::Timeout) => {}
                Err(RecvTimeoutError::Disconnected) => return,
            }
        }
    }

    fn look(&self) -> Stamps {
        let settings = config::file(&self.flags);
        Stamps::of(&self.settings.rules, self.besides.iter().chain(self.settings.key_files()).chain([&settings]))
    }

    /// Looks whether anything changed, and if so waits until it stays as it is.
    fn has_changed(&self) -> bool {
        let mut now = self.look();
        if now == self.stamps {
            return now.are_fresh();
        }
        for _ in 0..MAX_SETTLE {
            wait(SETTLE);
            let then = std::mem::replace(&mut now, self.look());
            if then == now {
                break;
            }
        }
        true
    }

    fn reload(&mut self, shared: &Shared) {
        self.pending |= self.read_settings(shared);
        self.pending |= self.read_keys(shared);
        let loaded = match self.load() {
            Ok(loaded) => loaded,
            Err(why) => {
                let mut told = shared.status.told();
                if told.folder.as_ref() != Some(&why) {
                    tracing::error!("the rules stay as they were: {why}");
                    told.failures += 1;
                    told.folder = Some(why);
                }
                return;
            }
        };
        let changed = !loaded.changed.is_empty() || !loaded.removed.is_empty();
        let something = changed || std::mem::take(&mut self.pending);
        if something {
            let set = Set::new(self.settings.clone(), &loaded.routes, &shared.tally, &shared.access);
            shared.workers.iter().for_each(|worker| worker.exchange(&set));
        }
        if changed {
            report(&loaded);
        }
        let mut told = shared.status.told();
        told.folder = None;
        if something {
            let broken = |report: &&Report| report.state != State::Serving && loaded.changed.contains(&report.name);
            told.failures += loaded.reports.iter().filter(broken).count() as u64;
            told.exchanges += 1;
            told.since = Upstream::now();
            told.reports = loaded.reports;
        }
    }

    /// Reads the settings; true if there is something new to be taken over.
    fn read_settings(&mut self, shared: &Shared) -> bool {
        let mut told = shared.status.told();
        let read = config::load(&self.flags).and_then(|new| {
            let adopted = self.started.settings.adopt(&new.settings)?;
            Ok((new, adopted))
        });
        let (new, adopted) = match read {
            Ok(read) => read,
            Err(why) => {
                if told.settings.as_ref() != Some(&why) {
                    tracing::error!("the settings stay as they were: {why}");
                    told.failures += 1;
                    told.settings = Some(why);
                }
                return false;
            }
        };
        told.settings = None;
        let restart = self.started.changes(&new).restart;
        if restart != told.restart {
            if !restart.is_empty() {
                tracing::warn!(settings = restart.join(","), "these settings have changed, and need a restart");
            }
            told.restart = restart;
        }
        let live = self.config.changes(&new).live;
        if !live.is_empty() {
            tracing::info!(settings = live.join(","), "settings are taken over");
        }
        self.config = new;
        self.settings = adopted;
        !live.is_empty()
    }
}

impl Reloader {
    /// Reads the keys of those who ask; true if they are others. Those that cannot be read stay as they were.
    fn read_keys(&mut self, shared: &Shared) -> bool {
        match Rings::read(&self.settings, &self.secrets) {
            Ok(rings) => {
                self.keyless = None;
                let changed = shared.access.exchange(rings);
                if changed {
                    tracing::info!("the keys of those who ask are taken over");
                }
                changed
            }
            Err(why) => {
                let mut told = shared.status.told();
                if self.keyless.as_ref() != Some(&why) {
                    tracing::error!("the keys of those who ask stay as they were: {why}");
                    told.failures += 1;
                }
                told.settings = Some(why.clone());
                self.keyless = Some(why);
                false
            }
        }
    }
}

impl Reloading {
    /// Loads again now, whether or not anything seems to have changed.
    pub fn now(&self) {
        if let Some(wishes) = &self.wishes {
            // Without a receiver the thread has ended, which it only does at the end.
            let _ = wishes.send(());
        }
    }
}

impl Drop for Reloading {
    fn drop(&mut self) {
        drop(self.wishes.take());
        if let Some(thread) = self.thread.take() {
            // A panic of it was logged when it happened.
            let _ = thread.join();
        }
    }
}

/// What came of loading, for the log.
fn report(loaded: &Loaded) {
    for report in loaded.reports.iter().filter(|report| loaded.changed.contains(&report.name)) {
        let rule = report.name.as_str();
        for problem in report.problems.iter().filter(|problem| problem.severity() == Severity::Error) {
            tracing::error!(
                rule,
                code = problem.code.id(),
                at = place(problem),
                help = problem.help,
                "{}",
                problem.message
            );
        }
        if let Some(why) = &report.unreadable {
            tracing::error!(rule, "{why}");
        }
        match report.state {
            State::Serving => {}
            State::Kept => tracing::error!(rule, "this rule is broken; its last sound form goes on serving"),
            State::Refused => tracing::error!(rule, "this rule is refused; the others serve"),
        }
    }
    let rules = loaded.routes.names().join(",");
    if rules.is_empty() {
        tracing::warn!("no rule is left that serves");
    }
    let (changed, removed) = (loaded.changed.join(","), loaded.removed.join(","));
    tracing::info!(changed, removed, rules, "rules are taken over");
}

fn place(problem: &Problem) -> String {
    let (line, column) = problem.place.line_and_column();
    format!("{}:{line}:{column}", problem.place.source.name)
}
