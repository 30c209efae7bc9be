//! A gateway on a free port, with rules from a folder of its own.

use std::{collections::BTreeMap, net::SocketAddr};

use claimsmith::{
    config::Settings,
    core::{Outcome, Reception, answer},
    gateway::{Loaded, Running, Secrets, Store, load, start},
};
use tempfile::TempDir;

use super::{Answer, block_on, client, send};

/// What a gateway is to serve.
pub struct Setup {
    folder: TempDir,
    pub settings: Settings,
    secrets: Secrets,
}

/// A gateway that runs until it is dropped.
pub struct Gateway {
    running: Option<Running>,
    pub address: SocketAddr,
    _folder: TempDir,
}

impl Setup {
    /// A gateway with no rule yet.
    pub fn new() -> Self {
        let folder = tempfile::tempdir().expect("a temporary folder can be made");
        let listen = SocketAddr::from(([127, 0, 0, 1], 0));
        let settings = Settings { listen, rules: folder.path().to_owned(), workers: 2, ..Settings::default() };
        Setup { folder, settings, secrets: Secrets::Real }
    }

    /// Adds a file to the folder of the rules.
    pub fn file(self, name: &str, text: &str) -> Self {
        std::fs::write(self.folder.path().join(name), text).expect("the folder can be written to");
        self
    }

    /// Adds a rule.
    pub fn rule(self, name: &str, text: &str) -> Self {
        self.file(&format!("{name}.toml"), text)
    }

    /// Leads an origin of the rules to another.
    pub fn reroute(mut self, from: &str, to: &str) -> Self {
        let pair = (from.parse().expect("an origin"), to.parse().expect("an origin"));
        self.settings.upstream.reroute.extend([pair]);
        self
    }

    /// Gives secrets by the names of their environment variables.
    pub fn secrets(mut self, pairs: &[(&str, &str)]) -> Self {
        let values = pairs.iter().map(|(name, value)| ((*name).to_owned(), claimsmith::core::Secret::new(*value)));
        self.secrets = Secrets::Given(std::sync::Arc::new(values.collect()));
        self
    }

    /// Changes the settings.
    pub fn with(mut self, change: impl FnOnce(&mut Settings)) -> Self {
        change(&mut self.settings);
        self
    }

    /// Compiles the rules without serving them.
    pub fn load(&self) -> Loaded {
        let host =
            claimsmith::gateway::Upstream::new(&self.settings, self.secrets.clone(), Store::with(&self.settings))
                .expect("a host can be made");
        load(&self.settings, &host).expect("the folder can be read")
    }

    /// A host for the rules, and the rules, without serving. All rules must be sound.
    pub fn host(&self) -> (claimsmith::gateway::Upstream, Loaded) {
        let host =
            claimsmith::gateway::Upstream::new(&self.settings, self.secrets.clone(), Store::with(&self.settings))
                .expect("a host can be made");
        let loaded = load(&self.settings, &host).expect("the folder can be read");
        assert!(loaded.refused.is_empty(), "refused {:?}", loaded.refused);
        (host, loaded)
    }

    /// Answers one request without serving, to see why it fails.
    pub fn outcome(&self, path: &str, token: &str) -> Outcome {
        let host =
            claimsmith::gateway::Upstream::new(&self.settings, self.secrets.clone(), Store::with(&self.settings))
                .expect("a host can be made");
        let loaded = load(&self.settings, &host).expect("the folder can be read");
        let request = http::Request::get(path).header("authorization", format!("Bearer {token}"));
        let request = request.body(bytes::Bytes::new()).expect("a sound request");
        block_on(answer(loaded.routes.find(request.uri().path()), &request, "id", Reception::default(), &host, None))
    }

    /// Serves. All rules must be sound.
    #[track_caller]
    pub fn start(self) -> Gateway {
        let loaded = self.load();
        let problems: Vec<_> = loaded.problems.iter().map(|problem| &problem.message).collect();
        assert!(loaded.refused.is_empty(), "refused {:?}: {problems:?}", loaded.refused);
        let running = start(self.settings, &loaded.routes, &self.secrets).expect("a free port can be bound");
        Gateway { address: running.address(), running: Some(running), _folder: self.folder }
    }
}

impl Gateway {
    /// The address of a path.
    pub fn url(&self, path: &str) -> String {
        format!("http://{}{path}", self.address)
    }

    /// GET with a bearer token.
    pub fn get(&self, path: &str, token: &str) -> Answer {
        block_on(send(client().get(self.url(path)).bearer_auth(token)))
    }

    /// GET with headers of one's own.
    pub fn get_with(&self, path: &str, headers: &[(&str, &str)]) -> Answer {
        let mut request = client().get(self.url(path));
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        block_on(send(request))
    }

    /// The claims that a token gets.
    #[track_caller]
    pub fn claims(&self, path: &str, token: &str) -> BTreeMap<String, serde_json::Value> {
        let answer = self.get(path, token);
        assert_eq!(answer.status, 200, "{}", answer.body);
        serde_json::from_str(&answer.body).expect("claims are an object")
    }
}

impl Drop for Gateway {
    fn drop(&mut self) {
        if let Some(running) = self.running.take() {
            running.stop();
        }
    }
}
