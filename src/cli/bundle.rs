//! `claimsmith bundle`: a folder that is ready to be deployed to a host at the edge, without a Rust toolchain and without
//! a network: what runs there is taken from the release, the rules are data beside it.

use std::{
    collections::BTreeMap,
    fs, io,
    path::{Path, PathBuf},
    sync::Arc,
};

use clap::Args;
use serde_json::{Map, Value, json};
use toml_edit::{DocumentMut, Item, Table};

use super::{DONE, Served, WRONG, output};
use crate::{
    config::{self, Settings},
    core::{
        Compiler, Host, Ingredients, Platform, SecretSource, ingredients,
        problem::{Problem, Severity, Source},
        unfit,
    },
    gateway::{Secrets, Store, Upstream, rule_texts},
};

const WRANGLER: &str = include_str!("../../deploy/cloudflare/wrangler.toml");
const TEMPLATE: &str = include_str!("../../deploy/lambda/template.yaml");
/// Where a component has its rules, and how many bytes there are for them: `deploy/wasi/src/rules.rs`.
const MARK: &[u8; 32] = b"claimsmith: rules begin here >>>";
const ROOM: usize = 256 * 1024;

#[derive(Debug, Args)]
pub(super) struct Arguments {
    /// Where it is to run: cloudflare, lambda or wasi.
    #[arg(long = "host", value_name = "NAME", value_parser = deployable)]
    host: Platform,
    /// The folder to write [default: the name of the host].
    #[arg(long, value_name = "DIR")]
    out: Option<PathBuf>,
    /// What the release has for this host [default: `edge/HOST` beside this program].
    #[arg(long, value_name = "DIR")]
    from: Option<PathBuf>,
    /// Write into a folder that is there already; files of other names stay.
    #[arg(long)]
    force: bool,
    #[command(flatten)]
    served: Served,
}

fn deployable(name: &str) -> Result<Platform, String> {
    match Platform::parse(name) {
        Ok(Platform::Native) | Err(_) => Err("one of cloudflare, lambda, wasi".into()),
        Ok(platform) => Ok(platform),
    }
}

/// The rules of a bundle, and what they need besides.
#[derive(Default)]
struct Bundle {
    rules: BTreeMap<String, String>,
    scripts: BTreeMap<String, String>,
    /// Environment variables or bindings that hold secrets, with the rules that name them.
    secrets: BTreeMap<String, Vec<String>>,
}

impl Bundle {
    /// As a Worker and a component read it.
    fn text(&self) -> String {
        json!({ "rules": self.rules, "scripts": self.scripts }).to_string()
    }
}

pub(super) fn run(arguments: &Arguments) -> Result<u8, String> {
    let settings = config::load(&arguments.served.flags())?.settings;
    let host = arguments.host;
    let (bundle, problems) = gather(&settings, host)?;
    output::show_problems(&problems);
    if problems.iter().any(|problem| problem.severity() == Severity::Error) {
        output::remark(&format!("nothing is written: `claimsmith check --host {}` says more", host.name()));
        return Ok(WRONG);
    }
    for problem in problems.iter().filter(|problem| problem.severity() == Severity::Advice) {
        output::remark(&format!("{}: {}", problem.code.id(), problem.message));
    }
    let out = arguments.out.clone().unwrap_or_else(|| host.name().into());
    if out.exists() && !arguments.force {
        return Err(format!("{} is there already; `--force` writes into it", out.display()));
    }
    let release = release(arguments.from.as_deref(), host)?;
    fs::create_dir_all(&out).map_err(|error| fault(&out, &error))?;
    for file in shipped(host) {
        let to = out.join(file);
        fs::copy(release.join(file), &to).map_err(|error| fault(&to, &error))?;
    }
    match host {
        Platform::Cloudflare => write_worker(&out, &bundle, &settings)?,
        Platform::Wasi => write_component(&out.join(shipped(host)[0]), &bundle)?,
        Platform::Lambda | Platform::Native => write_function(&out, &bundle, &settings)?,
    }
    tell(&out, host, &bundle);
    Ok(DONE)
}

/// The rules that serve by the settings, each held against what the host can do.
fn gather(settings: &Settings, host: Platform) -> Result<(Bundle, Vec<Problem>), String> {
    let upstream = Upstream::new(settings, Secrets::Placeholders, Store::new())?;
    let compiler = Compiler::new::<Upstream>();
    let (mut bundle, mut problems) = (Bundle::default(), Vec::new());
    for (name, source) in rule_texts(settings)?.0 {
        let source: Arc<Source> = source?;
        let vars = settings.rule.get(&name).map(|rule| rule.vars.clone()).unwrap_or_default();
        problems.extend(compiler.compile(&name, &source, &vars, &upstream).1.sorted().into_iter().filter(grave));
        problems.extend(unfit(&source, host));
        let Ingredients { secrets, script } = ingredients(&source);
        for (_, secret) in secrets {
            if let SecretSource::Env(variable) = secret {
                bundle.secrets.entry(variable).or_default().push(name.clone());
            }
        }
        if let Some(file) = script {
            // That it cannot be read is a problem of the rule.
            if let Ok(text) = upstream.script(&file) {
                bundle.scripts.insert(file, text);
            }
        }
        bundle.rules.insert(name, source.text.clone());
    }
    match bundle.rules.is_empty() {
        true => Err("there is no rule to bundle: name some by `--use NAME,NAME` or a folder by `--rules DIR`".into()),
        false => Ok((bundle, problems)),
    }
}

/// Advice about the rule itself is for `check`.
fn grave(problem: &Problem) -> bool {
    problem.severity() > Severity::Advice
}

/// What of the release a folder for this host holds.
fn shipped(host: Platform) -> &'static [&'static str] {
    match host {
        Platform::Cloudflare => &["claimsmith.wasm", "claimsmith.js", "core.mjs", "worker.mjs"],
        Platform::Wasi => &["claimsmith.wasm"],
        Platform::Lambda | Platform::Native => &["bootstrap"],
    }
}

/// The folder of the release that has what runs on this host.
fn release(given: Option<&Path>, host: Platform) -> Result<PathBuf, String> {
    let beside =
        std::env::current_exe().ok().and_then(|program| Some(program.parent()?.join("edge").join(host.name())));
    let places: Vec<_> = given.map(Path::to_owned).or(beside).into_iter().collect();
    let whole = |place: &&PathBuf| shipped(host).iter().all(|file| place.join(file).is_file());
    places.iter().find(whole).cloned().ok_or_else(|| {
        let names: Vec<_> = places.iter().map(|place| place.display().to_string()).collect();
        format!(
            "{} not in {}: unpack `edge/{host}` of the release of version {} beside this program, or name the folder by \
             `--from`; from the sources `deploy/{host}/build` builds it",
            shipped(host).join(", "),
            names.join(", "),
            env!("CARGO_PKG_VERSION"),
            host = host.name(),
        )
    })
}

fn write_worker(out: &Path, bundle: &Bundle, settings: &Settings) -> Result<(), String> {
    write(out, "rules.json", &bundle.text())?;
    let mut wrangler: DocumentMut = WRANGLER.parse().map_err(|error| format!("wrangler.toml: {error}"))?;
    let vars = vars(bundle, settings);
    if !vars.is_empty() {
        let mut table = Table::new();
        table.insert("rule", Item::Value(in_toml(&json!(vars))?));
        let mut outer = Table::new();
        outer.set_implicit(true);
        outer.insert("CLAIMSMITH", Item::Table(table));
        wrangler.insert("vars", Item::Table(outer));
    }
    write(out, "wrangler.toml", &wrangler.to_string())
}

/// Puts the rules into a component, in the place of the spaces that it has for them.
fn write_component(file: &Path, bundle: &Bundle) -> Result<(), String> {
    let text = bundle.text();
    if text.len() > ROOM {
        return Err(format!("the rules have {} bytes, and a component has room for {ROOM}: use fewer", text.len()));
    }
    let mut bytes = fs::read(file).map_err(|error| fault(file, &error))?;
    let mark = bytes.windows(MARK.len()).position(|window| window == MARK).map(|at| at + MARK.len());
    let room = mark.and_then(|from| bytes.get_mut(from..from + ROOM));
    let room = room.ok_or_else(|| format!("{} is no component of claimsmith", file.display()))?;
    room.fill(b' ');
    room[..text.len()].copy_from_slice(text.as_bytes());
    fs::write(file, bytes).map_err(|error| fault(file, &error))
}

fn write_function(out: &Path, bundle: &Bundle, settings: &Settings) -> Result<(), String> {
    let folder = out.join("rules");
    fs::create_dir_all(&folder).map_err(|error| fault(&folder, &error))?;
    let rules = bundle.rules.iter().map(|(name, text)| (format!("{name}.toml"), text));
    for (file, text) in rules.chain(bundle.scripts.iter().map(|(file, text)| (file.clone(), text))) {
        write(&folder, &file, text)?;
    }
    let vars = vars(bundle, settings);
    if !vars.is_empty() {
        let mut file = DocumentMut::new();
        file.insert("rule", Item::Value(in_toml(&json!(vars))?));
        write(out, "claimsmith.toml", &file.to_string())?;
    }
    write(out, "template.yaml", TEMPLATE)
}

/// The vars that the settings give to rules of the bundle.
fn vars(bundle: &Bundle, settings: &Settings) -> Map<String, Value> {
    let of = settings.rule.iter().filter(|(name, rule)| bundle.rules.contains_key(*name) && !rule.vars.is_empty());
    of.map(|(name, rule)| (name.clone(), json!({ "vars": rule.vars }))).collect()
}

fn in_toml(value: &Value) -> Result<toml_edit::Value, String> {
    Ok(match value {
        Value::Bool(value) => (*value).into(),
        Value::String(text) => text.as_str().into(),
        Value::Array(values) => values.iter().map(in_toml).collect::<Result<toml_edit::Array, _>>()?.into(),
        Value::Object(members) => {
            let members = members.iter().filter(|(_, value)| !value.is_null());
            let members = members.map(|(name, value)| Ok((name.clone(), in_toml(value)?)));
            members.collect::<Result<Vec<_>, String>>()?.into_iter().collect::<toml_edit::InlineTable>().into()
        }
        Value::Number(number) => match (number.as_i64(), number.as_f64()) {
            (Some(number), _) => number.into(),
            (None, Some(number)) if number.fract() != 0.0 => number.into(),
            _ => return Err(format!("a var is a number that cannot be written there: {number}; write it as a text")),
        },
        Value::Null => return Err("a list of vars holds null, which cannot be written there".into()),
    })
}

fn write(folder: &Path, file: &str, text: &str) -> Result<(), String> {
    let path = folder.join(file);
    fs::write(&path, text).map_err(|error| fault(&path, &error))
}

fn fault(path: &Path, error: &io::Error) -> String {
    format!("cannot write {}: {error}", path.display())
}

/// What is left to do.
fn tell(out: &Path, host: Platform, bundle: &Bundle) {
    let folder = out.display();
    output::say(&format!("wrote {folder} with {}", output::count(bundle.rules.len(), "rule")));
    output::say(&match host {
        Platform::Cloudflare => format!("cd {folder} && npx wrangler deploy"),
        Platform::Wasi => format!("wasmtime serve -Scli {folder}/claimsmith.wasm"),
        Platform::Lambda | Platform::Native => format!("cd {folder} && sam deploy --guided"),
    });
    for (variable, rules) in &bundle.secrets {
        let rules = rules.join(", ");
        output::say(&match host {
            Platform::Cloudflare => format!("npx wrangler secret put {variable}    # {rules}"),
            Platform::Wasi => format!("{variable}: a variable of the environment, `--env`    # {rules}"),
            Platform::Lambda | Platform::Native => {
                format!("{variable}: a parameter, or a variable of the function    # {rules}")
            }
        });
    }
    let names: Vec<_> = bundle.rules.keys().map(|name| format!("/{name}")).collect();
    output::say(&format!("User info URL: the address that it prints, and {}", names.join(" or ")));
}
