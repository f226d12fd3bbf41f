// Uploading as a person does it: two windows, a server that dies, a network that goes away.

import assert from 'node:assert/strict';
import { readFile } from 'node:fs/promises';
import { after, before, test } from 'node:test';
import {
  FilesOnDisk, MIB, PATIENCE_MS, Testbed, assertClean, launchBrowser, live, openWindow, percentOf, pick, rowOf, sha256, shownDigest, signIn,
  slowUploads, stored, until, watched,
} from './harness.mjs';

/** Slow enough to be watched and interrupted, fast enough not to be waited for. */
const WATCHABLE_BYTES_PER_SECOND = 8 * MIB;

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

test('a big file arrives whole although the server is killed in the middle, and two windows see it', { timeout: 180_000 }, async () => {
  const file = await files.random('sixty-four.bin', 64 * MIB);
  const second = watched(await context.newPage());
  await second.goto(bed.url);
  await live(second);
  await page.bringToFront();
  const speed = await slowUploads(page, WATCHABLE_BYTES_PER_SECOND);
  const seen = { first: [], second: [] };

  await pick(page, file.path);
  await until('both windows pass a fifth', async () => {
    seen.first.push(await percentOf(page, file.name));
    seen.second.push(await percentOf(second, file.name));
    return seen.first.at(-1) > 20 && seen.second.at(-1) > 20;
  });
  await bed.kill();
  await rowOf(page, file.name).getByText(/is safe/).waitFor();
  await bed.restart();
  await until('the second window passes what it saw before', async () => {
    seen.first.push(await percentOf(page, file.name));
    seen.second.push(await percentOf(second, file.name));
    return seen.second.at(-1) > 60 || (await rowOf(second, file.name).getAttribute('data-state')) !== 'receiving';
  });
  await speed.atFullSpeed();
  await stored(page, file.name);
  await stored(second, file.name);

  assert.equal(await shownDigest(page, file.name), file.sha256);
  assert.equal(await shownDigest(second, file.name), file.sha256);
  for (const values of [seen.first, seen.second]) {
    const shown = values.filter((value) => value >= 0);
    assert.ok(new Set(shown).size >= 3, `progress was not seen to move: ${shown}`);
  }
  const watchedValues = seen.second.filter((value) => value >= 0);
  assert.deepEqual(watchedValues, [...watchedValues].sort((a, b) => a - b), 'stored bytes went backwards');
  await rowOf(page, file.name).getByText(/^Inspection done/).waitFor();
  await rowOf(second, file.name).getByText(/^Inspection done/).waitFor();
  assertClean(page, { interrupted: true });
  assertClean(second, { interrupted: true });
  await second.close();

  const [download] = await Promise.all([
    page.waitForEvent('download'),
    page.getByRole('link', { name: `Download: ${file.name}` }).click(),
  ]);
  assert.equal(sha256(await readFile(await download.path())), file.sha256);
  assert.equal(download.suggestedFilename(), file.name);
});

test('after a reload the same file goes on where it stopped', { timeout: 120_000 }, async () => {
  const file = await files.random('resumed.bin', 32 * MIB);
  const tab = watched(await context.newPage());
  await tab.goto(bed.url);
  await live(tab);
  await slowUploads(tab, WATCHABLE_BYTES_PER_SECOND);
  await pick(tab, file.path);
  await until('a quarter is stored', async () => (await percentOf(tab, file.name)) > 25);

  // The page asks whether to leave; a person would agree, and so does the harness by closing it.
  await tab.close({ runBeforeUnload: false });
  const again = watched(await context.newPage());
  const offsets = [];
  again.on('request', (request) => { if (request.method() === 'PATCH') offsets.push(Number(request.headers()['upload-offset'])); });
  await again.goto(bed.url);
  await rowOf(again, file.name).getByText('Unfinished', { exact: true }).waitFor();
  await pick(again, file.path);
  await stored(again, file.name);

  assert.ok(offsets[0] > 0, 'it began from nothing');
  assert.equal(await shownDigest(again, file.name), file.sha256);
  assert.equal(await rowOf(again, file.name).count(), 1);
  assertClean(again);
  await again.close();
});

test('pause, the lost network and continuing keep every byte', { timeout: 120_000 }, async () => {
  const file = await files.random('paused.bin', 24 * MIB);
  const tab = watched(await context.newPage());
  await tab.goto(bed.url);
  await live(tab);
  const speed = await slowUploads(tab, WATCHABLE_BYTES_PER_SECOND);
  await pick(tab, file.path);
  await until('a tenth is stored', async () => (await percentOf(tab, file.name)) > 10);

  await tab.getByRole('button', { name: `Pause: ${file.name}` }).click();
  await rowOf(tab, file.name).getByText('Paused', { exact: true }).waitFor();
  await tab.getByRole('button', { name: `Continue: ${file.name}` }).click();
  await rowOf(tab, file.name).getByText('Receiving', { exact: true }).waitFor();
  await speed.offline();
  await rowOf(tab, file.name).getByText('Waiting for the connection', { exact: true }).waitFor();
  await rowOf(tab, file.name).getByText(/is safe$/).waitFor();
  await speed.atFullSpeed();
  await stored(tab, file.name);

  assert.equal(await shownDigest(tab, file.name), file.sha256);
  assertClean(tab, { interrupted: true });
  await tab.close();
});

test('hostile names are text and nothing else', { timeout: 120_000 }, async () => {
  const names = [
    '<img src=x onerror=alert(1)>.csv', '"><script>alert(2)<\uff0fscript>.txt', '\'; DROP TABLE uploads;--.csv', '..%2f..%2fetc%2fpasswd',
    'حسابات.xlsx', '👩‍🚀🚢.mp4', '{{ 7*7 }}${7*7}.txt', 'a b  c.txt', `${'long-name-'.repeat(20)}.tar.gz`,
  ];
  const tab = watched(await context.newPage());
  await tab.goto(bed.url);
  await live(tab);

  await pick(tab, [...names, 'invoice\u202efdp.exe'].map((name) => ({ name, mimeType: 'text/html', buffer: Buffer.from('<script>alert(3)</script>') })));
  for (const name of names) await tab.locator(`[data-upload] a[data-slot="name"][title="${CSS(name)}"]`).waitFor();
  await until('all are stored', async () => (await tab.locator('[data-upload][data-state="receiving"], [data-upload][data-state="verifying"]').count()) === 0);
  await tab.reload();
  await live(tab);

  for (const name of names) await tab.locator(`[data-upload] a[data-slot="name"][title="${CSS(name)}"]`).waitFor();
  const disguised = await tab.locator('[data-upload] a[data-slot="name"]', { hasText: /^invoice.?fdp\.exe$/u }).innerText();
  assert.ok(!disguised.includes('\u202e'));
  assert.equal(await tab.locator('[data-uploads] img, [data-uploads] script').count(), 0);
  for (const name of names.slice(0, 2)) {
    await tab.locator(`a[data-slot="name"][title="${CSS(name)}"]`).click();
    await tab.waitForSelector('body[data-page="upload"]');
    assert.equal(await tab.locator('h1 bdi').textContent(), name);
    assert.equal(await tab.locator('article img, article script').count(), 0);
    await tab.goBack();
  }
  assertClean(tab);
  await tab.close();
});

test('removing asks first and takes the row away in every window', { timeout: 120_000 }, async () => {
  const tab = watched(await context.newPage());
  const other = watched(await context.newPage());
  for (const each of [tab, other]) {
    await each.goto(bed.url);
    await live(each);
  }
  await tab.bringToFront();
  await pick(tab, { name: 'unwanted.txt', mimeType: 'text/plain', buffer: Buffer.from('gone soon') });
  await stored(tab, 'unwanted.txt');
  await stored(other, 'unwanted.txt');

  await tab.getByRole('button', { name: 'Remove: unwanted.txt' }).click();
  await tab.getByRole('button', { name: 'Keep it' }).click();
  assert.equal(await rowOf(tab, 'unwanted.txt').count(), 1);
  await tab.getByRole('button', { name: 'Remove: unwanted.txt' }).click();
  await tab.getByRole('button', { name: 'Remove the file' }).click();

  await rowOf(tab, 'unwanted.txt').waitFor({ state: 'detached' });
  await rowOf(other, 'unwanted.txt').waitFor({ state: 'detached' });
  assertClean(tab);
  assertClean(other);
  await tab.close();
  await other.close();
});

test('the page of one upload moves by itself', { timeout: 120_000 }, async () => {
  const file = await files.random('watched.bin', 16 * MIB, '%PDF-1.7\n');
  const speed = await slowUploads(page, WATCHABLE_BYTES_PER_SECOND);
  await page.bringToFront();
  await pick(page, file.path);
  const link = page.locator(`a[data-slot="name"][title="${file.name}"][href]`);
  await link.waitFor();
  const detail = watched(await context.newPage());

  await detail.goto(new URL(await link.getAttribute('href'), bed.url).href);
  await live(detail);
  await until('its number moves', async () => (await percentOf(detail, file.name)) > 20);
  await page.bringToFront();
  await speed.atFullSpeed();
  await detail.locator('article[data-state="stored"]').waitFor({ timeout: PATIENCE_MS });

  assert.equal(await detail.locator('[data-slot="digest"]').textContent(), file.sha256);
  await detail.getByText(/^Inspection done/).waitFor();
  // It was announced as something else, and nobody has reloaded the page.
  await detail.locator('[data-slot="type"]', { hasText: 'application/pdf' }).waitFor();
  assertClean(detail);
  await detail.close();
});

/** A string inside a quoted attribute selector. */
function CSS(text) {
  return text.replace(/["\\]/g, '\\$&');
}
