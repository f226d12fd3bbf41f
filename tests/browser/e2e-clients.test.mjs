// Clients as they come from their registries: tus-js-client in Node and on a page of another origin, tuspy, curl.
//
// None of them is patched or configured around a fault of ours. tuspy is installed into target/tuspy once; where that cannot be done,
// its tests are skipped and say why.

import assert from 'node:assert/strict';
import { execFile } from 'node:child_process';
import { createReadStream, existsSync } from 'node:fs';
import { readFile, writeFile } from 'node:fs/promises';
import { createServer } from 'node:http';
import { createRequire } from 'node:module';
import { join } from 'node:path';
import { after, before, test } from 'node:test';
import { PassThrough } from 'node:stream';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';
import * as tus from 'tus-js-client';
import { FilesOnDisk, MIB, Testbed, launchBrowser, until } from './harness.mjs';

const run = promisify(execFile);
const TUSPY = 'tuspy==1.1.0';
/** Beside the build, so that it is thrown away with it. */
const VENV = fileURLToPath(new URL('../../target/tuspy', import.meta.url));
const TUSPY_CLIENT = fileURLToPath(new URL('./tuspy_client.py', import.meta.url));
/** Downloading six small packages; a slow mirror is not our fault. */
const INSTALL_MS_MAX = 120_000;
/** A client that waits for what never comes is a failure. */
const LIMIT = { timeout: 120_000 };

// Before the first test is registered: node runs what it has while a module waits, and then tears the stage down.
const noTuspy = await installTuspy();
if (noTuspy) console.error(`SKIPPED: ${noTuspy}`);

let bed;
let files;
let origin;
let file;

before(async () => {
  files = await FilesOnDisk.create();
  origin = await serveClient();
  bed = await Testbed.start([`SLIPWAY__SERVER__ALLOWED_ORIGINS=${origin.url}`]);
  file = await files.random('clients.bin', 12 * MIB + 345);
});

after(async () => {
  origin?.server.close();
  await bed?.end();
  await files?.end();
});

/** A site that has nothing to do with ours: one page with tus-js-client on it. */
async function serveClient() {
  const main = createRequire(import.meta.url).resolve('tus-js-client');
  const script = await readFile(join(main, '../../../dist/tus.min.js'));
  const server = createServer((request, response) => {
    const isScript = request.url === '/tus.js';
    response.setHeader('Content-Type', isScript ? 'text/javascript' : 'text/html');
    response.end(isScript ? script : '<!doctype html><title>Elsewhere</title><script src="/tus.js"></script>');
  });
  await new Promise((resolve) => { server.listen(0, '127.0.0.1', () => { resolve(undefined); }); });
  const address = server.address();
  assert.ok(address && typeof address === 'object');
  return { server, url: `http://127.0.0.1:${address.port}` };
}

function headers() {
  return { Authorization: `Bearer ${bed.token}` };
}

/** Resolves with the upload's address when the client says that it is done. */
function uploaded(source, options = {}) {
  return new Promise((resolve, reject) => {
    const upload = new tus.Upload(source, {
      endpoint: `${bed.url}/files/`, headers: headers(), retryDelays: [100, 300, 1000, 3000],
      onSuccess: () => { resolve(upload.url); }, onError: reject, ...options,
    });
    upload.start();
  });
}

function idOf(url) {
  return new URL(url, bed.url).pathname.split('/').at(-1).split('.')[0];
}

/** What the server knows of an upload, once it is stored. */
async function known(url) {
  return until('the upload is stored', async () => {
    const answer = await fetch(`${bed.url}/api/v1/uploads/${idOf(url)}`, { headers: headers() });
    const json = await answer.json();
    return json.state === 'stored' ? json : null;
  });
}

async function arrived(url, expected = file.sha256) {
  const json = await known(url);
  assert.equal(json.sha256, expected);
  return json;
}

for (const [name, options] of Object.entries({
  'in one request': { metadata: { filename: 'naïve 🚢.bin', filetype: 'image/png' } },
  'in chunks': { chunkSize: 5 * MIB },
  'with the first bytes in the announcement': { uploadDataDuringCreation: true, chunkSize: 3 * MIB },
  'with every PATCH disguised as a POST': { overridePatchMethod: true, chunkSize: 4 * MIB },
  'in three parts at once': { parallelUploads: 3 },
  'by the draft, interop version 5': { protocol: 'ietf-draft-03', chunkSize: 5 * MIB },
  'by the draft, interop version 6': { protocol: 'ietf-draft-05', chunkSize: 5 * MIB },
})) {
  test(`tus-js-client in Node uploads ${name}`, LIMIT, async () => {
    const json = await arrived(await uploaded(await readFile(file.path), options));

    if (options.metadata) assert.equal(json.name, options.metadata.filename);
  });
}

test('tus-js-client in Node uploads a stream whose size nobody knows', LIMIT, async () => {
  // Not a file's own stream: of that this version asks for the size, and with a chunk smaller than it never says that it is done.
  const stream = createReadStream(file.path).pipe(new PassThrough());

  await arrived(await uploaded(stream, { uploadLengthDeferred: true, chunkSize: 3 * MIB }));
});

test('tus-js-client in Node uploads an empty file', LIMIT, async () => {
  const json = await known(await uploaded(Buffer.alloc(0)));

  assert.equal(json.total_bytes, 0);
});

test('tus-js-client in Node gives an upload up', LIMIT, async () => {
  const content = await readFile(file.path);
  const url = await new Promise((resolve, reject) => {
    const upload = new tus.Upload(content, {
      endpoint: `${bed.url}/files/`, headers: headers(), chunkSize: MIB, onError: reject,
      onChunkComplete: () => { upload.abort(true).then(() => { resolve(upload.url); }, reject); },
    });
    upload.start();
  });

  const gone = await fetch(new URL(url, bed.url), { method: 'HEAD', headers: { 'Tus-Resumable': '1.0.0' } });
  assert.equal(gone.status, 410);
});

test('tus-js-client in Node goes on by itself when the server is killed and comes back', LIMIT, async () => {
  const content = await readFile(file.path);
  let chunks = 0;
  let restarted = Promise.resolve();
  const url = await uploaded(content, {
    chunkSize: 2 * MIB,
    retryDelays: [200, 500, 1000, 2000, 4000, 8000],
    onChunkComplete: () => {
      chunks += 1;
      if (chunks === 2) restarted = bed.kill().then(() => bed.restart());
    },
  });

  await restarted;
  await arrived(url);
});

test('tus-js-client in Chromium uploads from another origin, resumes, and puts parts together', LIMIT, async () => {
  const browser = await launchBrowser();
  try {
    const page = await browser.newPage();
    await page.goto(origin.url);
    const results = await page.evaluate(fromAnotherOrigin, { endpoint: `${bed.url}/files/`, headers: headers(), mib: MIB });

    assert.deepEqual(results.resumedFrom, [results.pausedAt], 'it did not go on where it had stopped');
    assert.ok(results.pausedAt > 0);
    for (const { url, sha256 } of results.uploads) await arrived(url, sha256);
    assert.equal(results.uploads.length, 3);
  } finally {
    await browser.close();
  }
});

/** Runs on the page. */
async function fromAnotherOrigin({ endpoint, headers, mib }) {
  const content = new Uint8Array(6 * mib);
  for (let at = 0; at < content.length; at += 65_536) crypto.getRandomValues(content.subarray(at, at + 65_536));
  const sha256 = Array.from(new Uint8Array(await crypto.subtle.digest('SHA-256', content)), (byte) => byte.toString(16).padStart(2, '0')).join('');
  const blob = new File([content], 'elsewhere.bin');
  const { Upload } = /** @type {any} */ (globalThis).tus;
  const send = (options, started = (upload) => { upload.start(); }, source = blob) => new Promise((resolve, reject) => {
    const upload = new Upload(source, { endpoint, headers, onError: reject, onSuccess: () => { resolve(upload.url); }, ...options });
    started(upload);
  });
  const uploads = [{ url: await send({}), sha256 }, { url: await send({ parallelUploads: 2 }), sha256 }];

  // Stops after a chunk, as a closed lid would, and goes on by what the browser remembers.
  const chunkSize = mib;
  const paused = new File([content], 'paused.bin');
  let pausedAt = 0;
  await new Promise((resolve, reject) => {
    const upload = new Upload(paused, {
      endpoint, headers, chunkSize, onError: reject,
      onChunkComplete: (_, stored) => { pausedAt = stored; upload.abort().then(resolve, reject); },
    });
    upload.start();
  });
  const resumedFrom = [];
  const resume = async (upload) => {
    const [previous] = await upload.findPreviousUploads();
    upload.resumeFromPreviousUpload(previous);
    upload.start();
  };
  const onAfterResponse = (request, response) => {
    if (request.getMethod() === 'HEAD') resumedFrom.push(Number(response.getHeader('Upload-Offset')));
  };
  uploads.push({ url: await send({ chunkSize, onAfterResponse }, resume, paused), sha256 });
  return { uploads, pausedAt, resumedFrom };
}

/** Installs tuspy; the reason why not, if that cannot be done here. */
async function installTuspy() {
  if (existsSync(join(VENV, 'installed'))) return null;
  const limit = { timeout: INSTALL_MS_MAX };
  try {
    await run('python3', ['-m', 'venv', '--clear', VENV], limit);
    await run(join(VENV, 'bin/pip'), ['install', '--quiet', '--disable-pip-version-check', TUSPY], limit);
    await run('touch', [join(VENV, 'installed')], limit);
    return null;
  } catch (error) {
    return `${TUSPY} cannot be installed: ${String(error.stderr || error.message).trim().split('\n').at(-1)}`;
  }
}

for (const [name, what] of Object.entries({
  plain: 'in one request',
  'chunked-sha1': 'in chunks with SHA-1 checksums',
  'no-metadata': 'without metadata',
  resumed: 'and goes on after a break',
  empty: 'an empty file',
})) {
  test(`tuspy uploads ${what}`, { ...LIMIT, skip: noTuspy ?? false }, async () => {
    const sent = name === 'empty' ? await files.random('empty.bin', 0) : file;

    const said = await run(join(VENV, 'bin/python'), [TUSPY_CLIENT, `${bed.url}/files/`, bed.token, sent.path, name]);

    await arrived(said.stdout.trim(), sent.sha256);
  });
}

/** What curl prints with `--include`: the status and the headers of the last answer. */
async function curl(...words) {
  const said = await run('curl', ['--silent', '--show-error', '--include', '--max-time', '60', ...words]);
  const answers = said.stdout.split('\r\n\r\n').filter((part) => part.startsWith('HTTP/1.1 ') && !part.startsWith('HTTP/1.1 100'));
  const [first, ...lines] = answers.at(-1).split('\r\n');
  const fields = lines.map((line) => /** @type {[string, string]} */ ([line.split(':')[0].toLowerCase(), line.slice(line.indexOf(':') + 1).trim()]));
  return { status: Number(first.split(' ')[1]), headers: new Map(fields), body: said.stdout.slice(said.stdout.lastIndexOf('\r\n\r\n') + 4) };
}

test('curl uploads by the draft, in one request and in two', LIMIT, async () => {
  const [auth, site] = [`Authorization: Bearer ${bed.token}`, `${bed.url}/files/`];
  const whole = await curl('-X', 'POST', '-H', auth, '-H', 'Upload-Complete: ?1', '--data-binary', `@${file.path}`, site);
  assert.deepEqual([whole.status, whole.headers.get('upload-complete')], [201, '?1']);
  await arrived(whole.headers.get('location'));

  const announced = await curl('-X', 'POST', '-H', auth, '-H', 'Upload-Complete: ?0', '-H', 'Content-Length: 0', site);
  assert.equal(announced.status, 201);
  const place = new URL(announced.headers.get('location'), bed.url).href;
  const content = await readFile(file.path);
  const half = await files.random('unused.bin', 0);
  await writeFile(half.path, content.subarray(0, 5 * MIB));
  const append = (offset, complete, path) => curl(
    '-X', 'PATCH', '-H', 'Content-Type: application/partial-upload', '-H', `Upload-Offset: ${offset}`, '-H', `Upload-Complete: ${complete}`,
    '--data-binary', `@${path}`, place,
  );
  assert.equal((await append(0, '?0', half.path)).status, 204);
  const head = await curl('--head', place);
  assert.equal(head.headers.get('upload-offset'), String(5 * MIB));
  await writeFile(half.path, content.subarray(5 * MIB));
  assert.equal((await append(5 * MIB, '?1', half.path)).status, 200);
  await arrived(place);
});

test('curl uploads by PUT and by a form', LIMIT, async () => {
  const auth = `Authorization: Bearer ${bed.token}`;
  const put = await curl('-H', auth, '-T', file.path, `${bed.url}/uploads/clients.bin`);
  assert.equal(put.status, 201);
  assert.equal(JSON.parse(put.body).sha256, file.sha256);

  const form = await curl('-H', auth, '-H', 'Accept: application/json', '-F', `file=@${file.path}`, `${bed.url}/uploads`);
  assert.ok(form.status === 200 || form.status === 201, String(form.status));
  assert.ok(form.body.includes(file.sha256), form.body);
});
