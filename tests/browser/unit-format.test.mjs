// Sizes, rates, durations and names as they are shown.

import assert from 'node:assert/strict';
import { test } from 'node:test';
import { formatBytes, formatDuration, formatMoment, formatRate, percent, sameName, shortName, showName } from '../../crates/web/assets/format.js';

const KIB = 1024;
const MIB = KIB ** 2;
const GIB = KIB ** 3;

test('sizes have one decimal under a hundred and none above', () => {
  const cases = [
    [0, '0 B'], [37, '37 B'], [1023, '1023 B'], [KIB, '1.0 KiB'], [99.94 * KIB, '99.9 KiB'], [99.96 * KIB, '100 KiB'],
    [512 * KIB, '512 KiB'], [1023.4 * KIB, '1023 KiB'], [2 * GIB, '2.0 GiB'], [412 * MIB, '412 MiB'],
  ];

  for (const [bytes, text] of cases) assert.equal(formatBytes(bytes), text);
});

test('a size never reads 1024 of a unit that has a larger one', () => {
  assert.equal(formatBytes(1023.6 * KIB), '1.0 MiB');
  assert.equal(formatBytes(1024 * MIB - 1), '1.0 GiB');
});

test('negative and absurd sizes do not break the page', () => {
  assert.equal(formatBytes(-5), '0 B');
  assert.equal(formatBytes(Number.MAX_SAFE_INTEGER), '8.0 PiB');
});

test('rates are sizes per second', () => {
  assert.equal(formatRate(12.34 * MIB), '12.3 MiB/s');
});

test('durations are coarse', () => {
  const cases = [
    [0, 'a few seconds'], [9_000, 'a few seconds'], [12_000, '10 s'], [57_000, '55 s'], [59_000, '1 min'], [150_000, '3 min'],
    [3_600_000, '1 h'], [3_900_000, '1 h 5 min'], [25 * 3_600_000, '1 d 1 h'], [48 * 3_600_000, '2 d'],
  ];

  for (const [ms, text] of cases) assert.equal(formatDuration(ms), text);
});

test('a hundred percent is said only when all is there', () => {
  assert.equal(percent(999, 1000), 99);
  assert.equal(percent(1000, 1000), 100);
  assert.equal(percent(0, 0), 100);
  assert.equal(percent(5, null), null);
});

test('moments get shorter the nearer they are', () => {
  const now = new Date(2026, 10, 22, 12, 0);

  assert.equal(formatMoment(new Date(2026, 10, 22, 9, 5).toISOString(), now), '09:05');
  assert.equal(formatMoment(new Date(2026, 2, 3, 9, 5).toISOString(), now), '3 Mar, 09:05');
  assert.equal(formatMoment(new Date(2024, 2, 3, 9, 5).toISOString(), now), '3 Mar 2024');
  assert.equal(formatMoment('nonsense', now), '');
});

test('characters that reorder or hide text are made visible', () => {
  assert.equal(showName('invoice\u202efdp.exe'), 'invoice\ufffdfdp.exe');
  assert.equal(showName('a\u0000b\nc\u200bd\u2066e'), 'a\ufffdb\ufffdc\ufffdd\ufffde');
  assert.equal(showName(''), 'unnamed');
});

test('a name is the same with and without what the server drops from it', () => {
  assert.ok(sameName('invoice\u202efdp.exe ', 'invoicefdp.exe'));
  assert.ok(!sameName('a.csv', 'b.csv'));
});

test('emoji and Arabic names stay as they are', () => {
  for (const name of ['👩‍🚀 launch ⚓️.mp4', 'حسابات الربع الثالث.xlsx', 'naïve café.txt']) assert.equal(showName(name), name);
});

test('long names lose their middle and keep their extension', () => {
  const short = shortName(`${'👩‍🚀'.repeat(200)}-part-0147.tar.gz`);

  assert.ok(short.endsWith('-part-0147.tar.gz'));
  assert.ok(short.includes('…'));
  assert.equal([...new Intl.Segmenter().segment(short)].length, 72);
});
