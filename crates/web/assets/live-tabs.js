// One line for all tabs of a browser: the tab that holds a lock has it, the others speak through it.
//
// A lock cannot be left behind by a tab that closes or crashes; whoever gets it next goes on from the
// positions of each tab, so nothing is lost in between. Never decides what is followed.

/** @import {ClientFrame} from './live-state.js' */
/** @import {LineEvents, LiveStatus} from './live-line.js' */
import { LiveLine } from './live-line.js';
import { SharedTopics } from './live-shared.js';

/** What one connection may follow; the server's limit. */
const TOPICS_MAX = 64;
/** How often the leader looks which tabs are still there; one that closes says so, one that crashes cannot. */
const COUNT_EVERY_MS = 60_000;
/** Changes when tabs of two releases would not understand each other. */
const DIALECT = 1;

/**
 * From the leader: `opened` (ask for everything again; `to` one tab or all), `heard`, `forget`, `status`.
 * From any tab: `join`, `say`, `bye`.
 * @typedef {{k: 'opened', to?: string} | {k: 'heard', message: unknown} | {k: 'forget'}
 *   | {k: 'status', status: LiveStatus, hidden: boolean}
 *   | {k: 'join', tab: string} | {k: 'say', tab: string, frames: ClientFrame[]} | {k: 'bye', tab: string}} Note
 */

/** Whether tabs can find each other here; pages that are not served securely have no locks. */
export function canShare() {
  return typeof BroadcastChannel === 'function' && Boolean(navigator.locks);
}

export class SharedLine {
  /** @param {{url: string, account: string, signedIn: () => Promise<boolean>, events: LineEvents}} options */
  constructor({ url, account, signedIn, events }) {
    this.options = { url, signedIn };
    this.events = events;
    this.name = `slipway.live.${DIALECT}.${account}`;
    this.tab = crypto.randomUUID();
    this.shared = new SharedTopics(this.tab, TOPICS_MAX);
    /** @type {LiveLine | null} only the leader has one */
    this.line = null;
    /** @type {BroadcastChannel | null} */
    this.channel = null;
    this.round = new AbortController();
    this.standing = new AbortController();
    /** @type {LiveStatus} */
    this.status = 'connecting';
    this.counting = 0;
  }

  start() {
    const channel = new BroadcastChannel(this.name);
    channel.addEventListener('message', (event) => this.#note(event.data));
    this.channel = channel;
    this.round = new AbortController();
    document.addEventListener('visibilitychange', () => this.#seen(), { signal: this.round.signal });
    // Held while this tab lives, so that the leader can count.
    void navigator.locks.request(`${this.name}.${this.tab}`, () => until(this.round.signal));
    this.#stand();
    channel.postMessage({ k: 'join', tab: this.tab });
    this.#tell('connecting');
  }

  /** The page goes away, perhaps to come back: the line goes to another tab. */
  stop() {
    this.channel?.postMessage({ k: 'bye', tab: this.tab });
    this.round.abort();
    this.standing.abort();
    this.#resign();
    this.channel?.close();
    this.channel = null;
  }

  /** @param {ClientFrame[]} frames */
  send(frames) {
    if (frames.length === 0) return;
    if (this.line) this.line.send(this.shared.take(this.tab, frames));
    else this.#post({ k: 'say', tab: this.tab, frames });
  }

  /**
   * Stands in line for the lock, or takes it, and leads once it is there.
   * @param {{steal?: boolean}} [how]
   */
  #stand({ steal = false } = {}) {
    this.standing.abort();
    const standing = new AbortController();
    this.standing = standing;
    const { signal } = this.round;
    const givenUp = () => signal.aborted || standing !== this.standing;
    navigator.locks.request(this.name, steal ? { steal } : { signal: standing.signal }, () => {
      if (givenUp()) return undefined;
      this.#lead();
      return until(signal);
    }).catch(() => {
      if (givenUp()) return;
      // Somebody who is looked at has taken it.
      this.#resign();
      this.#stand();
    });
  }

  #lead() {
    this.shared.clear();
    this.line = new LiveLine({ ...this.options, events: {
      opened: () => {
        this.shared.clear();
        this.#post({ k: 'opened' });
        this.events.opened();
      },
      heard: (message) => {
        this.#notice(message);
        this.#post({ k: 'heard', message });
        this.events.heard(message);
      },
      forget: () => {
        this.#post({ k: 'forget' });
        this.events.forget();
      },
      status: (status) => {
        this.#post({ k: 'status', status, hidden: document.hidden });
        this.#tell(status);
      },
    } });
    this.line.start();
    this.counting = window.setInterval(() => void this.#count(), COUNT_EVERY_MS);
  }

  #resign() {
    clearInterval(this.counting);
    this.line?.stop();
    this.line = null;
  }

  /** @param {unknown} message */
  #notice(message) {
    for (const frame of Array.isArray(message) ? message : [message]) {
      if (frame?.t === 'gone') this.line?.send(this.shared.gone(frame.topic));
    }
  }

  /** @param {Note} note */
  #note(note) {
    if (this.line) return this.#asLeader(this.line, note);
    switch (note.k) {
      case 'opened': if (!note.to || note.to === this.tab) this.events.opened(); break;
      case 'heard': this.events.heard(note.message); break;
      case 'forget': this.events.forget(); break;
      case 'status':
        this.#tell(note.status);
        if (note.hidden) this.#seen();
        break;
    }
  }

  /**
   * @param {LiveLine} line
   * @param {Note} note
   */
  #asLeader(line, note) {
    switch (note.k) {
      case 'join':
        this.#post({ k: 'status', status: this.status, hidden: document.hidden });
        if (line.isOpen) this.#post({ k: 'opened', to: note.tab });
        break;
      case 'say': line.send(this.shared.take(note.tab, note.frames)); break;
      case 'bye': line.send(this.shared.leave(note.tab)); break;
    }
  }

  /** A hidden leader does not reconnect; a tab that is looked at takes the line from it. */
  #seen() {
    const waits = this.status === 'waiting' || this.status === 'connecting';
    if (document.hidden || this.line || !waits) return;
    this.#stand({ steal: true });
  }

  async #count() {
    const { held = [] } = await navigator.locks.query();
    const tabs = held.map(({ name = '' }) => name.slice(this.name.length + 1));
    this.line?.send(this.shared.keepOnly(new Set(tabs)));
  }

  /** @param {LiveStatus} status */
  #tell(status) {
    this.status = status;
    this.events.status(status);
  }

  /** @param {Note} note */
  #post(note) {
    this.channel?.postMessage(note);
  }
}

/**
 * @param {AbortSignal} signal
 * @returns {Promise<void>}
 */
function until(signal) {
  return new Promise((resolve) => {
    if (signal.aborted) resolve();
    else signal.addEventListener('abort', () => resolve());
  });
}
