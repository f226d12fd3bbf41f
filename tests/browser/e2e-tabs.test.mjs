// Live progress in several tabs of one browser, and on networks that let no socket through.

import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';
import { Front } from './front.mjs';
import { Testbed, assertClean, launchBrowser, live, openWindow, rowOf, until, watched } from './harness.mjs';

const LIMIT = { timeout: 120_000 };
/** A script announces, and sends in pieces, a file of so many bytes. */
const BYTES = 9;

let bed;
let browser;
let signedIn;

before(async () => {
  bed = await Testbed.start();
  browser = await launchBrowser();
  const { context, page } = await openWindow(browser);
  await page.goto(bed.sign_in_url);
  await page.waitForSelector('body[data-page="uploads"]');
  signedIn = await context.storageState();
  await context.close();
});

after(async () => {
  await browser?.close();
  await bed?.end();
});

/** A browser of the same person behind a proxy of its own. */
async function behindFront() {
  const front = await Front.before(bed.url);
  const { context, page } = await openWindow(browser, { storageState: signedIn });
  await page.goto(front.url);
  const tab = async (url = front.url) => {
    const opened = watched(await context.newPage());
    await opened.goto(url);
    return opened;
  };
  const end = async () => {
    await context.close();
    await front.end();
  };
  return { front, page, tab, end };
}

/** A file that a script sends, so that no tab knows of it but live. */
class Sent {
  static async announce(name) {
    const answer = await fetch(new URL('/files/', bed.url), { method: 'POST', headers: { ...Sent.#headers(), 'Upload-Length': String(BYTES), 'Upload-Metadata': `filename ${btoa(name)}` } });
    assert.equal(answer.status, 201);
    const sent = new Sent();
    Object.assign(sent, { name, offset: 0, url: new URL(answer.headers.get('location'), bed.url) });
    return sent;
  }

  async send(text) {
    const answer = await fetch(this.url, {
      method: 'PATCH', body: text,
      headers: { ...Sent.#headers(), 'Upload-Offset': String(this.offset), 'Content-Type': 'application/offset+octet-stream' },
    });
    assert.equal(answer.status, 204);
    this.offset += text.length;
  }

  static #headers() {
    return { Authorization: `Bearer ${bed.token}`, 'Tus-Resumable': '1.0.0' };
  }
}

const shows = (page, name, text) => rowOf(page, name).locator('[data-slot="detail"]', { hasText: text }).waitFor();
const showsStored = (page, name) => rowOf(page, name).and(page.locator('[data-state="stored"]')).waitFor();

test('three tabs share one socket, and each hears what it follows', LIMIT, async () => {
  const { front, page, tab, end } = await behindFront();
  await live(page);
  const file = await Sent.announce('shared.txt');
  const second = await tab();
  const link = await page.locator('a[data-slot="name"][title="shared.txt"]').getAttribute('href');
  const detail = await tab(new URL(link, front.url).href);
  for (const each of [second, detail]) await live(each);

  await file.send('abc');
  await shows(page, file.name, '3 B of 9 B stored');
  await shows(second, file.name, '3 B of 9 B stored');
  await detail.locator('[data-slot="detail"]', { hasText: '3 B of 9 B stored' }).waitFor();

  assert.deepEqual([front.asked, front.sockets.size], [1, 1]);
  await file.send('defghi');
  for (const each of [page, second]) await showsStored(each, file.name);
  await detail.locator('article[data-state="stored"]').waitFor();
  await detail.locator('[data-slot="type"]', { hasText: 'text/plain' }).waitFor();
  for (const each of [page, second, detail]) assertClean(each);
  await end();
});

test('when the tab with the socket closes another takes over, and nothing is lost', LIMIT, async () => {
  const { front, page, tab, end } = await behindFront();
  await live(page);
  const [second, third] = [await tab(), await tab()];
  for (const each of [second, third]) await live(each);
  const file = await Sent.announce('handed-over.txt');
  for (const each of [second, third]) await shows(each, file.name, '0 B of 9 B stored');
  assert.equal(front.asked, 1);

  await page.close({ runBeforeUnload: false });
  await file.send('abcdef');

  for (const each of [second, third]) {
    await shows(each, file.name, '6 B of 9 B stored');
    await live(each);
  }
  assert.deepEqual([front.asked, front.sockets.size], [2, 1]);
  await file.send('ghi');
  for (const each of [second, third]) await showsStored(each, file.name);
  for (const each of [second, third]) assertClean(each);
  await end();
});

test('a tab that leaves a page gives the socket on, and gets it no more often than needed', LIMIT, async () => {
  const { front, page, tab, end } = await behindFront();
  await live(page);
  const second = await tab();
  await live(second);

  await page.goto('about:blank');
  await until('the other tab has it', () => front.asked === 2 && front.sockets.size === 1);
  await live(second);
  await page.goBack();
  await live(page);

  assert.deepEqual([front.asked, front.sockets.size], [2, 1]);
  assertClean(page);
  assertClean(second);
  await end();
});

test('where sockets are blocked progress is live all the same, and sockets are used once they pass', LIMIT, async () => {
  const { front, page, tab, end } = await behindFront();
  front.letsSockets = false;
  front.cut();
  await until('sockets are refused', () => front.asked >= 3);
  await live(page);
  const second = await tab();
  await live(second);
  const file = await Sent.announce('by-requests.txt');

  await file.send('abc');
  for (const each of [page, second]) await shows(each, file.name, '3 B of 9 B stored');
  await file.send('defghi');
  for (const each of [page, second]) await showsStored(each, file.name);
  assert.equal(front.sockets.size, 0);

  front.letsSockets = true;
  await until('a socket passes', () => front.sockets.size === 1);
  const later = await Sent.announce('by-socket.txt');
  await later.send('abcdefghi');
  for (const each of [page, second]) await showsStored(each, later.name);
  for (const each of [page, second]) assertClean(each, { interrupted: true });
  await end();
});

test('without locks each tab has a socket of its own', LIMIT, async () => {
  const front = await Front.before(bed.url);
  const { context, page } = await openWindow(browser, { storageState: signedIn });
  await context.addInitScript(() => { Object.defineProperty(Navigator.prototype, 'locks', { value: undefined }); });
  const second = watched(await context.newPage());
  for (const each of [page, second]) {
    await each.goto(front.url);
    await live(each);
  }

  assert.deepEqual([front.asked, front.sockets.size], [2, 2]);
  for (const each of [page, second]) assertClean(each);
  await context.close();
  await front.end();
});
