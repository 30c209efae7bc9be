//! `claimsmith lsp`: a language server for rules and their cases, over standard input and output.
//!
//! ```text
//!  message ──> workspace ──> outline ──> here ──> complete, hover, definition
//!              (open texts)  (tokens)    (a place)
//!                       └──> diagnose (the compiler)        └──> format (as `fmt`)
//! ```
//!
//! It writes no file. Only what is asked at a place is found out by tokens, which every text has; what is wrong with
//! a text is what `claimsmith check` says of it.

mod definition;
mod diagnose;
mod place;
mod transport;
mod workspace;

use std::collections::{BTreeMap, BTreeSet};

use clap::Args;
use lsp_server::{Connection, ErrorCode, Message, Notification, Request, Response};
use serde_json::{Value, json};

use self::{
    definition::Target,
    workspace::{Workspace, beside, kind, stem},
};
use super::{Common, DONE};
use crate::{
    authoring::{
        complete::{self, Item},
        draft,
        here::{Here, Kind},
        hover,
    },
    config::{self, Settings},
    core::{Compiler, format, problem::Source},
};

#[derive(Debug, Args)]
pub(super) struct Arguments {
    /// Editors say so; there is no other way to speak to it.
    #[arg(long, hide = true)]
    stdio: bool,
    #[command(flatten)]
    common: Common,
}

/// The most that is offered at once; an editor asks again as more is typed.
const MOST_ITEMS: usize = 300;

pub(super) fn run(arguments: &Arguments) -> Result<u8, String> {
    let settings = config::load(&arguments.common.flags())?.settings;
    let (connection, threads) = transport::start()?;
    // What was sent instead may be anything, so it is not shown.
    let fault = |_| "the editor does not speak the protocol as it should".to_owned();
    let (id, _) = connection.initialize_start().map_err(fault)?;
    connection.initialize_finish(id, abilities()).map_err(fault)?;
    let mut server = Server {
        connection: &connection,
        workspace: Workspace::default(),
        settings,
        compiler: draft::compiler(),
        stale: BTreeSet::new(),
        told: BTreeMap::new(),
    };
    for message in &connection.receiver {
        match message {
            Message::Request(request) => {
                if connection.handle_shutdown(&request).map_err(fault)? {
                    break;
                }
                server.answer(request);
            }
            Message::Notification(notification) => server.note(&notification),
            Message::Response(_) => {}
        }
        // Who types fast is told once.
        if connection.receiver.is_empty() {
            server.tell();
        }
    }
    drop(server);
    drop(connection);
    threads.join()?;
    Ok(DONE)
}

/// What the server offers.
fn abilities() -> Value {
    json!({
        "capabilities": {
            "positionEncoding": "utf-16",
            "textDocumentSync": { "openClose": true, "change": 1, "save": true },
            "completionProvider": { "triggerCharacters": [".", "$", "{", "[", "\"", "'", "@", "="] },
            "hoverProvider": true,
            "definitionProvider": true,
            "documentFormattingProvider": true,
        },
        "serverInfo": { "name": "claimsmith", "version": env!("CARGO_PKG_VERSION") },
    })
}

struct Server<'a> {
    connection: &'a Connection,
    workspace: Workspace,
    settings: Settings,
    compiler: Compiler,
    /// Texts that were changed since they were looked at.
    stale: BTreeSet<String>,
    /// The texts that something was said of, by the text that was looked at.
    told: BTreeMap<String, BTreeSet<String>>,
}

impl Server<'_> {
    /// An editor that is gone hears nothing, which ends the loop.
    fn send(&self, message: impl Into<Message>) {
        let _ = self.connection.sender.send(message.into());
    }

    fn answer(&self, request: Request) {
        let answered = match request.method.as_str() {
            "textDocument/completion" => self.at(&request.params, completions),
            "textDocument/hover" => self.at(&request.params, |_, here| hovered(here)),
            "textDocument/definition" => self.at(&request.params, |uri, here| defined(&self.workspace, uri, here)),
            "textDocument/formatting" => self.formatted(&request.params),
            _ => {
                let words = format!("there is no {}", request.method);
                return self.send(Response::new_err(request.id, ErrorCode::MethodNotFound as i32, words));
            }
        };
        self.send(match answered {
            Some(result) => Response::new_ok(request.id, result),
            None => Response::new_err(request.id, ErrorCode::InvalidParams as i32, "no such text or place".into()),
        });
    }

    /// What there is to say of a place; `None` if there is no such place.
    fn at(&self, params: &Value, say: impl Fn(&str, &Here<'_>) -> Value) -> Option<Value> {
        let uri = params["textDocument"]["uri"].as_str()?;
        let text = self.workspace.text(uri)?;
        let at = place::byte(text, &params["position"])?;
        Some(self.workspace.here(uri, text, at).map_or(Value::Null, |here| say(uri, &here)))
    }

    fn formatted(&self, params: &Value) -> Option<Value> {
        let uri = params["textDocument"]["uri"].as_str()?;
        let text = self.workspace.text(uri)?;
        let formatted = (kind(uri) != Kind::Script).then(|| format(&Source::new(uri, text)));
        Some(match formatted {
            Some(Ok(new)) if new != text => json!([{ "range": place::range(text, &(0..text.len())), "newText": new }]),
            _ => json!([]),
        })
    }

    fn note(&mut self, notification: &Notification) {
        let params = &notification.params;
        let Some(uri) = params["textDocument"]["uri"].as_str() else { return };
        match notification.method.as_str() {
            "textDocument/didOpen" => {
                if let Some(text) = params["textDocument"]["text"].as_str() {
                    self.workspace.put(uri, text.to_owned());
                }
            }
            "textDocument/didChange" => {
                // Whole texts, as was agreed; the last one counts.
                let changes = params["contentChanges"].as_array();
                if let Some(text) = changes.and_then(|changes| changes.last()?["text"].as_str()) {
                    self.workspace.put(uri, text.to_owned());
                }
            }
            "textDocument/didClose" => {
                self.workspace.close(uri);
                for told in self.told.remove(uri).unwrap_or_default() {
                    self.publish(&told, &[]);
                }
            }
            "textDocument/didSave" => {}
            _ => return,
        }
        self.stale.insert(uri.to_owned());
        // A rule is judged with its script, and by whether it has cases.
        let name = stem(uri);
        let near = self.workspace.uris().filter(|open| kind(open) == Kind::Rule && is_near(open, uri, &name));
        self.stale.extend(near.cloned().collect::<Vec<_>>());
    }

    /// Looks at what was changed, and says what is wrong there.
    fn tell(&mut self) {
        for uri in std::mem::take(&mut self.stale) {
            if self.workspace.text(&uri).is_none() {
                continue;
            }
            let found = diagnose::diagnose(&self.workspace, &uri, &self.settings, &self.compiler);
            let now: BTreeSet<_> = found.keys().cloned().collect();
            let before = self.told.insert(uri, now.clone()).unwrap_or_default();
            for gone in before.difference(&now) {
                self.publish(gone, &[]);
            }
            for (place, diagnostics) in &found {
                self.publish(place, diagnostics);
            }
        }
    }

    fn publish(&self, uri: &str, diagnostics: &[Value]) {
        let params = json!({ "uri": uri, "diagnostics": diagnostics });
        self.send(Notification { method: "textDocument/publishDiagnostics".into(), params });
    }
}

/// True for a rule that a changed text belongs to.
fn is_near(rule: &str, changed: &str, name: &str) -> bool {
    let folder = |uri: &str| uri.rsplit_once('/').map(|(folder, _)| folder.to_owned());
    rule != changed && folder(rule) == folder(changed) && (kind(changed) == Kind::Script || stem(rule) == name)
}

fn completions(_: &str, here: &Here<'_>) -> Value {
    let items = complete::complete(here);
    let whole = items.len() <= MOST_ITEMS;
    let items: Vec<_> =
        items.into_iter().take(MOST_ITEMS).enumerate().map(|(at, item)| shown(here, at, item)).collect();
    json!({ "isIncomplete": !whole, "items": items })
}

fn shown(here: &Here<'_>, at: usize, item: Item) -> Value {
    let mut shown = json!({
        "label": item.label,
        "kind": item.kind,
        // In the order of the rule language, not of the alphabet.
        "sortText": format!("{at:04}"),
        "textEdit": { "range": place::range(here.text, &item.span), "newText": item.text },
    });
    // What is typed already has to match what is written, or an editor hides the item.
    if item.text.starts_with(['[', '"']) {
        shown["filterText"] = item.text.clone().into();
    }
    if !item.detail.is_empty() {
        shown["detail"] = item.detail.into();
    }
    if !item.doc.is_empty() {
        shown["documentation"] = json!({ "kind": "markdown", "value": item.doc });
    }
    shown
}

fn hovered(here: &Here<'_>) -> Value {
    let Some((words, span)) = hover::hover(here) else { return Value::Null };
    json!({ "contents": { "kind": "markdown", "value": words }, "range": place::range(here.text, &span) })
}

fn defined(workspace: &Workspace, uri: &str, here: &Here<'_>) -> Value {
    let start = json!({ "line": 0, "character": 0 });
    match (definition::definition(here), &here.rule) {
        (Some(Target::Rule(span)), Some(rule)) => json!({ "uri": rule.uri, "range": place::range(&rule.text, &span) }),
        (Some(Target::File(name)), _) => match beside(uri, &name) {
            Some(file) if workspace.exists(&file) => json!({ "uri": file, "range": { "start": start, "end": start } }),
            _ => Value::Null,
        },
        _ => Value::Null,
    }
}
