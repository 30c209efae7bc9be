//! What an isolate holds: the rules of the bundle, compiled when they are asked for first.

use std::{
    cell::{Cell, OnceCell, RefCell},
    collections::HashMap,
    rc::Rc,
};

use claimsmith::core::{
    CompiledRule, Compiler, Platform,
    problem::{Severity, Source, as_json},
    unfit,
};
use serde::Deserialize;
use wasm_bindgen::{JsValue, prelude::wasm_bindgen};

use crate::{
    settings::Settings,
    store::Store,
    task::{Arrived, Task},
    visit::{Outside, Visit},
};

#[wasm_bindgen]
extern "C" {
    /// A binding of the Worker as a text; nothing if there is none, or if it is no text.
    pub type Bindings;

    #[wasm_bindgen(method)]
    fn get(this: &Bindings, name: &str) -> Option<String>;

    #[wasm_bindgen(js_namespace = console, js_name = error)]
    fn console_error(line: &str);

    #[wasm_bindgen(js_namespace = console, js_name = warn)]
    fn console_warn(line: &str);
}

/// What `claimsmith bundle` writes.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Bundle {
    /// The texts of the rules, by their names.
    rules: HashMap<String, String>,
    /// Script files beside them.
    #[serde(default)]
    scripts: HashMap<String, String>,
}

/// All that serves.
#[wasm_bindgen]
pub struct Gateway {
    rules: Rc<Rules>,
}

/// Rules, settings and what is kept.
pub struct Rules {
    /// The settings of the Worker.
    pub settings: Settings,
    /// What is kept between requests.
    pub store: Store,
    compiler: OnceCell<Compiler>,
    texts: HashMap<String, String>,
    scripts: HashMap<String, String>,
    /// Those that were asked for; none where a rule is refused.
    compiled: RefCell<HashMap<String, Option<Rc<CompiledRule>>>>,
    bindings: Bindings,
    /// Requests get ids that differ between isolates.
    prefix: String,
    next: Cell<u64>,
}

#[wasm_bindgen]
impl Gateway {
    /// A gateway for the rules of a bundle; `random` has 40 bytes.
    ///
    /// # Errors
    /// A sentence, when settings or bundle are not what they must be.
    #[wasm_bindgen(constructor)]
    pub fn new(bundle: &str, settings: &str, bindings: Bindings, random: &[u8]) -> Result<Gateway, JsValue> {
        let fault = |what: &str, error: serde_json::Error| JsValue::from(format!("{what}: {error}"));
        let settings: Settings =
            serde_json::from_str(settings).map_err(|error| fault("the binding CLAIMSMITH", error))?;
        let Bundle { rules, scripts } = serde_json::from_str(bundle).map_err(|error| fault("rules.json", error))?;
        let (key, rest) = random.split_first_chunk::<32>().ok_or("too little randomness")?;
        let prefix = rest.iter().map(|byte| format!("{byte:02x}")).collect::<String>() + "-";
        let store = Store::new(key, settings.cache.max_bytes);
        let rules = Rules {
            settings,
            store,
            compiler: OnceCell::new(),
            texts: rules,
            scripts,
            compiled: RefCell::default(),
            bindings,
            prefix,
            next: Cell::new(1),
        };
        Ok(Gateway { rules: Rc::new(rules) })
    }

    /// Bytes of a request's body that are read at most.
    #[wasm_bindgen(getter)]
    pub fn max_request_body(&self) -> f64 {
        self.rules.settings.max_request_body as f64
    }

    /// Begins to answer a request. `fault` is 1 if its body is too large, 2 if it broke off.
    pub fn begin(&self, method: &str, target: &str, headers: &str, body: Vec<u8>, fault: u8, outside: Outside) -> Task {
        let visit = Visit::new(outside, self.rules.clone());
        Task::new(Arrived { method, target, headers, body, fault }, self.rules.clone(), visit)
    }
}

impl Rules {
    /// The rule at a path, compiled if nobody asked for it before.
    pub fn find(&self, path: &str, visit: &Visit) -> Option<Rc<CompiledRule>> {
        let (name, text) = self.texts.get_key_value(path.strip_prefix('/')?)?;
        if let Some(known) = self.compiled.borrow().get(name) {
            return known.clone();
        }
        let rule = self.compile(name, text, visit).map(Rc::new);
        self.compiled.borrow_mut().insert(name.clone(), rule.clone());
        rule
    }

    fn compile(&self, name: &str, text: &str, visit: &Visit) -> Option<CompiledRule> {
        let none = serde_json::Map::new();
        let vars = self.settings.rule.get(name).map_or(&none, |rule| &rule.vars);
        let compiler = self.compiler.get_or_init(Compiler::new::<Visit>);
        let source = Source::new(format!("{name}.toml"), text);
        let (rule, problems) = compiler.compile(name, &source, vars, visit);
        let mut problems = problems.sorted();
        problems.extend(unfit(&source, Platform::Cloudflare));
        let refused = problems.iter().any(|problem| problem.severity() == Severity::Error);
        for problem in problems.iter().filter(|problem| problem.severity() > Severity::Advice) {
            let mut line = as_json(problem);
            line["rule"] = name.into();
            match problem.severity() {
                Severity::Error => console_error(&line.to_string()),
                Severity::Warning | Severity::Advice => console_warn(&line.to_string()),
            }
        }
        rule.filter(|_| !refused)
    }

    /// A secret of the Worker.
    pub fn secret(&self, name: &str) -> Option<String> {
        self.bindings.get(name)
    }

    /// A script file of the bundle.
    pub fn script(&self, file: &str) -> Option<String> {
        self.scripts.get(file).cloned()
    }

    /// The id of the next request.
    pub fn next_id(&self) -> String {
        let number = self.next.get();
        self.next.set(number.wrapping_add(1));
        format!("{}{number:x}", self.prefix)
    }
}
