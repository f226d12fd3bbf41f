// Every page by what everybody needs of it: reachable, readable, usable by keyboard, small screens.

import assert from 'node:assert/strict';
import { createRequire } from 'node:module';
import { readFile } from 'node:fs/promises';
import { after, before, test } from 'node:test';
import { Testbed, assertClean, launchBrowser, live, openWindow, rowOf, signIn } from './harness.mjs';

const axeSource = await readFile(createRequire(import.meta.url).resolve('axe-core/axe.min.js'), 'utf8');
/** The narrowest phone still in use. */
const PHONE = { width: 360, height: 740 };
const NOBODYS_UPLOAD = '/uploads/00000000-0000-7000-8000-000000000000';
const LONG_NAME = `${'a-rather-long-name-without-any-space-'.repeat(5)}.csv`;

let bed;
let browser;
let signedIn;
let uploadPath;

before(async () => {
  bed = await Testbed.start();
  browser = await launchBrowser();
  const { context, page } = await openWindow(browser);
  await signIn(page, bed);
  await page.locator('[data-files]').setInputFiles([
    { name: 'first.csv', mimeType: 'text/csv', buffer: Buffer.from('a,b\n1,2\n') },
    { name: LONG_NAME, mimeType: 'text/csv', buffer: Buffer.from('a,b\n1,2\n') },
  ]);
  await rowOf(page, 'first.csv').and(page.locator('[data-state="stored"]')).waitFor();
  uploadPath = await page.locator('a[data-slot="name"][title="first.csv"]').getAttribute('href');
  signedIn = await context.storageState();
  await context.close();
});

after(async () => {
  await browser?.close();
  await bed?.end();
});

/** Each page with what it needs to be shown. */
const PAGES = [
  { name: 'uploads', path: () => '/', ready: live },
  { name: 'one upload', path: () => uploadPath, ready: live },
  { name: 'account', path: () => '/account' },
  { name: 'people', path: () => '/accounts' },
  { name: 'audit trail', path: () => '/audit' },
  { name: 'error', path: () => NOBODYS_UPLOAD, missing: true },
  { name: 'sign-in', path: () => '/sign-in', visitor: true },
];

async function visit({ path, ready, visitor, missing }, options) {
  const { context, page } = await openWindow(browser, { ...options, storageState: visitor ? undefined : signedIn });
  const answer = await page.goto(new URL(path(), bed.url).href);
  assert.equal(answer.status(), missing ? 404 : 200);
  await ready?.(page);
  return { context, page };
}

for (const scheme of ['light', 'dark']) {
  for (const target of PAGES) {
    test(`${target.name} has no serious accessibility fault (${scheme})`, { timeout: 90_000 }, async () => {
      const { context, page } = await visit(target, { colorScheme: scheme });

      await page.evaluate(axeSource);
      const { violations } = await page.evaluate(() => window.axe.run());

      const serious = violations.filter(({ impact }) => impact === 'serious' || impact === 'critical');
      assert.deepEqual(serious.map(({ id, nodes }) => `${id}: ${nodes.map(({ target: at, failureSummary }) => `${at} ${failureSummary}`)}`), []);
      if (!target.missing) assertClean(page);
      await context.close();
    });
  }
}

for (const target of PAGES) {
  test(`${target.name} fits a phone`, { timeout: 90_000 }, async () => {
    const { context, page } = await visit(target, { viewport: PHONE, isMobile: true, hasTouch: true });

    const overflow = await page.evaluate(() => document.documentElement.scrollWidth - document.documentElement.clientWidth);

    assert.equal(overflow, 0);
    await context.close();
  });
}

test('the keyboard reaches the file chooser and the list', { timeout: 90_000 }, async () => {
  const { context, page } = await visit(PAGES[0]);
  const reached = [];

  for (let presses = 0; presses < 14; presses += 1) {
    await page.keyboard.press('Tab');
    reached.push(await page.evaluate(() => {
      const at = document.activeElement;
      return at?.matches('[data-files]') ? 'files' : at?.matches('a[data-slot="name"]') ? 'name' : at?.matches('.skip') ? 'skip' : '';
    }));
  }

  assert.deepEqual(reached.filter(Boolean).slice(0, 3), ['skip', 'files', 'name']);
  await context.close();
});

test('without script a form sends files, and the terminal way is shown', { timeout: 90_000 }, async () => {
  const { context, page } = await openWindow(browser, { javaScriptEnabled: false, storageState: signedIn });
  const file = (name, text) => ({ name, mimeType: 'text/plain', buffer: Buffer.from(text) });

  await page.goto(bed.url);
  // By selector: a search by text passes over what is inside <noscript>.
  await page.locator('noscript h2').waitFor();
  assert.match(await page.locator('noscript pre').innerText(), /curl -T/);
  assert.equal(await page.locator('[data-drop]').isVisible(), false);
  await page.locator('#plain-files').setInputFiles([file('plain one.txt', 'one'), file('näïve "two".txt', 'two')]);
  await page.locator('noscript form button').click();

  await page.getByRole('link', { name: 'plain one.txt', exact: true }).waitFor();
  await page.getByRole('link', { name: 'näïve "two".txt', exact: true }).waitFor();
  await page.getByRole('link', { name: 'first.csv', exact: true }).waitFor();
  assert.equal(new URL(page.url()).pathname, '/');
  await context.close();
});

test('a page points to another file with the same content', { timeout: 90_000 }, async () => {
  const { context, page } = await visit(PAGES[1]);

  await page.locator('[data-twin] a').click();

  await page.locator('[data-twin] a', { hasText: 'first.csv' }).waitFor();
  assert.notEqual(new URL(page.url()).pathname, uploadPath);
  await context.close();
});

test('signing out ends what the page may see', { timeout: 90_000 }, async () => {
  const { context, page } = await visit(PAGES[0]);

  await page.locator('[data-account] summary').click();
  await page.getByRole('button', { name: 'Sign out' }).click();
  await page.waitForSelector('body[data-page="sign-in"]');
  await page.goto(new URL(uploadPath, bed.url).href);

  await page.waitForSelector('body[data-page="sign-in"]');
  await context.close();
});
