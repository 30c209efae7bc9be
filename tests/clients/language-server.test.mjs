// The language server, driven by the client library of Visual Studio Code.
//
// A text has a mark, `|`, where the cursor is; the mark itself is not in it.

import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { mkdtemp, readFile, readdir, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, suite, test } from 'node:test';
import { pathToFileURL } from 'node:url';

import protocol from 'vscode-languageserver-protocol/node';

import { SUITE, claimsmithBinary, within } from './support.mjs';

const {
  CompletionRequest,
  DefinitionRequest,
  DiagnosticSeverity,
  DidChangeTextDocumentNotification,
  DidCloseTextDocumentNotification,
  DidOpenTextDocumentNotification,
  DocumentFormattingRequest,
  ExitNotification,
  HoverRequest,
  InitializeRequest,
  InitializedNotification,
  PublishDiagnosticsNotification,
  ShutdownRequest,
  StreamMessageReader,
  StreamMessageWriter,
  createProtocolConnection,
} = protocol;

const RULE = `description = "Acme"
receiver    = "supabase"

[vars]
host = "api.acme.example"

[secrets]
api_key = { env = "ACME_API_KEY" }

[call.user]
url     = "https://\${vars.host}/v2/me"
timeout = "3s"
headers = { api-key = "\${secrets.api_key}" }

[call.emails]
url     = "https://\${vars.host}/v2/users/\${user.id}/emails"
timeout = "3s"

[claims]
sub   = "$.user.id"
email = { path = "$.emails[?@.primary == true].address", first = true }

[script]
file = "acme.rhai"
`;

const CASES = `[[case]]
name    = "a member"
secrets = { api_key = "k3y" }

[[case.answer]]
url  = "https://api.acme.example/v2/me"
json = '{"id": 7, "profile": {"name": "Ada", "display name": "Ada L."}}'

[[case.answer]]
url  = "https://api.acme.example/v2/users/7/emails"
json = '[{"address": "ada@engines.example", "primary": true}]'

[case.claims]
sub   = "7"
email = "ada@engines.example"
`;

const SCRIPT = 'claims.name = user.profile.name;\n';

/** Without the mark, and where it was. */
function marked(text) {
  const at = text.indexOf('|');
  assert.ok(at >= 0, `no mark in ${text}`);
  const lines = text.slice(0, at).split('\n');
  // JavaScript counts in UTF-16 units, as the protocol does.
  return {
    text: text.slice(0, at) + text.slice(at + 1),
    position: { line: lines.length - 1, character: lines.at(-1).length },
  };
}

/** The text that a range covers. */
function covered(text, { start, end }) {
  const lines = text.split('\n');
  if (start.line === end.line) return lines[start.line].slice(start.character, end.character);
  return [
    lines[start.line].slice(start.character),
    ...lines.slice(start.line + 1, end.line),
    lines[end.line].slice(0, end.character),
  ].join('\n');
}

suite('language server', SUITE, () => {
  let folder, child, connection, ended, abilities;
  const uri = (name) => pathToFileURL(join(folder, name)).href;
  const versions = new Map();
  const waiting = new Set();
  const told = new Map();

  before(async () => {
    folder = await mkdtemp(join(tmpdir(), 'claimsmith-lsp-'));
    await writeFile(join(folder, 'acme.toml'), RULE);
    await writeFile(join(folder, 'acme.test.toml'), CASES);
    await writeFile(join(folder, 'acme.rhai'), SCRIPT);
    child = spawn(claimsmithBinary(), ['lsp', '--stdio'], { cwd: folder, env: {}, stdio: ['pipe', 'pipe', 'inherit'] });
    ended = new Promise((resolve) => child.once('close', (code, signal) => resolve({ code, signal })));
    connection = createProtocolConnection(new StreamMessageReader(child.stdout), new StreamMessageWriter(child.stdin));
    connection.onNotification(PublishDiagnosticsNotification.type, (found) => {
      told.set(found.uri, found.diagnostics);
      for (const look of waiting) look(found);
    });
    connection.listen();
    abilities = await within(
      connection.sendRequest(InitializeRequest.type, { processId: process.pid, rootUri: null, capabilities: {} }),
      'an answer to initialize',
    );
    await connection.sendNotification(InitializedNotification.type, {});
  });

  after(async () => {
    child.kill('SIGKILL');
    await rm(folder, { recursive: true, force: true });
  });

  /** Gives a text to the server, as typed and not saved. What is wrong with it then. */
  async function type(name, text) {
    const document = uri(name);
    let look;
    const answered = new Promise((resolve) => {
      look = (found) => {
        if (found.uri === document) resolve(found.diagnostics);
      };
      waiting.add(look);
    });
    const version = (versions.get(document) ?? 0) + 1;
    versions.set(document, version);
    if (version === 1) {
      const textDocument = { uri: document, languageId: 'toml', version, text };
      await connection.sendNotification(DidOpenTextDocumentNotification.type, { textDocument });
    } else {
      const textDocument = { uri: document, version };
      await connection.sendNotification(DidChangeTextDocumentNotification.type, { textDocument, contentChanges: [{ text }] });
    }
    return within(answered, `diagnostics of ${name}`).finally(() => waiting.delete(look));
  }

  const close = async (name) => {
    versions.delete(uri(name));
    await connection.sendNotification(DidCloseTextDocumentNotification.type, { textDocument: { uri: uri(name) } });
  };

  /** Types a text with a mark and asks there. */
  async function ask(request, name, text) {
    const { text: typed, position } = marked(text);
    await type(name, typed);
    const answer = await within(
      connection.sendRequest(request.type, { textDocument: { uri: uri(name) }, position }),
      request.method,
    );
    return { answer, text: typed };
  }

  async function complete(text, name = 'acme.toml') {
    const { answer, text: typed } = await ask(CompletionRequest, name, text);
    const items = new Map(answer.items.map((item) => [item.label, item]));
    /** The text after an item was taken. */
    items.taken = (label) => {
      const item = items.get(label);
      assert.ok(item, `no ${label} among ${[...items.keys()].join(', ')}`);
      const { range, newText } = item.textEdit;
      const lines = typed.split('\n');
      assert.equal(range.start.line, range.end.line);
      const line = lines[range.start.line];
      return line.slice(0, range.start.character) + newText + line.slice(range.end.character);
    };
    return items;
  }

  async function hover(text, name = 'acme.toml') {
    const { answer, text: typed } = await ask(HoverRequest, name, text);
    return answer && { words: answer.contents.value, about: covered(typed, answer.range) };
  }

  /** The line that a mention leads to. */
  async function defined(text, name = 'acme.toml') {
    const { answer, text: typed } = await ask(DefinitionRequest, name, text);
    if (!answer) return answer;
    const file = answer.uri.split('/').at(-1);
    const there = answer.uri === uri(name) ? typed : await readFile(join(folder, file), 'utf8');
    return `${file}: ${covered(there, answer.range)}`;
  }

  /** The rule with a line in the place of another. */
  const edited = (line, other) => {
    assert.ok(RULE.includes(line), line);
    return RULE.replace(line, () => other);
  };

  test('says what it can do', () => {
    assert.equal(abilities.serverInfo.name, 'claimsmith');
    assert.equal(abilities.capabilities.positionEncoding, 'utf-16');
    assert.equal(abilities.capabilities.documentFormattingProvider, true);
  });

  test('a sound rule has nothing wrong with it', async () => {
    assert.deepEqual(await type('acme.toml', RULE), []);
  });

  test('what is wrong is told for text that is not saved, with code, place and remedy', async () => {
    const text = edited('timeout = "3s"\nheaders', 'timeuot = "3s"\nheaders');
    const [found, advice] = (await type('acme.toml', text)).sort((a, b) => a.severity - b.severity);
    assert.equal(found.code, 'CS1002');
    assert.equal(found.source, 'claimsmith');
    assert.equal(found.severity, DiagnosticSeverity.Error);
    assert.equal(covered(text, found.range), 'timeuot');
    assert.match(found.message, /help: did you mean `timeout`\?/);
    assert.equal(advice, undefined);
    assert.deepEqual(await type('acme.toml', RULE), []);
  });

  test('warnings and advice are told too, and places inside of JSONPath and Rhai', async () => {
    for (const [line, other, code, severity, about] of [
      ['"$.user.id"', '"$.user.login"', 'CS9004', DiagnosticSeverity.Warning, '"$.user.login"'],
      ['"https://${vars.host}/v2/me"\ntimeout = "3s"', '"https://${vars.host}/v2/me"', 'CS9008', DiagnosticSeverity.Information, 'user'],
      ['"$.user.id"', '"$.usr.id"', 'CS2002', DiagnosticSeverity.Error, 'usr'],
      ['${user.id}', '${usr.id}', 'CS2002', DiagnosticSeverity.Error, 'usr'],
      ['${user.id}', '${user.id +}', 'CS4001', DiagnosticSeverity.Error, undefined],
      ['[?@.primary == true]', '[?@.primary = true]', 'CS3001', DiagnosticSeverity.Error, undefined],
      ['env = "ACME_API_KEY"', 'env = "ACME_API_KEY', 'CS1001', DiagnosticSeverity.Error, undefined],
    ]) {
      const text = edited(line, other);
      const found = await type('acme.toml', text);
      const one = found.find((diagnostic) => diagnostic.code === code);
      assert.ok(one, `no ${code} for ${other}: ${JSON.stringify(found)}`);
      assert.equal(one.severity, severity, code);
      if (about !== undefined) assert.equal(covered(text, one.range), about);
    }
  });

  test('places are counted in UTF-16 units', async () => {
    const text = edited('sub   = "$.user.id"', 'nick = { value = "é😀" } # 😀\n"😀" = { path = "$.user.x", wher = 1 }\nsub   = "$.user.id"');
    const found = (await type('acme.toml', text)).find(({ code }) => code === 'CS1002');
    assert.equal(covered(text, found.range), 'wher');
    const key = await hover(text.replace('wher = 1', 'fi|rst = true'));
    assert.equal(key.about, 'first');
    const items = await complete(text.replace('"$.user.x"', '"😀${user.pro|}"').replace(', wher = 1', ''));
    assert.match(items.taken('profile'), /^"😀" = \{ path = "😀\$\{user\.profile\}" \}$/);
    // A secret that is written out is hidden in messages, and its place is right all the same.
    const secret = edited('api_key = { env = "ACME_API_KEY" }', 'api_key = "s😀cret"');
    const hidden = (await type('acme.toml', secret)).find(({ code }) => code === 'CS1003');
    assert.equal(covered(secret, hidden.range), '"s😀cret"');
    assert.doesNotMatch(JSON.stringify(hidden), /cret"/);
  });

  test('a script that is not saved is judged by its rule', async () => {
    await type('acme.toml', RULE);
    const script = uri('acme.rhai');
    await type('acme.rhai', SCRIPT);
    let look;
    const answered = new Promise((resolve) => {
      look = (found) => {
        if (found.uri === script && found.diagnostics.length > 0) resolve(found.diagnostics);
      };
      waiting.add(look);
    });
    const text = 'claims.name = usr.name;\n';
    const version = versions.get(script) + 1;
    versions.set(script, version);
    await connection.sendNotification(DidChangeTextDocumentNotification.type, {
      textDocument: { uri: script, version },
      contentChanges: [{ text }],
    });
    const [found] = await within(answered, 'diagnostics of the script').finally(() => waiting.delete(look));
    assert.equal(found.code, 'CS2002');
    assert.equal(covered(text, found.range), 'usr');
    assert.equal(found.relatedInformation[0].location.uri, uri('acme.toml'));
    const items = await complete('claims.name = user.pro|', 'acme.rhai');
    assert.equal(items.taken('profile'), 'claims.name = user.profile');
    assert.ok((await complete('claims.|', 'acme.rhai')).has('email'));
    assert.equal(await defined('let x = us|er.id;', 'acme.rhai'), 'acme.toml: user');
    await close('acme.rhai');
    assert.deepEqual(await type('acme.toml', RULE), []);
  });

  test('cases are checked too', async () => {
    const text = CASES.replace('name    =', 'nmae    =');
    const found = await type('acme.test.toml', text);
    assert.deepEqual(found.map(({ code }) => code), ['CS1002']);
    assert.deepEqual(await type('acme.test.toml', CASES), []);
  });

  test('keys are completed by their table, those that are there are not', async () => {
    const root = await complete(`|\n${RULE}`);
    assert.ok(root.has('docs') && root.has('require'), [...root.keys()].join());
    assert.ok(!root.has('description') || !root.has('url'));
    assert.equal(root.taken('docs'), 'docs = ');
    assert.equal(root.taken('require'), '[[require]]');
    const call = await complete(edited('timeout = "3s"\nheaders', 'ti|\nheaders'));
    assert.equal(call.taken('timeout'), 'timeout = ');
    assert.ok(!call.has('url') && !call.has('headers'));
    assert.match(call.get('timeout').documentation.value, /limit of this call/);
    assert.ok((await complete(edited('first = true', 'fi|'))).has('first'));
    const headers = await complete('[call.a]\nurl = "https://a.example"\n[|');
    assert.ok(headers.has('claims') && headers.has('vars'));
    assert.ok((await complete('[[case]]\nname = "x"\n|', 'acme.test.toml')).has('secrets'));
  });

  test('claims, receivers, calls, words and errors are completed', async () => {
    const claims = await complete(edited('sub   = "$.user.id"', 'sub   = "$.user.id"\n|'));
    assert.ok(claims.has('given_name') && claims.has('phone') && !claims.has('sub'), [...claims.keys()].join());
    assert.match(claims.get('email_verified').documentation.value, /OpenID Connect Core 1\.0, section 5\.1/);
    const receivers = await complete(edited('"supabase"', '"supa|"'));
    assert.equal(receivers.taken('clerk'), 'receiver    = "clerk"');
    const calls = await complete(`${RULE}\n[token]\ncall = "|"\n`);
    assert.equal(calls.taken('emails'), 'call = "emails"');
    const tokens = await complete(edited('timeout = "3s"\nheaders', 'token = |\nheaders'));
    assert.equal(tokens.taken('none'), 'token = "none"');
    const errors = await complete(`${RULE}\n[[require]]\nthat = "true"\nerror = "|"\n`);
    assert.ok(errors.has('access_denied'));
    const types = await complete(edited('first = true', 'first = true, type = "|"'));
    assert.ok(types.has('strings'));
    const flags = await complete(edited('first = true', 'first = |'));
    assert.ok(flags.has('true'));
    assert.ok((await complete(`${RULE}\n[accept]\n|`)).has('CS9003'));
    const cased = await complete(CASES.replace('sub   = "7"\n', '|\n'), 'acme.test.toml');
    assert.ok(cased.has('sub') && !cased.has('email'), [...cased.keys()].join());
    await type('acme.test.toml', CASES);
  });

  test('functions, vars and secrets are completed where they may stand', async () => {
    const inside = await complete(edited('"${secrets.api_key}"', '"${|}"'));
    for (const name of ['user', 'vars', 'secrets', 'token', 'hmac_sha256']) assert.ok(inside.has(name), name);
    assert.match(inside.get('hmac_sha256').detail, /hmac_sha256\(key, text, output\?\)/);
    assert.equal((await complete(edited('"${secrets.api_key}"', '"${secrets.|}"'))).taken('api_key'), 'headers = { api-key = "${secrets.api_key}" }');
    assert.ok((await complete(edited('${vars.host}/v2/me', '${vars.|}/v2/me'))).has('host'));
    const claim = await complete(edited('"$.user.id"', '"${|}"'));
    assert.ok(!claim.has('secrets') && claim.has('user'));
  });

  test('paths are completed from what was recorded', async () => {
    const user = await complete(edited('"$.user.id"', '"$.user.|"'));
    assert.deepEqual([...user.keys()], ['id', 'profile']);
    assert.equal(user.get('id').detail, 'number: 7');
    assert.equal(user.taken('id'), 'sub   = "$.user.id"');
    const profile = await complete(edited('"$.user.id"', '"$.user.profile.|"'));
    assert.equal(profile.taken('display name'), `sub   = "$.user.profile['display name']"`);
    const filter = await complete(edited('[?@.primary == true]', '[?@.|'));
    assert.equal(filter.get('primary').detail, 'boolean: true');
    const element = await complete(edited('[?@.primary == true].address', '[*].|'));
    assert.equal(element.get('address').detail, 'text: "ada@engines.example"');
    const roots = await complete(edited('"$.user.id"', '"|"'));
    assert.equal(roots.taken('$.user'), 'sub   = "$.user"');
    const expression = await complete(edited('${user.id}', '${user.profile.|}'));
    assert.equal(expression.get('name').detail, 'text: "Ada"');
    assert.ok((await complete(edited('"$.user.id"', '"$.meta.user.|"'))).has('status'));
  });

  test('unfinished text is completed as well', async () => {
    for (const [text, label] of [
      [edited('"$.user.id"', '"$.user.|'), 'profile'],
      ['[call.user]\nurl = "https://api.acme.example/v2/me\n[claims]\nsub = "$.user.|', 'profile'],
      ['[call.user]\nurl = "https://api.acme.example/v2/me"\nheaders = { Accept = \ntoken = { he|', 'header'],
      ['[call.user]\nurl = "https://api.acme.example/v2/me"\n[claims]\nname = ["$.user.name",\nsub = { path = "$.user.id", fi|', 'first'],
      ['[call.user\nurl = 1\n[cl|', 'claims'],
    ]) {
      const items = await complete(text);
      assert.ok(items.has(label), `no ${label} at the end of ${text}: ${[...items.keys()].join()}`);
    }
  });

  test('hover explains keys, claims, functions, members, codes and receivers', async () => {
    for (const [text, about, words] of [
      [edited('timeout = "3s"\nheaders', 'time|out = "3s"\nheaders'), 'timeout', /limit of this call/],
      [edited('[secrets]', '[sec|rets]'), 'secrets', /never their values/],
      [edited('sub   =', 'su|b   ='), 'sub', /never reassigned.*OpenID Connect Core.*Supabase: read as text/s],
      [edited('"supabase"', '"supa|base"'), '"supabase"', /\*\*Supabase/],
      [edited('"$.user.id"', '"${hmac_sh|a256(vars.host, user.id)}"'), 'hmac_sha256', /hmac_sha256\(key, text, output\?\)/],
      [edited('"$.user.id"', '"$.us|er.id"'), 'user', /the call `user`: `https:/],
      [edited('"$.user.id"', '"$.user.i|d"'), 'id', /in the cases:\n- number: 7/],
      [edited('${vars.host}/v2/me', '${vars.ho|st}/v2/me'), 'host', /host = "api\.acme\.example"/],
      [`${RULE}\n[accept]\nCS90|03 = "x"\n`, 'CS9003', /\*\*CS9003\*\* \(warning\)/],
      [edited('first = true', 'fi|rst = true'), 'first', /first of all/],
      [`${RULE}\n[[require]]\nthat = "true"\nerror = "access_|denied"\n`, '"access_denied"', /403/],
    ]) {
      const found = await hover(text);
      assert.ok(found, text);
      assert.equal(found.about, about);
      assert.match(found.words, words);
    }
    assert.equal(await hover(`# noth|ing\n${RULE}`), null);
  });

  test('a mention leads to what it mentions', async () => {
    for (const [text, place] of [
      [edited('"$.user.id"', '"$.us|er.id"'), 'acme.toml: user'],
      [edited('"$.user.id"', '"$.user.i|d"'), 'acme.toml: user'],
      [edited('"$.user.id"', `"$['use|r'].id"`), 'acme.toml: user'],
      [edited('@.primary == true', '@.primary == $.us|er.id'), 'acme.toml: user'],
      [edited('"$.user.id"', '"$.meta.em|ails.status"'), 'acme.toml: emails'],
      [edited('${vars.host}/v2/me', '${vars.ho|st}/v2/me'), 'acme.toml: host'],
      [edited('${secrets.api_key}', '${secrets.api|_key}'), 'acme.toml: api_key'],
      [edited('${user.id}', '${us|er.id}'), 'acme.toml: user'],
      [`${RULE}\n[token]\ncall = "ema|ils"\n`, 'acme.toml: emails'],
      [edited('"acme.rhai"', '"ac|me.rhai"'), 'acme.rhai: '],
      [edited('"$.user.id"', '"$.nob|ody.id"'), null],
    ]) {
      assert.equal(await defined(text), place, text);
    }
    await type('acme.toml', RULE);
    for (const [from, to, place] of [
      ['sub   = "7"', 'su|b   = "7"', 'acme.toml: sub'],
      ['{ api_key = "k3y" }', '{ api|_key = "k3y" }', 'acme.toml: api_key'],
    ]) {
      assert.equal(await defined(CASES.replace(from, to), 'acme.test.toml'), place);
    }
    await type('acme.test.toml', CASES);
  });

  test('a text is formatted as `claimsmith fmt` does', async () => {
    const format = (name) =>
      connection.sendRequest(DocumentFormattingRequest.type, {
        textDocument: { uri: uri(name) },
        options: { tabSize: 4, insertSpaces: true },
      });
    await type('acme.toml', RULE.replace('sub   =', 'sub=').replace('\n[claims]', '[claims]'));
    const [edit] = await format('acme.toml');
    assert.equal(edit.newText, RULE);
    await type('acme.toml', RULE);
    assert.deepEqual(await format('acme.toml'), []);
    await type('acme.toml', 'a = [');
    assert.deepEqual(await format('acme.toml'), []);
  });

  test('what it is asked wrongly is an error, and it goes on', async () => {
    const failed = (request) => request.then((answer) => assert.fail(JSON.stringify(answer)), (error) => error);
    const nowhere = { textDocument: { uri: uri('nowhere.toml') }, position: { line: 0, character: 0 } };
    assert.match((await failed(connection.sendRequest(HoverRequest.type, nowhere))).message, /no such text/);
    const beyond = { textDocument: { uri: uri('acme.toml') }, position: { line: 99_999, character: 0 } };
    assert.match((await failed(connection.sendRequest(HoverRequest.type, beyond))).message, /no such text or place/);
    assert.match((await failed(connection.sendRequest('textDocument/rename', {}))).message, /there is no/);
    await connection.sendNotification('textDocument/didChange', { textDocument: {} });
    await connection.sendNotification('$/whatever', { a: 1 });
    // More than any rule may have, and not TOML at that.
    const found = await type('acme.toml', '[['.repeat(200_000));
    assert.deepEqual(found.map(({ code }) => code), ['CS1007']);
    assert.equal(await hover(`|${'x'.repeat(300_000)}`), null);
    assert.deepEqual(await type('acme.toml', RULE), []);
  });

  test('what is typed letter by letter never ends it', async () => {
    for (let end = 0; end <= RULE.length; end += 7) {
      const text = RULE.slice(0, end);
      await complete(`${text}|`);
      await hover(`${text.slice(0, -2)}|${text.slice(-2)}`);
    }
    assert.deepEqual(await type('acme.toml', RULE), []);
  });

  test('it ends when it is told to, and has written nothing', async () => {
    await close('acme.toml');
    await within(connection.sendRequest(ShutdownRequest.type), 'an answer to shutdown');
    await connection.sendNotification(ExitNotification.type);
    assert.deepEqual(await within(ended, 'the end'), { code: 0, signal: null });
    assert.deepEqual((await readdir(folder)).sort(), ['acme.rhai', 'acme.test.toml', 'acme.toml']);
    assert.equal(await readFile(join(folder, 'acme.toml'), 'utf8'), RULE);
  });
});
