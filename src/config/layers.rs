//! Where settings come from: defaults < file < environment < flags.
//!
//! Every value keeps the layer that it came from, so that `claimsmith config` can tell, and so that a change can be
//! told from a value that stayed.

use std::{
    collections::{BTreeMap, BTreeSet},
    fs, io,
    net::SocketAddr,
    path::{Path, PathBuf},
};

use figment::{
    Figment, Metadata, Profile, Provider, Source,
    error::Kind,
    providers::Env,
    value::{Dict, Map, Value},
};
use serde::Serialize;

use super::{Format, Level, Settings, otlp};
use crate::core::problem::did_you_mean;

/// The file that is read when none is named.
const DEFAULT_FILE: &str = "claimsmith.toml";
const PREFIX: &str = "CLAIMSMITH_";

/// What the command line says.
#[derive(Clone, Debug, Default, Serialize)]
pub struct Flags {
    /// The settings file.
    #[serde(skip)]
    pub config: Option<PathBuf>,
    /// `--listen`
    #[serde(skip_serializing_if = "Option::is_none")]
    pub listen: Option<SocketAddr>,
    /// `--rules`
    #[serde(skip_serializing_if = "Option::is_none")]
    pub rules: Option<PathBuf>,
    /// `--use`
    #[serde(rename = "use", skip_serializing_if = "Vec::is_empty")]
    pub shipped: Vec<String>,
    /// `--workers`
    #[serde(skip_serializing_if = "Option::is_none")]
    pub workers: Option<usize>,
    /// `--log-format` and `--log-level`
    #[serde(skip_serializing_if = "LogFlags::is_empty")]
    pub log: LogFlags,
}

/// What the command line says of logging.
#[derive(Clone, Copy, Debug, Default, Serialize)]
pub struct LogFlags {
    /// `--log-level`
    #[serde(skip_serializing_if = "Option::is_none")]
    pub level: Option<Level>,
    /// `--log-format`
    #[serde(skip_serializing_if = "Option::is_none")]
    pub format: Option<Format>,
}

impl LogFlags {
    fn is_empty(&self) -> bool {
        self.level.is_none() && self.format.is_none()
    }
}

/// The effective settings, and where each value came from.
#[derive(Clone, Debug)]
pub struct Config {
    /// The values.
    pub settings: Settings,
    figment: Figment,
}

/// The settings file that is read, whether it is there or not.
pub fn file(flags: &Flags) -> PathBuf {
    named(flags).unwrap_or_else(|| PathBuf::from(DEFAULT_FILE))
}

#[expect(clippy::disallowed_methods, reason = "settings are read here")]
fn named(flags: &Flags) -> Option<PathBuf> {
    flags.config.clone().or_else(|| std::env::var_os(format!("{PREFIX}CONFIG")).map(PathBuf::from))
}

/// Reads all layers.
///
/// # Errors
/// A sentence for each fault: the key, the layer it stands in, and what is wrong.
#[expect(clippy::disallowed_methods, reason = "settings are read here")]
pub fn load(flags: &Flags) -> Result<Config, String> {
    let named = named(flags);
    let mut figment = Figment::from(Layer::new("defaults", None, &Settings::default())?);
    figment = figment.merge(Layer { name: "environment", path: None, dict: standard()? });
    let path = named.clone().unwrap_or_else(|| PathBuf::from(DEFAULT_FILE));
    match fs::read_to_string(&path) {
        Ok(text) => {
            let dict: Dict = toml::from_str(&text).map_err(|error| {
                let before = error.span().and_then(|span| text.get(..span.start)).unwrap_or_default();
                let (line, start) = (before.matches('\n').count() + 1, before.rfind('\n').map_or(0, |at| at + 1));
                let column = before[start..].chars().count() + 1;
                format!("{}:{line}:{column}: not TOML: {}", path.display(), one_line(error.message()))
            })?;
            figment = figment.merge(Layer { name: "file", path: Some(path), dict });
        }
        Err(error) if error.kind() == io::ErrorKind::NotFound && named.is_none() => {}
        Err(error) => return Err(format!("cannot read the settings file {}: {error}", path.display())),
    }
    // These two say where settings and the caller's token come from; they are no settings.
    let environment = Env::prefixed(PREFIX).ignore(&["config", "token"]).split("__");
    figment = figment.merge(environment).merge(Layer::new("flags", None, flags)?);
    let settings = figment
        .extract::<Settings>()
        .map_err(|errors| errors.into_iter().map(|error| explain(&error)).collect::<Vec<_>>().join("\n"))?;
    settings.check()?;
    Ok(Config { settings, figment })
}

/// What the variables say that all programs with OpenTelemetry read.
#[expect(clippy::disallowed_methods, reason = "settings are read here")]
fn standard() -> Result<Dict, String> {
    let variable = |name: &str| std::env::var(name).ok().filter(|value| !value.is_empty());
    let attributes = variable("OTEL_RESOURCE_ATTRIBUTES").map(|text| otlp::attributes(&text));
    let otlp = serde_json::json!({
        "endpoint": variable("OTEL_EXPORTER_OTLP_ENDPOINT"),
        "service": variable("OTEL_SERVICE_NAME"),
        "attributes": attributes,
    });
    Layer::new("environment", None, &serde_json::json!({ "otlp": otlp })).map(|layer| layer.dict)
}

/// Settings that are taken over while the process runs; all others need a restart.
const LIVE: [&str; 11] = [
    "access",
    "deadline",
    "drain",
    "max_request_body",
    "max_request_headers",
    "max_requests",
    "query_token",
    "rule",
    "rules",
    "stop_delay",
    "use",
];

/// What has changed between two readings of the settings.
#[derive(Debug, PartialEq, Eq)]
pub struct Changes {
    /// The keys of what is taken over.
    pub live: Vec<String>,
    /// The keys of what waits for a restart.
    pub restart: Vec<String>,
}

impl Settings {
    /// The settings as they are to be from now on: those of `new` that can be taken over, the others as they were.
    ///
    /// # Errors
    /// Never in practice: what was read once can be read again.
    pub fn adopt(&self, new: &Settings) -> Result<Settings, String> {
        let fault = |error: serde_json::Error| format!("settings: {error}");
        let mut adopted = serde_json::to_value(self).map_err(fault)?;
        let new = serde_json::to_value(new).map_err(fault)?;
        for key in LIVE {
            adopted[key] = new[key].clone();
        }
        serde_json::from_value(adopted).map_err(fault)
    }
}

/// The caller's token for `claimsmith try`, from CLAIMSMITH_TOKEN.
#[expect(clippy::disallowed_methods, reason = "settings and what stands beside them are read here")]
pub fn token() -> Option<String> {
    std::env::var(format!("{PREFIX}TOKEN")).ok().filter(|token| !token.is_empty())
}

fn one_line(text: &str) -> String {
    text.split_whitespace().collect::<Vec<_>>().join(" ")
}

fn explain(error: &figment::Error) -> String {
    let key = error.path.join(".");
    let layer = error.metadata.as_ref().map(origin).unwrap_or_default();
    let at = if key.is_empty() { String::new() } else { format!("`{key}`: ") };
    let from = if layer.is_empty() { String::new() } else { format!(" ({layer})") };
    let fault = match &error.kind {
        Kind::UnknownField(name, known) => {
            format!("there is no such key; {}", did_you_mean(name, known.iter().copied()))
        }
        kind => kind.to_string(),
    };
    format!("settings: {at}{fault}{from}")
}

/// The words for a layer.
fn origin(metadata: &Metadata) -> String {
    match &metadata.source {
        Some(Source::File(path)) => path.display().to_string(),
        _ if metadata.name.contains("environment") => "environment".into(),
        _ => metadata.name.clone().into_owned(),
    }
}

impl Config {
    /// What a later reading says otherwise.
    pub fn changes(&self, new: &Config) -> Changes {
        let values = |config: &Config| -> BTreeMap<String, String> {
            config.table().into_iter().map(|(key, value, _)| (key, value)).collect()
        };
        let (old, new) = (values(self), values(new));
        let keys: BTreeSet<_> = old.keys().chain(new.keys()).collect();
        let changed = keys.into_iter().filter(|key| old.get(*key) != new.get(*key)).cloned();
        let is_live = |key: &String| LIVE.contains(&key.split('.').next().unwrap_or_default());
        let (live, restart) = changed.partition(is_live);
        Changes { live, restart }
    }

    /// Every setting with its value as TOML and its origin, in the order of the keys.
    pub fn table(&self) -> Vec<(String, String, String)> {
        let mut rows = Vec::new();
        if let Ok(Value::Dict(_, settings)) = Value::serialize(&self.settings) {
            self.rows("", &settings, &mut rows);
        }
        rows
    }

    fn rows(&self, prefix: &str, dict: &Dict, rows: &mut Vec<(String, String, String)>) {
        for (name, value) in dict {
            let quoted = if name.chars().all(|c| c.is_ascii_alphanumeric() || c == '_' || c == '-') {
                name.clone()
            } else {
                format!("{name:?}")
            };
            let key = if prefix.is_empty() { quoted } else { format!("{prefix}.{quoted}") };
            match value {
                Value::Dict(_, inner) => self.rows(&key, inner, rows),
                Value::Empty(..) => {}
                value => {
                    // A key with dots in it cannot be asked for, but the table that it is in can.
                    let asked = if key.contains('"') { prefix } else { &key };
                    let origin = self.figment.find_metadata(asked).map(origin).unwrap_or_default();
                    rows.push((key, literal(value), origin));
                }
            }
        }
    }
}

/// A value as TOML writes it in one line.
fn literal(value: &Value) -> String {
    match value {
        Value::String(_, text) => format!("{text:?}"),
        Value::Bool(_, flag) => flag.to_string(),
        Value::Num(_, number) => match (number.to_i128(), number.to_u128()) {
            (Some(number), _) => number.to_string(),
            (_, Some(number)) => number.to_string(),
            _ => number.to_f64().unwrap_or_default().to_string(),
        },
        Value::Char(_, c) => format!("{:?}", c.to_string()),
        Value::Array(_, items) => format!("[{}]", items.iter().map(literal).collect::<Vec<_>>().join(", ")),
        Value::Dict(_, dict) => {
            let members = dict.iter().map(|(key, value)| format!("{key} = {}", literal(value)));
            format!("{{ {} }}", members.collect::<Vec<_>>().join(", "))
        }
        Value::Empty(..) => String::new(),
    }
}

/// One layer of settings.
struct Layer {
    name: &'static str,
    path: Option<PathBuf>,
    dict: Dict,
}

impl Layer {
    fn new(name: &'static str, path: Option<&Path>, values: &impl Serialize) -> Result<Self, String> {
        match Value::serialize(values) {
            Ok(Value::Dict(_, dict)) => Ok(Layer { name, path: path.map(Path::to_owned), dict: without_empty(dict) }),
            Ok(_) => Ok(Layer { name, path: None, dict: Dict::new() }),
            Err(error) => Err(format!("settings: {error}")),
        }
    }
}

/// Absent values would hide those of lower layers.
fn without_empty(dict: Dict) -> Dict {
    dict.into_iter()
        .filter_map(|(key, value)| match value {
            Value::Empty(..) => None,
            Value::Dict(tag, inner) => Some((key, Value::Dict(tag, without_empty(inner)))),
            value => Some((key, value)),
        })
        .collect()
}

impl Provider for Layer {
    fn metadata(&self) -> Metadata {
        match &self.path {
            Some(path) => Metadata::from(self.name, path.as_path()),
            None => Metadata::named(self.name),
        }
    }

    fn data(&self) -> Result<Map<Profile, Dict>, figment::Error> {
        Ok(Map::from([(Profile::Default, self.dict.clone())]))
    }
}
