// Numbers and names as people read them: sizes, rates, durations, moments, file names.
//
// Pure functions; never touches the page. Sizes follow the same rule as the server's text, so that
// a number does not change its look when a script takes over from the rendered page.

/** Units of 1,024, the ones a file manager and `ls -h` mean. */
const BYTE_UNITS = ['B', 'KiB', 'MiB', 'GiB', 'TiB', 'PiB'];

/** Graphemes of a name shown in a list; about two lines on a phone. The full name is in the title. */
const NAME_GRAPHEMES_MAX = 72;
/** Graphemes kept at the end of a shortened name: enough for a number and a double extension. */
const NAME_TAIL_GRAPHEMES = 24;

/**
 * Characters that draw nothing or reorder their neighbours: with them a name can pretend another
 * extension (`photo<RLO>gpj.exe`). Zero-width joiner and selectors stay, emoji need them.
 */
const DECEIVING = /[\u0000-\u001f\u007f-\u009f\u061c\u200b\u200e\u200f\u2028-\u202e\u2060-\u2069\ufeff]/gu;

/**
 * `37 B`, `2.0 GiB`, `512 KiB`: one decimal under 100, none above, never `1024 KiB`.
 * @param {number} bytes
 */
export function formatBytes(bytes) {
  let value = Math.max(0, bytes);
  let unit = 0;
  while (value >= 1024 && unit < BYTE_UNITS.length - 1) {
    value /= 1024;
    unit += 1;
  }
  if (unit === 0) return `${Math.round(value)} B`;
  if (value < 99.95) return `${value.toFixed(1)} ${BYTE_UNITS[unit]}`;
  const whole = Math.round(value);
  if (whole >= 1024 && unit < BYTE_UNITS.length - 1) return `1.0 ${BYTE_UNITS[unit + 1]}`;
  return `${whole} ${BYTE_UNITS[unit]}`;
}

/** @param {number} bytesPerSecond */
export function formatRate(bytesPerSecond) {
  return `${formatBytes(bytesPerSecond)}/s`;
}

/**
 * A duration for somebody who waits: coarse on purpose, so that it does not flicker.
 * @param {number} milliseconds
 */
export function formatDuration(milliseconds) {
  const seconds = Math.max(0, Math.round(milliseconds / 1000));
  if (seconds < 10) return 'a few seconds';
  if (seconds < 58) return `${Math.round(seconds / 5) * 5} s`;
  const minutes = Math.max(1, Math.round(seconds / 60));
  if (minutes < 60) return `${minutes} min`;
  const hours = Math.floor(minutes / 60);
  if (hours < 24) return minutes % 60 === 0 ? `${hours} h` : `${hours} h ${minutes % 60} min`;
  const days = Math.floor(hours / 24);
  return hours % 24 === 0 ? `${days} d` : `${days} d ${hours % 24} h`;
}

/**
 * Whole percent, rounded down: 100 is said only when everything is there.
 * @param {number} done
 * @param {number | null} total
 * @returns {number | null} null when the total is not known
 */
export function percent(done, total) {
  if (total === null) return null;
  if (total <= 0) return 100;
  return Math.min(100, Math.max(0, Math.floor((done / total) * 100)));
}

/** @param {number} count */
export function formatCount(count) {
  return new Intl.NumberFormat('en').format(count);
}

/**
 * `10:38` today, `22 Nov, 10:38` this year, `22 Nov 2025` before; in the viewer's own time zone.
 * @param {string} rfc3339
 * @param {Date} [now]
 */
export function formatMoment(rfc3339, now = new Date()) {
  const moment = new Date(rfc3339);
  if (Number.isNaN(moment.getTime())) return '';
  /** @type {Intl.DateTimeFormatOptions} */
  const clock = { hour: '2-digit', minute: '2-digit' };
  if (moment.toDateString() === now.toDateString()) return format(moment, clock);
  if (moment.getFullYear() === now.getFullYear()) return format(moment, { day: 'numeric', month: 'short', ...clock });
  return format(moment, { day: 'numeric', month: 'short', year: 'numeric' });
}

/**
 * `22 Nov 2026, 10:38`, where there is room for all of it.
 * @param {string} rfc3339
 */
export function formatMomentWhole(rfc3339) {
  const moment = new Date(rfc3339);
  if (Number.isNaN(moment.getTime())) return '';
  return format(moment, { day: 'numeric', month: 'short', year: 'numeric', hour: '2-digit', minute: '2-digit' });
}

/**
 * @param {Date} moment
 * @param {Intl.DateTimeFormatOptions} parts
 */
function format(moment, parts) {
  return new Intl.DateTimeFormat('en-GB', parts).format(moment);
}

/**
 * A file name that can be looked at without being misled: deceiving characters become visible.
 * @param {string} name
 */
export function showName(name) {
  return name.replace(DECEIVING, '\ufffd') || 'unnamed';
}

/**
 * Whether two names are of one file: the server keeps a name without its deceiving characters.
 * @param {string} one
 * @param {string} other
 */
export function sameName(one, other) {
  return one.replace(DECEIVING, '').trim() === other.replace(DECEIVING, '').trim();
}

/**
 * The same as `showName`, shortened in the middle when long: the end of a name carries its number and extension.
 * @param {string} name
 */
export function shortName(name) {
  const shown = showName(name);
  const parts = Array.from(new Intl.Segmenter('en', { granularity: 'grapheme' }).segment(shown), (part) => part.segment);
  if (parts.length <= NAME_GRAPHEMES_MAX) return shown;
  const head = parts.slice(0, NAME_GRAPHEMES_MAX - NAME_TAIL_GRAPHEMES - 1).join('');
  return `${head}…${parts.slice(-NAME_TAIL_GRAPHEMES).join('')}`;
}

/**
 * The beginning of a SHA-256, enough to compare by eye.
 * @param {string} sha256
 */
export function shortDigest(sha256) {
  return sha256.slice(0, 12);
}
