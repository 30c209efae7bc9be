//! The playground without a server: questions of the page, answered in the browser.

use std::{
    pin::pin,
    task::{Context, Poll, Waker},
    time::Duration,
};

use claimsmith::{
    authoring::{Playground, Surroundings},
    catalogue::Catalogue,
};
use serde_json::{Map, Value, json};
use wasm_bindgen::prelude::wasm_bindgen;

#[wasm_bindgen]
extern "C" {
    /// Milliseconds since the page was opened.
    #[wasm_bindgen(js_namespace = performance, js_name = now)]
    fn millis() -> f64;
}

fn clock() -> Duration {
    Duration::from_secs_f64(millis().max(0.0) / 1000.0)
}

/// What answers the questions of a page.
#[wasm_bindgen]
pub struct Engine {
    playground: Playground,
    catalogue: Catalogue,
}

#[wasm_bindgen]
impl Engine {
    /// One that knows the rules that are shipped.
    #[wasm_bindgen(constructor)]
    pub fn new() -> Engine {
        Engine { playground: Playground::new(clock), catalogue: Catalogue::open() }
    }

    /// Answers a question, as JSON: `answer`, or `error` with why there is none.
    pub fn ask(&self, question: &str, body: &str) -> String {
        let vars = Map::new();
        let files = |_: &str| -> Result<Vec<u8>, String> { Err("no file stands beside a rule here".into()) };
        let around = Surroundings { files: &files, vars: &vars };
        let mut asked = pin!(self.playground.ask(question, body.as_bytes(), &around));
        let mut context = Context::from_waker(Waker::noop());
        // Recorded answers are there at once: whatever is not ready lets others go first, and is ready then.
        let answer = loop {
            if let Poll::Ready(answer) = asked.as_mut().poll(&mut context) {
                break answer;
            }
        };
        told(answer)
    }

    /// The names of the rules that are shipped, as JSON.
    pub fn names(&self) -> String {
        self.catalogue.iter().map(|shipped| Value::from(shipped.name)).collect::<Value>().to_string()
    }

    /// A rule that is shipped, as JSON.
    pub fn open(&self, name: &str) -> String {
        let shipped = |shipped: claimsmith::catalogue::Shipped<'_>| {
            json!({ "name": shipped.name, "rule": shipped.rule, "cases": shipped.cases, "mark": null })
        };
        told(self.catalogue.find(name).map(shipped))
    }
}

impl Default for Engine {
    fn default() -> Self {
        Engine::new()
    }
}

fn told(answer: Result<Value, String>) -> String {
    match answer {
        Ok(answer) => json!({ "answer": answer }).to_string(),
        Err(error) => json!({ "error": error }).to_string(),
    }
}
