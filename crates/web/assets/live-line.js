// The line to the server: a socket, reopened for as long as the page is looked at; where sockets are
// blocked, requests that wait, until a socket can be had again.
//
// Carries frames and says how it stands; what frames mean is in live-state.js. Never sends bytes of files.

/** @import {ClientFrame} from './live-state.js' */
import { BACKOFF_BASE_MS, BACKOFF_CAP_MS, backoffMs } from './backoff.js';
import { LivePoll } from './live-poll.js';
import { verdictOfClose } from './live-state.js';
import { whenSignedIn } from './sign-in-news.js';

/** @typedef {'connecting' | 'live' | 'waiting' | 'signed-out' | 'stopped'} LiveStatus */
/**
 * @typedef {object} LineEvents
 * @property {() => void} opened everything must be asked for again
 * @property {(message: unknown) => void} heard a frame, or an array of them
 * @property {() => void} forget the server does not accept positions
 * @property {(status: LiveStatus) => void} status
 */

/** What a browser says of a connection that broke or never was. */
const NEVER_OPENED = 1006;
const PROTOCOL = 'slipway.progress.v1';
/** No frame for so long means a dead line: the server speaks every 25 s, hidden tabs look once a minute. */
const SILENCE_MS_MAX = 60_000;
/** How often silence is looked at; a quarter of the limit. */
const WATCH_EVERY_MS = 15_000;
/** Spread of tabs and machines that wake together before each reconnects. */
const WAKE_JITTER_MS = 400;
/** A connection that lived so long is a success: the next failure starts from the smallest wait. */
const STEADY_MS = 10_000;
/** Messages per second we allow ourselves; the server's limit is 20. */
const MESSAGES_PER_SECOND = 15;
/** Time the server gives everybody to come back when it closes without a `drain` before. */
const SPREAD_MS = 8_000;
/** Sockets in a row that did not open, after which requests are tried: one may be a restart, two are a wall. */
const REFUSALS_BEFORE_POLLING = 2;
/** A handshake that takes longer is swallowed by something on the way; on slow networks it takes 3 s. */
const OPEN_MS_MAX = 10_000;
/** While requests do, a socket is tried again so often, at a random moment of the second half. */
const SOCKET_AGAIN_MS = 30_000;

export class LiveLine {
  /** @param {{url: string, signedIn: () => Promise<boolean>, events: LineEvents}} options */
  constructor({ url, signedIn, events }) {
    this.url = new URL(url, document.baseURI);
    this.url.protocol = this.url.protocol === 'https:' ? 'wss:' : 'ws:';
    this.signedIn = signedIn;
    this.events = events;
    /** @type {WebSocket | null} */
    this.socket = null;
    /** @type {LivePoll | null} */
    this.poll = null;
    /** @type {ClientFrame[]} */
    this.outbox = [];
    this.attempt = 0;
    this.refusals = 0;
    this.baseMs = BACKOFF_BASE_MS;
    this.capMs = BACKOFF_CAP_MS;
    this.lastFrameAt = 0;
    this.openedAt = 0;
    this.triedOnce = false;
    /** @type {'signed-out' | 'stopped' | null} why no more connections are made */
    this.ended = null;
    this.openTimer = 0;
    this.drainTimer = 0;
    this.reconnectTimer = 0;
    this.sendTimer = 0;
    this.sentThisSecond = 0;
    this.secondStartedAt = 0;
    this.life = new AbortController();
  }

  start() {
    const { signal } = this.life;
    document.addEventListener('visibilitychange', () => this.#seen(), { signal });
    window.addEventListener('online', () => this.#wake(), { signal });
    // What is open is dead or soon will be; whether the server is out of reach, only trying tells.
    window.addEventListener('offline', () => this.#lost(), { signal });
    whenSignedIn(() => this.#wake(), signal);
    const watch = setInterval(() => this.#watch(), WATCH_EVERY_MS);
    signal.addEventListener('abort', () => clearInterval(watch));
    this.#connect();
  }

  /** For good; another line may take over. */
  stop() {
    this.life.abort();
    this.ended = 'stopped';
    clearTimeout(this.reconnectTimer);
    this.#drop();
  }

  /** @param {ClientFrame[]} frames */
  send(frames) {
    if (this.poll) return this.poll.take(frames);
    if (!this.openedAt || frames.length === 0) return;
    this.outbox.push(...frames);
    if (!this.sendTimer) this.#flush();
  }

  /** Whether frames that are sent now arrive. */
  get isOpen() {
    return this.openedAt > 0 || this.poll !== null;
  }

  #connect() {
    clearTimeout(this.reconnectTimer);
    if (this.ended || this.socket) return;
    if (!this.poll) this.events.status('connecting');
    const socket = new WebSocket(this.url, PROTOCOL);
    this.socket = socket;
    this.openedAt = 0;
    this.lastFrameAt = Date.now();
    socket.addEventListener('open', () => { if (socket === this.socket) this.#opened(); });
    socket.addEventListener('message', (event) => { if (socket === this.socket) this.#message(String(event.data)); });
    socket.addEventListener('close', (event) => { if (socket === this.socket) this.#closed(event.code); });
    clearTimeout(this.openTimer);
    this.openTimer = window.setTimeout(() => {
      this.#closed(NEVER_OPENED);
      socket.close();
    }, OPEN_MS_MAX);
  }

  #opened() {
    clearTimeout(this.openTimer);
    this.openedAt = Date.now();
    this.refusals = 0;
    this.outbox = [];
    this.#endPoll();
    this.events.opened();
  }

  /** @param {string} text */
  #message(text) {
    this.lastFrameAt = Date.now();
    let message;
    try {
      message = JSON.parse(text);
    } catch {
      return;
    }
    for (const frame of Array.isArray(message) ? message : [message]) this.#notice(frame);
    this.events.heard(message);
  }

  /** What a frame says about the line itself. */
  #notice(/** @type {any} */ frame) {
    if (frame?.t === 'hello') {
      this.baseMs = Number(frame.reconnect?.base_ms) || BACKOFF_BASE_MS;
      this.capMs = Number(frame.reconnect?.max_ms) || BACKOFF_CAP_MS;
      this.events.status('live');
    }
    if (frame?.t === 'drain') this.#leaveWithin(Number(frame.within_ms) || 0);
  }

  /**
   * This server is leaving: change over at a moment of our own, so that not everybody comes at once.
   * @param {number} withinMs
   */
  #leaveWithin(withinMs) {
    clearTimeout(this.drainTimer);
    this.drainTimer = window.setTimeout(() => {
      this.#drop();
      this.#reconnectIn(0);
    }, Math.random() * withinMs);
  }

  /** @param {number} code */
  #closed(code) {
    const opened = this.openedAt > 0;
    if (opened && Date.now() - this.openedAt > STEADY_MS) this.#steady();
    this.socket = null;
    this.openedAt = 0;
    clearTimeout(this.openTimer);
    clearTimeout(this.drainTimer);
    const verdict = verdictOfClose(code);
    if (verdict.forget) this.events.forget();
    if (verdict.action === 'sign-in') return this.#finish('signed-out');
    if (verdict.action === 'stop' || (verdict.action === 'once' && this.triedOnce)) return this.#finish('stopped');
    if (verdict.action === 'once') this.triedOnce = true;
    if (!opened) this.refusals += 1;
    if (this.poll || (this.refusals >= REFUSALS_BEFORE_POLLING && !document.hidden)) return this.#startPoll();
    const waitMs = verdict.action === 'spread'
      ? Math.random() * SPREAD_MS
      : backoffMs(this.attempt, { baseMs: verdict.baseMs ?? this.baseMs, capMs: this.capMs });
    this.attempt += 1;
    return this.#reconnectIn(waitMs);
  }

  #steady() {
    this.attempt = 0;
    this.triedOnce = false;
  }

  /** Goes on by requests, and tries a socket now and then. */
  #startPoll() {
    clearTimeout(this.reconnectTimer);
    this.reconnectTimer = window.setTimeout(() => this.#connect(), SOCKET_AGAIN_MS * (1 + Math.random()) / 2);
    if (this.poll) return;
    this.poll = new LivePoll({
      heard: (frame) => this.events.heard(frame),
      answered: () => {
        this.#steady();
        this.events.status('live');
      },
      failed: (status) => {
        if (status === 401) this.#finish('signed-out');
        else this.#lost();
      },
    });
    this.events.opened();
  }

  #endPoll() {
    this.poll?.end();
    this.poll = null;
  }

  /** Somebody may have signed in again in another tab. */
  async #returnWhenSignedIn() {
    if (!(await this.signedIn()) || this.ended !== 'signed-out') return;
    this.ended = null;
    this.#connect();
  }

  /** What was open is not any more, or not to be relied on. */
  #lost() {
    if (this.ended) return;
    this.#drop();
    this.#reconnectIn(backoffMs(this.attempt, { baseMs: this.baseMs, capMs: this.capMs }));
    this.attempt += 1;
  }

  /** @param {number} waitMs */
  #reconnectIn(waitMs) {
    this.events.status('waiting');
    clearTimeout(this.reconnectTimer);
    // Nobody looks at a hidden page; it reconnects when it is seen again.
    if (document.hidden) return;
    this.reconnectTimer = window.setTimeout(() => this.#connect(), waitMs);
  }

  #seen() {
    // A socket costs nothing while nothing happens, requests do.
    if (document.hidden && this.poll) {
      this.#drop();
      this.#reconnectIn(0);
    } else {
      this.#wake();
    }
  }

  #wake() {
    if (document.hidden || this.ended === 'stopped') return;
    if (this.ended === 'signed-out') void this.#returnWhenSignedIn();
    else if (this.socket) this.#watch();
    else if (!this.poll) this.#reconnectIn(Math.random() * WAKE_JITTER_MS);
  }

  #watch() {
    if (!this.socket || Date.now() - this.lastFrameAt < SILENCE_MS_MAX) return;
    this.#drop();
    this.#reconnectIn(Math.random() * WAKE_JITTER_MS);
  }

  #drop() {
    clearTimeout(this.openTimer);
    clearTimeout(this.drainTimer);
    this.#endPoll();
    const socket = this.socket;
    this.socket = null;
    this.openedAt = 0;
    socket?.close(1000);
  }

  /** @param {'signed-out' | 'stopped'} status */
  #finish(status) {
    this.ended = status;
    clearTimeout(this.reconnectTimer);
    this.#drop();
    this.events.status(status);
  }

  /** Sends what waits, within a second's allowance; the rest follows in the next second. */
  #flush() {
    this.sendTimer = 0;
    if (this.socket?.readyState !== WebSocket.OPEN) {
      this.outbox = [];
      return;
    }
    const age = Date.now() - this.secondStartedAt;
    if (age < 0 || age >= 1000) {
      this.secondStartedAt = Date.now();
      this.sentThisSecond = 0;
    }
    while (this.outbox.length > 0 && this.sentThisSecond < MESSAGES_PER_SECOND) {
      this.socket.send(JSON.stringify(this.outbox.shift()));
      this.sentThisSecond += 1;
    }
    if (this.outbox.length > 0) {
      this.sendTimer = window.setTimeout(() => this.#flush(), this.secondStartedAt + 1000 - Date.now());
    }
  }
}
