// The JSON Schemas that the program prints, judged by validators that editors use: Ajv and taplo.

import assert from 'node:assert/strict';
import { execFile } from 'node:child_process';
import { mkdtemp, readFile, readdir, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, suite, test } from 'node:test';
import { fileURLToPath, pathToFileURL } from 'node:url';
import { promisify } from 'node:util';

import Ajv from 'ajv';
import { parse } from 'smol-toml';

import { SUITE, claimsmithBinary } from './support.mjs';

const run = promisify(execFile);
const root = fileURLToPath(new URL('../../', import.meta.url));
const taplo = fileURLToPath(new URL('node_modules/@taplo/cli/dist/cli.js', import.meta.url));

async function schemaOf(what) {
  const { stdout } = await run(claimsmithBinary(), ['schema', what], { env: {}, maxBuffer: 1 << 24 });
  return JSON.parse(stdout);
}

/** TOML as the JSON that a validator is given: dates are texts, and no integer is too long. */
function asJson(text) {
  const plain = (value) => {
    if (value instanceof Date) return value.toISOString();
    if (typeof value === 'bigint') return Number(value);
    if (Array.isArray(value)) return value.map(plain);
    if (value && typeof value === 'object') {
      return Object.fromEntries(Object.entries(value).map(([name, inner]) => [name, plain(inner)]));
    }
    return value;
  };
  return plain(parse(text, { integersAsBigInt: 'asNeeded' }));
}

async function filesIn(folder) {
  const names = (await readdir(join(root, folder))).filter((name) => name.endsWith('.toml')).sort();
  return Promise.all(names.map(async (name) => ({
    name: `${folder}/${name}`,
    text: await readFile(join(root, folder, name), 'utf8'),
  })));
}

const isCase = ({ name }) => name.endsWith('.test.toml');

suite('JSON Schemas', SUITE, () => {
  let rule, cases, settings, validateRule, validateCases, folder;

  before(async () => {
    [rule, cases, settings] = await Promise.all(['rule', 'case', 'settings'].map(schemaOf));
    const ajv = new Ajv({ allErrors: true, strictSchema: true, keywords: ['x-taplo'] });
    validateRule = ajv.compile(rule);
    validateCases = ajv.compile(cases);
    ajv.compile(settings);
    folder = await mkdtemp(join(tmpdir(), 'claimsmith-schema-'));
    await writeFile(join(folder, 'rule.json'), JSON.stringify(rule));
    await writeFile(join(folder, 'case.json'), JSON.stringify(cases));
  });
  after(() => rm(folder, { recursive: true, force: true }));

  test('every rule and every case that is shipped is valid', async () => {
    const files = [...await filesIn('rules'), ...await filesIn('tests/capabilities')];
    assert.ok(files.length > 100, `only ${files.length} files`);
    for (const file of files) {
      const validate = isCase(file) ? validateCases : validateRule;
      assert.ok(validate(asJson(file.text)), `${file.name}: ${JSON.stringify(validate.errors, null, 2)}`);
    }
  });

  test('a rule with an unknown key or a wrong type is not', async () => {
    let judged = 0;
    const taken = [];
    for (const { name, text } of await filesIn('tests/problems')) {
      const told = await readFile(join(root, name.replace(/toml$/, 'txt')), 'utf8');
      if (!/error\[CS100[23]\]/.test(told)) continue;
      judged += 1;
      if (validateRule(asJson(text))) taken.push(`${name}\n${told}`);
    }
    assert.ok(judged > 10, `only ${judged} rules`);
    assert.deepEqual(taken, []);
  });

  test('every example of a key is what the key takes', () => {
    let judged = 0;
    for (const schema of [rule, cases, settings]) {
      const ajv = new Ajv({ strict: false });
      const { definitions } = schema;
      const tables = [schema, ...Object.values(definitions)].filter((one) => one.properties);
      for (const [name, property] of tables.flatMap((table) => Object.entries(table.properties))) {
        for (const example of property.examples ?? []) {
          judged += 1;
          const validate = ajv.compile({ ...property, definitions });
          assert.ok(validate(example), `${name} = ${JSON.stringify(example)}: ${JSON.stringify(validate.errors)}`);
        }
      }
    }
    assert.ok(judged > 150, `only ${judged} examples`);
  });

  test('taplo finds the rules and cases that are shipped valid, and shows what is not', async () => {
    const lint = (schema, files) =>
      run(process.execPath, [taplo, 'lint', '--no-auto-config', ...schema, ...files], { cwd: folder, maxBuffer: 1 << 26 });
    // Ajv has seen them all; taplo takes its time.
    const files = (await filesIn('rules')).slice(0, 100);
    const paths = (some) => some.map(({ name }) => join(root, name));
    const url = (name) => pathToFileURL(join(folder, name)).href;
    await lint(['--schema', url('rule.json')], paths(files.filter((file) => !isCase(file))));
    await lint(['--schema', url('case.json')], paths(files.filter(isCase)));

    // The line that a rule can name its schema by.
    const wrong = join(folder, 'wrong.toml');
    await writeFile(wrong, `#:schema ./rule.json\n[call.user]\nurl = "https://a.example"\noptonal = true\n`);
    const failure = await lint([], [wrong]).then(() => assert.fail('it is taken'), (error) => error);
    assert.match(failure.stderr + failure.stdout, /'optonal' was unexpected/);
  });
});
