// The live connection of a page: one socket, reopened for as long as the page is looked at.
//
// Keeps the socket, its timers and the page's life cycle; what frames mean is in live-state.js.
// Never sends bytes of files and never decides what a page shows.

/** @import {Change, ClientFrame, Outcome} from './live-state.js' */
/** @import {LiveData} from './types.js' */
import { BACKOFF_BASE_MS, BACKOFF_CAP_MS, backoffMs } from './backoff.js';
import { LiveState, verdictOfClose } from './live-state.js';
import { whenSignedIn } from './sign-in-news.js';

/** @typedef {'connecting' | 'live' | 'waiting' | 'signed-out' | 'stopped'} LiveStatus */
/** @typedef {(data: LiveData | null, reason: string) => void} Listener */

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
/** Failed openings after which we ask by HTTP whether the sign-in still holds; a refused upgrade says nothing. */
const REFUSALS_BEFORE_ASKING = 3;

export class Live {
  /**
   * @param {{url: string, onStatus: (status: LiveStatus) => void, signedIn: () => Promise<boolean>}} options
   */
  constructor({ url, onStatus, signedIn }) {
    this.url = new URL(url, document.baseURI);
    this.url.protocol = this.url.protocol === 'https:' ? 'wss:' : 'ws:';
    this.onStatus = onStatus;
    this.signedIn = signedIn;
    this.state = new LiveState();
    /** @type {Map<string, Listener>} */
    this.listeners = new Map();
    /** @type {WebSocket | null} */
    this.socket = null;
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
    this.drainTimer = 0;
    this.reconnectTimer = 0;
    this.sendTimer = 0;
    this.sentThisSecond = 0;
    this.secondStartedAt = 0;
  }

  start() {
    document.addEventListener('visibilitychange', () => this.#wake());
    window.addEventListener('online', () => this.#wake());
    window.addEventListener('pageshow', () => this.#wake());
    whenSignedIn(() => this.#wake());
    // An open socket keeps a page out of the back/forward cache.
    window.addEventListener('pagehide', () => this.#drop());
    setInterval(() => this.#watch(), WATCH_EVERY_MS);
    this.#connect();
  }

  /**
   * Follows a topic until `leave`; the listener hears its whole state at every change, and null
   * once it is gone.
   * @param {string} topic
   * @param {Listener} listener
   */
  follow(topic, listener) {
    this.listeners.set(topic, listener);
    this.#send(this.state.follow(topic));
  }

  /** @param {string} topic */
  leave(topic) {
    this.listeners.delete(topic);
    this.#send(this.state.leave(topic));
  }

  #connect() {
    clearTimeout(this.reconnectTimer);
    if (this.ended || this.socket) return;
    this.onStatus('connecting');
    const socket = new WebSocket(this.url, PROTOCOL);
    this.socket = socket;
    this.openedAt = 0;
    this.lastFrameAt = Date.now();
    socket.addEventListener('open', () => {
      if (socket !== this.socket) return;
      this.openedAt = Date.now();
      this.refusals = 0;
      this.outbox = [];
      this.#send(this.state.opened());
    });
    socket.addEventListener('message', (event) => {
      if (socket === this.socket) this.#message(String(event.data));
    });
    socket.addEventListener('close', (event) => {
      if (socket === this.socket) this.#closed(event.code);
    });
  }

  /** @param {string} text */
  #message(text) {
    this.lastFrameAt = Date.now();
    /** @type {Outcome} */
    let out;
    try {
      out = this.state.receive(JSON.parse(text));
    } catch {
      return;
    }
    if (out.hello) {
      this.baseMs = Number(out.hello.reconnect?.base_ms) || BACKOFF_BASE_MS;
      this.capMs = Number(out.hello.reconnect?.max_ms) || BACKOFF_CAP_MS;
      this.onStatus('live');
    }
    for (const change of out.changes) this.#tell(change);
    for (const { topic, afterMs } of out.later) {
      setTimeout(() => this.#send(this.state.askAgain(topic)), afterMs);
    }
    this.#send(out.send);
    if (out.drainMs !== null) this.#leaveWithin(out.drainMs);
  }

  /** @param {Change} change */
  #tell(change) {
    const listener = this.listeners.get(change.topic);
    if (change.data === null) this.listeners.delete(change.topic);
    listener?.(change.data, change.reason);
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
    if (opened && Date.now() - this.openedAt > STEADY_MS) {
      this.attempt = 0;
      this.triedOnce = false;
    }
    this.socket = null;
    this.openedAt = 0;
    clearTimeout(this.drainTimer);
    const verdict = verdictOfClose(code);
    if (verdict.forget) this.state.forgetPositions();
    if (verdict.action === 'sign-in') return this.#finish('signed-out');
    if (verdict.action === 'stop' || (verdict.action === 'once' && this.triedOnce)) return this.#finish('stopped');
    if (verdict.action === 'once') this.triedOnce = true;
    if (!opened && ++this.refusals >= REFUSALS_BEFORE_ASKING) void this.#askWhetherSignedIn();
    const waitMs = verdict.action === 'spread'
      ? Math.random() * SPREAD_MS
      : backoffMs(this.attempt, { baseMs: verdict.baseMs ?? this.baseMs, capMs: this.capMs });
    this.attempt += 1;
    this.#reconnectIn(waitMs);
  }

  async #askWhetherSignedIn() {
    this.refusals = 0;
    if (!(await this.signedIn())) this.#finish('signed-out');
  }

  /** Somebody may have signed in again in another tab. */
  async #returnWhenSignedIn() {
    if (!(await this.signedIn()) || this.ended !== 'signed-out') return;
    this.ended = null;
    this.#connect();
  }

  /** @param {number} waitMs */
  #reconnectIn(waitMs) {
    this.onStatus('waiting');
    clearTimeout(this.reconnectTimer);
    // Nobody looks at a hidden page; it reconnects when it is seen again.
    if (document.hidden) return;
    this.reconnectTimer = window.setTimeout(() => this.#connect(), waitMs);
  }

  #wake() {
    if (document.hidden || this.ended === 'stopped') return;
    if (this.ended === 'signed-out') void this.#returnWhenSignedIn();
    else if (this.socket) this.#watch();
    else this.#reconnectIn(Math.random() * WAKE_JITTER_MS);
  }

  #watch() {
    if (!this.socket || Date.now() - this.lastFrameAt < SILENCE_MS_MAX) return;
    this.#drop();
    this.#reconnectIn(Math.random() * WAKE_JITTER_MS);
  }

  #drop() {
    clearTimeout(this.drainTimer);
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
    this.onStatus(status);
  }

  /** @param {ClientFrame[]} frames */
  #send(frames) {
    if (!this.openedAt || frames.length === 0) return;
    this.outbox.push(...frames);
    if (!this.sendTimer) this.#flush();
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
