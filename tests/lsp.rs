//! The language server's ends: what it says first and last, and what is no protocol at all. What it knows of rules is
//! asked by a real client, in `tests/clients/language-server.test.mjs`.

use serde_json::{Value, json};

use crate::cli::{Run, claimsmith, folder, run_with};

fn message(content: &Value) -> String {
    let text = content.to_string();
    format!("Content-Length: {}\r\n\r\n{text}", text.len())
}

/// What the server says to these messages, after `initialize`.
fn told(messages: &[Value]) -> (Run, Vec<Value>) {
    let mut input =
        message(&json!({ "jsonrpc": "2.0", "id": 1, "method": "initialize", "params": { "capabilities": {} } }));
    input.push_str(&message(&json!({ "jsonrpc": "2.0", "method": "initialized", "params": {} })));
    input.extend(messages.iter().map(message));
    let ran = run_with(claimsmith(&["lsp"]), &input);
    let parts = ran.out.split("Content-Length: ").skip(1).map(|part| {
        let (length, text) = part.split_once("\r\n\r\n").expect("a head ends");
        assert_eq!(length, text.len().to_string());
        serde_json::from_str(text).expect("it is JSON")
    });
    let parts = parts.collect();
    (ran, parts)
}

#[test]
fn it_speaks_from_initialize_to_exit() {
    let folder = folder(&[]);
    let uri = format!("file://{}/acme.toml", folder.path().display());
    let opened = json!({ "textDocument": { "uri": uri, "languageId": "toml", "version": 1, "text": "# 😀\n[call.user]\nulr = 1\n" } });
    let (ran, told) = told(&[
        json!({ "jsonrpc": "2.0", "method": "textDocument/didOpen", "params": opened }),
        json!({ "jsonrpc": "2.0", "id": 2, "method": "textDocument/nothing", "params": {} }),
        json!({ "jsonrpc": "2.0", "id": 3, "method": "shutdown" }),
        json!({ "jsonrpc": "2.0", "method": "exit" }),
    ]);
    assert_eq!((ran.code, &*ran.err), (Some(0), ""));
    assert_eq!(told[0]["result"]["serverInfo"]["name"], "claimsmith");
    let of = |method: &str| told.iter().find(|one| one["method"] == method);
    assert_eq!(told.iter().find(|one| one["id"] == 2).expect("it answers")["error"]["code"], -32601);
    // What is wrong is told before the end, or not at all if the end came first.
    if let Some(told) = of("textDocument/publishDiagnostics") {
        assert_eq!(told["params"]["diagnostics"][0]["code"], "CS1002", "{told}");
    }
}

#[test]
fn what_is_no_protocol_ends_it_in_order() {
    for (input, code) in [
        ("", 2),
        ("GET / HTTP/1.1\r\n\r\n", 2),
        ("Content-Length: 99999999999999\r\n\r\n{}", 2),
        ("Content-Length: 2\r\n\r\n{}", 2),
        ("Content-Length: 7\r\n\r\n\u{fffd}secr", 2),
    ] {
        let ran = run_with(claimsmith(&["lsp"]), input);
        assert_eq!(ran.code, Some(code), "{input}: {}", ran.err);
        assert!(!ran.err.contains("panicked") && !ran.err.contains("secr"), "{input}: {}", ran.err);
    }
    // An editor that is gone without a word.
    assert_eq!(told(&[]).0.code, Some(0));
    // And one that says something else in between.
    let (ran, _) = told(&[json!({ "secret": "s3cret" })]);
    assert_eq!(ran.code, Some(2));
    assert!(!ran.err.contains("s3cret"), "{}", ran.err);
}
