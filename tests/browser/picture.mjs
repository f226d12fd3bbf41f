// Takes the picture of the README, docs/slipway.png: the real pages of a real server, one upload
// caught on its way, one paused, one stored and inspected.
//
// Run it after `cargo build --workspace`, with TEST_DATABASE_URL set: `npm run picture`. Nothing is
// drawn or retouched; what is on the picture happened. The files are made up on the spot.

import { stat } from 'node:fs/promises';
import { fileURLToPath } from 'node:url';
import { FilesOnDisk, MIB, Testbed, launchBrowser, openWindow, percentOf, pick, rowOf, signIn, slowUploads, stored, until } from './harness.mjs';

const PICTURE = fileURLToPath(new URL('../../docs/slipway.png', import.meta.url));
const VIEWPORT = { width: 1280, height: 824 };
/** A README is read over all kinds of lines. */
const PICTURE_BYTES_MAX = 300 * 1024;

const MOVING = 'harbour-survey-2026.tif';
const MOVING_BYTES = 320 * MIB;
/** An office line. */
const BYTES_PER_SECOND = 14 * MIB;
/** The upload is caught here: far enough to show that it moves, and much left to come. */
const CAUGHT_PERCENT = 44;
const PAUSED = 'site-photos-week-46.zip';
const PAUSED_BYTES = 46_000_000;

const files = await FilesOnDisk.create();
const bed = await Testbed.start();
const browser = await launchBrowser();
try {
  const { page } = await openWindow(browser, { viewport: VIEWPORT, colorScheme: 'light', reducedMotion: 'reduce' });
  await signIn(page, bed);
  const table = orders();
  await pick(page, table);
  await stored(page, table.name);
  await rowOf(page, table.name).getByText(/^Inspection done/).waitFor();
  await slowUploads(page, BYTES_PER_SECOND);
  await pick(page, (await files.random(PAUSED, PAUSED_BYTES)).path);
  await until('a third is stored', async () => (await percentOf(page, PAUSED)) > 33);
  await page.getByRole('button', { name: `Pause: ${PAUSED}` }).click();
  await rowOf(page, PAUSED).getByText('Paused', { exact: true }).waitFor();
  // Off the button, which would look pressed.
  await page.mouse.move(VIEWPORT.width / 2, 0);
  await pick(page, (await files.random(MOVING, MOVING_BYTES)).path);
  await until('it is caught on its way', async () => (await percentOf(page, MOVING)) > CAUGHT_PERCENT);
  await until('its rate is shown', async () => (await rowOf(page, MOVING).locator('[data-slot="left"]').innerText()) !== '');
  await page.screenshot({ path: PICTURE });
} finally {
  await browser.close();
  await bed.end();
  await files.end();
}
const { size } = await stat(PICTURE);
if (size > PICTURE_BYTES_MAX) throw new Error(`the picture has ${size} bytes; ${PICTURE_BYTES_MAX} are allowed`);

/** A table, so that the inspection has lines to count. */
function orders() {
  const lines = Array.from({ length: 48_211 }, (_, row) => `${100_000 + row},customer-${row % 977},${(row % 9_973) / 100},EUR`);
  return { name: 'orders-november.csv', mimeType: 'text/csv', buffer: Buffer.from(`order,customer,amount,currency\n${lines.join('\n')}\n`) };
}
