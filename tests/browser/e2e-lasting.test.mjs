// What a page that stays open lives through: a server that is replaced, a sign-in that ends, a long list.

import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';
import {
  FilesOnDisk, MIB, Testbed, assertClean, launchBrowser, live, openWindow, percentOf, pick, rowOf, shownDigest, signIn, slowUploads, stored,
  until, watched,
} from './harness.mjs';

/** Slow enough to be interrupted, fast enough not to be waited for. */
const WATCHABLE_BYTES_PER_SECOND = 8 * MIB;
/** Uploads a list shows at once. */
const PAGE_UPLOADS = 50;

let bed;
let browser;
let context;
let page;
let files;

before(async () => {
  files = await FilesOnDisk.create();
  bed = await Testbed.start();
  browser = await launchBrowser();
  ({ context, page } = await openWindow(browser));
  await signIn(page, bed);
});

after(async () => {
  await browser?.close();
  await bed?.end();
  await files?.end();
});

/** Another window of the same person, on the list. */
async function another() {
  const opened = watched(await context.newPage());
  await opened.goto(bed.url);
  await live(opened);
  return opened;
}

test('a server that is replaced in the middle costs nothing, and everybody comes back by themselves', { timeout: 120_000 }, async () => {
  const file = await files.random('across-a-deploy.bin', 48 * MIB);
  const watching = await another();
  const speed = await slowUploads(page, WATCHABLE_BYTES_PER_SECOND);
  const shown = [];
  await page.bringToFront();
  await pick(page, file.path);
  await until('the watcher passes a tenth', async () => (await percentOf(watching, file.name)) > 10);

  await bed.stop();
  await watching.waitForSelector('[data-live]:not([data-status="live"])');
  shown.push(await percentOf(watching, file.name));
  assert.equal(await rowOf(watching, file.name).locator('[data-slot="rate"]').innerText(), '', 'a rate was claimed without a connection');
  await bed.restart();
  await live(watching);
  await live(page);
  await speed.atFullSpeed();
  await until('the watcher sees the end', async () => {
    shown.push(await percentOf(watching, file.name));
    return (await rowOf(watching, file.name).getAttribute('data-state')) === 'stored';
  });
  await stored(page, file.name);

  const values = shown.filter((value) => value >= 0);
  assert.deepEqual(values, [...values].sort((a, b) => a - b), 'stored bytes went backwards');
  assert.equal(await shownDigest(page, file.name), file.sha256);
  assert.equal(await shownDigest(watching, file.name), file.sha256);
  assertClean(page, { interrupted: true });
  assertClean(watching, { interrupted: true });
  await watching.close();
});

test('signed out in the middle, a running upload goes on, and a new one waits for the sign-in', { timeout: 120_000 }, async () => {
  // A sign-in link works once; each start of the server comes with another.
  await bed.kill();
  await bed.restart();
  await live(page);
  const [running, waiting] = [await files.random('running.bin', 32 * MIB), await files.random('waiting.bin', MIB)];
  const speed = await slowUploads(page, WATCHABLE_BYTES_PER_SECOND);
  await pick(page, running.path);
  await until('it runs', async () => (await percentOf(page, running.name)) > 5);

  const other = await another();
  await other.locator('[data-account] summary').click();
  await other.getByRole('button', { name: 'Sign out' }).click();
  await other.waitForSelector('body[data-page="sign-in"]');
  const before = await percentOf(page, running.name);
  await pick(page, waiting.path);
  await rowOf(page, waiting.name).getByText('Sign in to go on', { exact: true }).waitFor();
  await page.getByText(/^You are signed out\./).waitFor();
  await until('the running one goes on', async () => (await percentOf(page, running.name)) > before);
  await other.goto(bed.sign_in_url);
  await other.waitForSelector('body[data-page="uploads"]');
  await speed.atFullSpeed();

  for (const file of [running, waiting]) {
    await stored(page, file.name);
    assert.equal(await shownDigest(page, file.name), file.sha256);
  }
  await page.getByText(/^You are signed out\./).waitFor({ state: 'detached' });
  await other.close();
});

test('older uploads are one press away, each once and newest first', { timeout: 120_000 }, async () => {
  const names = Array.from({ length: PAGE_UPLOADS + 10 }, (_, index) => `older-${String(index).padStart(2, '0')}.txt`);
  for (const name of names) await createEmpty(name);
  const tab = await another();
  const shown = () => tab.locator('[data-uploads] a[data-slot="name"]').evaluateAll((links) => links.map((link) => link.title));

  assert.deepEqual(await shown(), names.toReversed().slice(0, PAGE_UPLOADS));
  await tab.getByRole('button', { name: 'Show older uploads' }).click();
  await until('the rest is there', async () => (await shown()).includes(names[0]));

  const after = await shown();
  assert.deepEqual(after.filter((name) => name.startsWith('older-')), names.toReversed());
  assert.equal(new Set(after).size, after.length);
  assert.equal(await tab.evaluate(() => document.activeElement?.getAttribute('title')), names.at(-PAGE_UPLOADS - 1));
  assert.equal(await tab.getByRole('button', { name: 'Show older uploads' }).count(), 0);
  assertClean(tab);
  await tab.close();
});

/** An upload without a byte, by a script: complete as soon as it is created. */
async function createEmpty(name) {
  const answer = await fetch(new URL('/files/', bed.url), {
    method: 'POST',
    headers: {
      Authorization: `Bearer ${bed.token}`,
      'Tus-Resumable': '1.0.0',
      'Upload-Length': '0',
      'Upload-Metadata': `filename ${Buffer.from(name).toString('base64')}`,
    },
  });
  assert.equal(answer.status, 201);
}
