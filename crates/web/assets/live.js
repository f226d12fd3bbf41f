// What a page hears live: it follows topics, and its listeners are told what each one is.
//
// Joins the state of topics, the line to the server and the page's life cycle. Never decides what a
// page shows.

/** @import {Change, ClientFrame} from './live-state.js' */
/** @import {LineEvents, LiveStatus} from './live-line.js' */
/** @import {LiveData} from './types.js' */
import { LiveLine } from './live-line.js';
import { LiveState } from './live-state.js';
import { SharedLine, canShare } from './live-tabs.js';

/** @typedef {(data: LiveData | null, reason: string) => void} Listener */
/** @typedef {LiveStatus | 'behind'} Liveness how a page stands; behind, when the server itself hears nothing new */

/** Tabs share a connection, so each counts from a place of its own: 2^32 places of 2^20 numbers. */
const PLACES = 2 ** 32;
const NUMBERS = 2 ** 20;

export class Live {
  /**
   * @param {{url: string, onStatus: (status: Liveness) => void, signedIn: () => Promise<boolean>}} options
   */
  constructor({ url, onStatus, signedIn }) {
    this.state = new LiveState(Math.floor(Math.random() * PLACES) * NUMBERS);
    /** @type {Map<string, Listener>} */
    this.listeners = new Map();
    this.onStatus = onStatus;
    const account = document.body.dataset.viewer ?? '';
    /** @type {LineEvents} */
    const events = {
      opened: () => this.#send(this.state.opened()),
      heard: (message) => this.#heard(message),
      forget: () => this.state.forgetPositions(),
      status: onStatus,
    };
    /** @returns {LiveLine | SharedLine} */
    this.newLine = () => (canShare() ? new SharedLine({ url, account, signedIn, events }) : new LiveLine({ url, signedIn, events }));
    /** @type {LiveLine | SharedLine | null} */
    this.line = null;
  }

  start() {
    // An open socket, a lock or a channel keeps a page out of the back/forward cache; a frozen page answers nobody.
    window.addEventListener('pagehide', () => this.#down());
    document.addEventListener('freeze', () => this.#down());
    window.addEventListener('pageshow', () => this.#up());
    document.addEventListener('resume', () => this.#up());
    this.#up();
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

  #up() {
    if (this.line) return;
    this.line = this.newLine();
    this.line.start();
  }

  #down() {
    this.line?.stop();
    this.line = null;
  }

  /** @param {unknown} message */
  #heard(message) {
    const out = this.state.receive(message);
    if (out.stale !== undefined) this.onStatus(out.stale ? 'behind' : 'live');
    for (const change of out.changes) this.#tell(change);
    for (const { topic, afterMs } of out.later) {
      setTimeout(() => this.#send(this.state.askAgain(topic)), afterMs);
    }
    this.#send(out.send);
  }

  /** @param {Change} change */
  #tell(change) {
    const listener = this.listeners.get(change.topic);
    if (change.data === null) this.listeners.delete(change.topic);
    listener?.(change.data, change.reason);
  }

  /** @param {ClientFrame[]} frames */
  #send(frames) {
    this.line?.send(frames);
  }
}
