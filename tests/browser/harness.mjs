// What the browser tests stand on: a real server with a database of its own, a real browser, and
// pages that remember everything that went wrong on them.
//
// Only loopback is talked to. Ends what it started and nothing else.

import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { createHash, randomBytes } from 'node:crypto';
import { accessSync, constants, existsSync } from 'node:fs';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { delimiter, dirname, join } from 'node:path';
import { createInterface } from 'node:readline';
import { fileURLToPath } from 'node:url';
import { chromium } from 'playwright-core';
import { Description } from './description.mjs';

export const MIB = 1024 * 1024;
/** A debug build on a busy machine migrates, starts and answers within this. */
const TESTBED_MS_MAX = 120_000;
/** Longest wait for anything to show on a page. */
export const PATIENCE_MS = 60_000;

/** The program under test unless SLIPWAY_BIN names another. */
const BUILT = fileURLToPath(new URL('../../target/debug/slipway', import.meta.url));

const BROWSERS = ['chromium', 'chromium-browser', 'google-chrome', 'google-chrome-stable'];
/** Headless, and silent towards everything that is not our server. */
const BROWSER_FLAGS = [
  '--no-sandbox', '--disable-gpu', '--disable-quic', '--no-first-run', '--disable-background-networking',
  '--disable-component-update', '--disable-sync',
];

/** @type {Description} what the server publishes of its live frames */
let described;

/** The server under test, in the hands of the `testbed` program. */
export class Testbed {
  /** @param {string[]} settings such as `SLIPWAY__SERVER__ALLOWED_ORIGINS=*` */
  static async start(settings = []) {
    const program = join(dirname(process.env.SLIPWAY_BIN ?? BUILT), 'testbed');
    assert.ok(existsSync(program), 'no testbed: run `cargo build --workspace`, or set SLIPWAY_BIN to the slipway program beside it');
    const bed = new Testbed();
    bed.child = spawn(program, settings, { stdio: ['pipe', 'pipe', 'inherit'] });
    bed.lines = createInterface({ input: bed.child.stdout })[Symbol.asyncIterator]();
    Object.assign(bed, await bed.#line());
    described = await Description.of(bed.url);
    return bed;
  }

  /** SIGKILL: nothing can be tidied up, connections just end. */
  async kill() {
    this.child.stdin.write('kill\n');
    await gone(this.url);
  }

  /** SIGTERM: the server may say farewell; resolves when nobody can come in any more. */
  async stop() {
    this.child.stdin.write('stop\n');
    await gone(this.url);
  }

  /** The same server again: same port, same database. */
  async restart() {
    this.child.stdin.write('start\n');
    Object.assign(this, await this.#line());
  }

  async end() {
    const ended = new Promise((resolve) => this.child.once('exit', resolve));
    this.child.stdin.end();
    await ended;
  }

  async #line() {
    const late = AbortSignal.timeout(TESTBED_MS_MAX);
    const { value, done } = await Promise.race([
      this.lines.next(),
      new Promise((_, reject) => { late.addEventListener('abort', () => reject(new Error('testbed did not answer'))); }),
    ]);
    assert.ok(!done, 'testbed ended before it said where the server is');
    return JSON.parse(value);
  }
}

/** Resolves when nobody answers at the address any more. */
async function gone(url) {
  const until = Date.now() + TESTBED_MS_MAX;
  while (Date.now() < until) {
    try {
      await fetch(new URL('/healthz', url), { signal: AbortSignal.timeout(1000) });
    } catch {
      return;
    }
    await sleep(20);
  }
  throw new Error('the server was told to end and still answers');
}

export async function launchBrowser() {
  return chromium.launch({ executablePath: browserProgram(), args: BROWSER_FLAGS });
}

function browserProgram() {
  if (process.env.CHROMIUM) return process.env.CHROMIUM;
  for (const folder of (process.env.PATH ?? '').split(delimiter)) {
    for (const name of BROWSERS) {
      const program = join(folder, name);
      try {
        accessSync(program, constants.X_OK);
        return program;
      } catch {
        // Not here; the next one.
      }
    }
  }
  throw new Error(`none of ${BROWSERS.join(', ')} is installed; install one or set CHROMIUM`);
}

/**
 * A browser window of its own (cookies included) with one page that is watched.
 * @param {import('playwright-core').Browser} browser
 * @param {import('playwright-core').BrowserContextOptions} [options]
 */
export async function openWindow(browser, options = {}) {
  const context = await browser.newContext({ viewport: { width: 1280, height: 900 }, ...options });
  context.setDefaultTimeout(PATIENCE_MS);
  return { context, page: watched(await context.newPage()) };
}

/** Everything that must not happen on a page, kept for `assertClean`. */
const problems = new WeakMap();

/** @param {import('playwright-core').Page} page */
export function watched(page) {
  const seen = [];
  problems.set(page, seen);
  page.on('console', (message) => { if (message.type() === 'error') seen.push(message.text()); });
  page.on('pageerror', (error) => seen.push(`uncaught: ${error.message}`));
  page.on('dialog', (dialog) => { seen.push(`dialog: ${dialog.message()}`); void dialog.dismiss().catch(() => {}); });
  page.on('websocket', (socket) => {
    for (const way of ['framesent', 'framereceived']) socket.on(way, ({ payload }) => seen.push(...described.faults(String(payload))));
  });
  return page;
}

/** What a browser itself logs when a server is away; expected only where a test takes it away. */
const CONNECTION_NOISE = /Failed to load resource|WebSocket connection to/;

/**
 * @param {import('playwright-core').Page} page
 * @param {{interrupted?: boolean}} [circumstances]
 */
export function assertClean(page, { interrupted = false } = {}) {
  const seen = problems.get(page).filter((text) => !(interrupted && CONNECTION_NOISE.test(text)));
  assert.deepEqual(seen, [], 'the page has logged errors');
}

/**
 * Signs in as a person does who was given a link.
 * @param {import('playwright-core').Page} page
 * @param {Testbed} bed
 */
export async function signIn(page, bed) {
  await page.goto(bed.sign_in_url);
  await page.waitForSelector('body[data-page="uploads"]');
  await live(page);
}

/** @param {import('playwright-core').Page} page */
export async function live(page) {
  await page.waitForSelector('[data-live][data-status="live"]');
}

/** The row of a file in the list. */
export function rowOf(page, name) {
  return page.locator('[data-upload]').filter({ has: page.getByText(name, { exact: true }) });
}

/**
 * Slows down what the page sends, and can take its network away.
 * @param {import('playwright-core').Page} page
 */
export async function slowUploads(page, bytesPerSecond) {
  const devtools = await page.context().newCDPSession(page);
  await devtools.send('Network.enable');
  const set = (uploadThroughput, offline = false) => devtools.send('Network.emulateNetworkConditions', {
    offline, latency: 0, downloadThroughput: -1, uploadThroughput,
  });
  await set(bytesPerSecond);
  return { atFullSpeed: () => set(-1), offline: () => set(bytesPerSecond, true) };
}

/** A folder for files that are too large for a browser to take them from memory. */
export class FilesOnDisk {
  static async create() {
    const files = new FilesOnDisk();
    files.folder = await mkdtemp(join(tmpdir(), 'slipway-browser-'));
    return files;
  }

  /** A file no compression can shorten, with its checksum; `head` says what kind it seems to be. */
  async random(name, bytes, head = '') {
    const buffer = randomBytes(bytes);
    buffer.write(head);
    const path = join(this.folder, name);
    await writeFile(path, buffer);
    return { name, path, sha256: sha256(buffer) };
  }

  async end() {
    await rm(this.folder, { recursive: true });
  }
}

/** Puts files on the page, as a person does with the button. */
export function pick(page, files) {
  return page.locator('[data-files]').setInputFiles(files);
}

export function stored(page, name) {
  return rowOf(page, name).and(page.locator('[data-state="stored"]')).waitFor();
}

export function shownDigest(page, name) {
  return rowOf(page, name).locator('[data-slot="digest"]').getAttribute('title');
}

/** What the bar of a file shows; -1 while it shows no share. One look, no wait: the bar may go between two. */
export async function percentOf(page, name) {
  const bars = page.getByRole('progressbar', { name: `Progress of ${name}` });
  return bars.evaluateAll(([bar]) => (bar?.hasAttribute('value') ? (bar.value / bar.max) * 100 : -1));
}

export function sha256(buffer) {
  return createHash('sha256').update(buffer).digest('hex');
}

export function sleep(ms) {
  return new Promise((resolve) => { setTimeout(resolve, ms); });
}

/** Asks until the answer is true; says what it waited for when it never is. */
export async function until(what, question, ms = PATIENCE_MS) {
  const end = Date.now() + ms;
  for (;;) {
    const answer = await question();
    if (answer) return answer;
    if (Date.now() > end) throw new Error(`waited in vain: ${what}`);
    await sleep(50);
  }
}
