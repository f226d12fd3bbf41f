// How long to wait before trying again: full jitter under a growing cap, shared by socket and uploads.
//
// Pure but for its source of chance, which can be handed in; never waits itself.

/** First ceiling: a blink, since most interruptions are a restart or a change of network. */
export const BACKOFF_BASE_MS = 500;
/** Highest ceiling: long enough to spare a struggling server, short enough to be forgiven by a person. */
export const BACKOFF_CAP_MS = 30_000;
/** Doublings after which the cap is reached whatever the base; keeps the power of two small. */
const DOUBLINGS_MAX = 10;

/**
 * A random wait between nothing and min(cap, base * 2^attempt). Jitter over the full range spreads
 * clients that failed together better than any fixed wait.
 * @param {number} attempt how many tries have failed so far, from 0
 * @param {{baseMs?: number, capMs?: number, random?: () => number}} [options]
 */
export function backoffMs(attempt, { baseMs = BACKOFF_BASE_MS, capMs = BACKOFF_CAP_MS, random = Math.random } = {}) {
  const ceiling = Math.min(capMs, baseMs * 2 ** Math.min(attempt, DOUBLINGS_MAX));
  return Math.round(random() * ceiling);
}
