// One file on its way to the server by tus 1.0.0: create, send pieces, ask where we are, go on.
//
// Counts only bytes the server has acknowledged. Never gives up because of the network, never
// touches the page; the caller is told through callbacks and the result of `run`.

import { backoffMs } from './backoff.js';
import { viewerHeader } from './viewer.js';

const MIB = 1024 * 1024;
/** Smallest piece: below it the round trip costs more than the bytes. */
export const PIECE_BYTES_MIN = 4 * MIB;
/** Largest piece: what a cut may make us send again at the very worst. */
export const PIECE_BYTES_MAX = 64 * MIB;
/** Aim per piece: long enough to fill the line, short enough to adapt to a change of network. */
const PIECE_SECONDS = 8;
/** A piece grows at most so much at once; one lucky measurement must not decide. */
const PIECE_GROWTH_MAX = 4;
/** A piece that takes ten times its aim sits on a dead line. Cutting is safe: what arrived is kept. */
const PIECE_MS_MAX = 80_000;
/** Requests without a body answer at once or not at all; the server's own limit is 25 s. */
const SHORT_REQUEST_MS_MAX = 30_000;
/** A server may ask us to wait, but not for ever: a person is looking. */
const RETRY_AFTER_MS_MAX = 60_000;
/** Tries to tell the server that an upload is not wanted any more; afterwards it expires there. */
const CANCEL_TRIES_MAX = 3;
/** 4xx answers that mean "not now": timeout, wrong offset, locked, too early, too many. */
const RETRYABLE_4XX = new Set([408, 409, 423, 425, 429]);

const UNREADABLE = 'This file can no longer be read: it was changed, moved or deleted.';

/** @typedef {'starting' | 'sending' | 'retrying' | 'offline'} TusPhase */
/** @typedef {{outcome: 'complete' | 'paused' | 'signed-out' | 'refused' | 'gone', reason: string}} TusResult */
/**
 * What the upload needs from its surroundings; tests hand in their own.
 * @typedef {object} Net
 * @property {typeof fetch} fetch
 * @property {() => boolean} online
 * @property {(ms: number, signal: AbortSignal) => Promise<void>} wait resolves early when the network returns
 * @property {() => number} now milliseconds
 */
/**
 * @typedef {object} TusOptions
 * @property {string} endpoint where uploads are created
 * @property {string | null} keyUrl an upload to continue, or null to create one
 * @property {Net} [net]
 * @property {(keyUrl: string) => void} onCreated
 * @property {(stored: number, exact: boolean) => void} onStored `exact`: the server was asked, the number may be lower
 * @property {(phase: TusPhase, reason: string) => void} onPhase
 */

/** Ends `run`: trying again cannot help, or somebody asked for it. */
class Stop extends Error {
  /** @param {TusResult} result */
  constructor(result) {
    super(result.reason);
    this.result = result;
  }
}

/** Something that passes: wait, ask for the offset, go on. */
class Hiccup extends Error {
  /**
   * @param {string} reason
   * @param {{network?: boolean, afterMs?: number}} [facts]
   */
  constructor(reason, { network = false, afterMs = 0 } = {}) {
    super(reason);
    this.network = network;
    this.afterMs = afterMs;
  }
}

export class TusUpload {
  /**
   * @param {File} file
   * @param {TusOptions} options
   */
  constructor(file, options) {
    this.file = file;
    this.options = options;
    this.net = options.net ?? browserNet();
    this.keyUrl = options.keyUrl;
    /** @type {number | null} null: not known, ask before sending */
    this.offset = null;
    this.pieceBytes = PIECE_BYTES_MIN;
    this.stopping = new AbortController();
    this.failures = 0;
  }

  /**
   * Sends until the file is complete, somebody pauses it or the server refuses it.
   * @returns {Promise<TusResult>}
   */
  async run() {
    this.stopping = new AbortController();
    this.offset = null;
    this.failures = 0;
    for (;;) {
      try {
        if (!this.keyUrl) await this.#create();
        else if (this.offset === null) await this.#ask();
        if (this.offset !== null && this.offset >= this.file.size) return { outcome: 'complete', reason: '' };
        if (this.offset !== null) await this.#sendPiece(this.offset);
      } catch (error) {
        if (this.stopping.signal.aborted) return { outcome: 'paused', reason: '' };
        if (error instanceof Stop) return error.result;
        if (!(error instanceof Hiccup)) throw error;
        if (error.network && !(await this.#readable())) return { outcome: 'refused', reason: UNREADABLE };
        await this.#waitAfter(error);
        if (this.stopping.signal.aborted) return { outcome: 'paused', reason: '' };
      }
    }
  }

  /** Stops sending; `run` returns `paused`. The server keeps what has arrived. */
  pause() {
    this.stopping.abort();
  }

  /** Stops sending and tells the server to forget the upload. */
  async cancel() {
    this.pause();
    if (!this.keyUrl) return;
    const quiet = new AbortController();
    for (let tries = 0; tries < CANCEL_TRIES_MAX; tries += 1) {
      try {
        const answer = await this.#request('DELETE', this.keyUrl, {}, null, SHORT_REQUEST_MS_MAX, quiet.signal);
        if (answer.status < 500) return;
      } catch {
        // The network; the wait below is all there is to do.
      }
      await this.net.wait(backoffMs(tries), quiet.signal);
    }
  }

  async #create() {
    this.options.onPhase('starting', '');
    const headers = { 'Upload-Length': String(this.file.size), 'Upload-Metadata': metadata(this.file), ...viewerHeader() };
    const answer = await this.#request('POST', this.options.endpoint, headers, null, SHORT_REQUEST_MS_MAX);
    const location = answer.headers.get('Location');
    if (answer.status !== 201 || !location) throw await verdict(answer);
    this.keyUrl = location;
    this.offset = 0;
    this.failures = 0;
    this.options.onCreated(location);
    this.options.onStored(0, true);
  }

  /** Asks how much the server has; the only source of an offset after anything went wrong. */
  async #ask() {
    const answer = await this.#request('HEAD', String(this.keyUrl), {}, null, SHORT_REQUEST_MS_MAX);
    const offset = offsetOf(answer);
    if (!answer.ok || offset === null) throw await verdict(answer);
    this.#acknowledge(offset, true);
  }

  /** @param {number} from */
  async #sendPiece(from) {
    this.options.onPhase('sending', '');
    const piece = this.file.slice(from, Math.min(from + this.pieceBytes, this.file.size));
    const headers = { 'Upload-Offset': String(from), 'Content-Type': 'application/offset+octet-stream' };
    const startedAt = this.net.now();
    const answer = await this.#request('PATCH', String(this.keyUrl), headers, piece, PIECE_MS_MAX);
    const offset = offsetOf(answer);
    if (answer.status === 409 && offset !== null && offset !== from) return this.#acknowledge(offset, true);
    if (!answer.ok) throw await verdict(answer);
    if (offset === null) {
      this.offset = null;
      return;
    }
    if (offset <= from) throw new Hiccup('The server stored nothing of the last piece');
    const seconds = (this.net.now() - startedAt) / 1000;
    this.pieceBytes = nextPieceBytes(this.pieceBytes, offset - from, seconds);
    this.#acknowledge(offset, false);
  }

  /**
   * @param {number} offset
   * @param {boolean} exact
   */
  #acknowledge(offset, exact) {
    if (offset > this.file.size) {
      throw new Stop({ outcome: 'refused', reason: 'The server holds more bytes than this file has; it is another file.' });
    }
    if (this.offset !== null && offset > this.offset) this.failures = 0;
    this.offset = offset;
    this.options.onStored(offset, exact);
  }

  /** @param {Hiccup} hiccup */
  async #waitAfter(hiccup) {
    this.offset = null;
    this.pieceBytes = Math.max(PIECE_BYTES_MIN, this.pieceBytes / 2);
    const offline = hiccup.network && !this.net.online();
    this.options.onPhase(offline ? 'offline' : 'retrying', hiccup.message);
    const ms = Math.max(backoffMs(this.failures), Math.min(hiccup.afterMs, RETRY_AFTER_MS_MAX));
    this.failures += 1;
    await this.net.wait(ms, this.stopping.signal);
  }

  /** A file that was changed or unplugged looks like a network error to `fetch`; this tells them apart. */
  async #readable() {
    try {
      await this.file.slice(0, 1).arrayBuffer();
      return true;
    } catch {
      return false;
    }
  }

  /**
   * @param {string} method
   * @param {string} url
   * @param {Record<string, string>} headers
   * @param {Blob | null} body
   * @param {number} limitMs
   * @param {AbortSignal} [signal]
   */
  async #request(method, url, headers, body, limitMs, signal = this.stopping.signal) {
    const limit = AbortSignal.timeout(limitMs);
    try {
      return await this.net.fetch(url, {
        method,
        headers: { 'Tus-Resumable': '1.0.0', ...headers },
        body,
        // The key in the address is all the right that is needed; an expired sign-in must not matter.
        credentials: method === 'POST' ? 'same-origin' : 'omit',
        cache: 'no-store',
        signal: AbortSignal.any([signal, limit]),
      });
    } catch (error) {
      if (signal.aborted) throw error;
      throw new Hiccup(limit.aborted ? 'The server took too long' : 'No connection to the server', { network: true });
    }
  }
}

/**
 * The size of the next piece, from how long the last one took.
 * @param {number} current
 * @param {number} bytes
 * @param {number} seconds
 */
export function nextPieceBytes(current, bytes, seconds) {
  const ideal = seconds > 0 ? (bytes / seconds) * PIECE_SECONDS : PIECE_BYTES_MAX;
  const bounded = Math.min(ideal, current * PIECE_GROWTH_MAX, PIECE_BYTES_MAX);
  return Math.round(Math.max(bounded, PIECE_BYTES_MIN));
}

/**
 * Turns an answer that is not a success into what to do about it.
 * @param {Response} answer
 * @returns {Promise<Stop | Hiccup>}
 */
async function verdict(answer) {
  const reason = await detailOf(answer);
  const { status } = answer;
  if (status >= 500 || RETRYABLE_4XX.has(status) || answer.ok) {
    return new Hiccup(reason, { afterMs: retryAfterMs(answer) });
  }
  if (status === 401) return new Stop({ outcome: 'signed-out', reason });
  if (status === 404 || status === 410) return new Stop({ outcome: 'gone', reason });
  return new Stop({ outcome: 'refused', reason });
}

/** @param {Response} answer */
async function detailOf(answer) {
  try {
    const problem = await answer.json();
    const text = problem.detail || problem.title;
    if (typeof text === 'string' && text) return text;
  } catch {
    // Not JSON: a router or proxy spoke, its page says nothing to a person.
  }
  return `The server answered ${answer.status}`;
}

/** @param {Response} answer */
function retryAfterMs(answer) {
  const seconds = Number(answer.headers.get('Retry-After'));
  return Number.isFinite(seconds) && seconds > 0 ? seconds * 1000 : 0;
}

/** @param {Response} answer */
function offsetOf(answer) {
  const text = answer.headers.get('Upload-Offset');
  return text !== null && /^\d+$/.test(text) ? Number(text) : null;
}

/** @param {File} file */
function metadata(file) {
  const pairs = [`filename ${base64(file.name)}`];
  if (file.type) pairs.push(`filetype ${base64(file.type)}`);
  return pairs.join(',');
}

/** @param {string} text */
function base64(text) {
  return btoa(String.fromCodePoint(...new TextEncoder().encode(text)));
}

/** @returns {Net} */
function browserNet() {
  return {
    fetch: (...request) => fetch(...request),
    online: () => navigator.onLine,
    now: () => performance.now(),
    wait: (ms, signal) => new Promise((resolve) => {
      if (signal.aborted) return resolve();
      const done = () => {
        clearTimeout(timer);
        window.removeEventListener('online', done);
        signal.removeEventListener('abort', done);
        resolve();
      };
      const timer = setTimeout(done, ms);
      // A network that has just come back is worth an immediate try.
      window.addEventListener('online', done);
      signal.addEventListener('abort', done);
      return undefined;
    }),
  };
}
