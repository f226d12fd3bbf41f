// Live frames by requests that wait, for networks that let no socket through.
//
// Takes what would be sent on a socket and says what would be heard on one. Never retries: whoever
// started it is told of the first failure and decides.

/** @import {ClientFrame} from './live-state.js' */

/** Requests under way at once: a browser opens six connections to a host, and uploads need theirs. */
const LANES = 2;
/** Seconds that a request waits; the server's limit. */
const WAIT_S = 25;
/** The same while there are more topics than lanes, so that each has its turn. */
const TURN_S = 1;
/** Pause between two requests for one topic: what changes in between is one change. */
const GAP_MS = 500;

/** @typedef {{since: string, askedAt: number, request: AbortController | null}} Asked */

export class LivePoll {
  /**
   * @param {object} options
   * @param {(frame: unknown) => void} options.heard
   * @param {() => void} options.answered the server has answered for the first time
   * @param {(status: number) => void} options.failed nothing more will be heard; 0 without an answer
   * @param {typeof fetch} [options.ask]
   * @param {(ms: number) => Promise<void>} [options.pause]
   * @param {() => number} [options.now]
   */
  constructor({ heard, answered, failed, ask = (...args) => fetch(...args), pause = later, now = Date.now }) {
    this.heard = heard;
    this.answered = answered;
    this.failed = failed;
    this.ask = ask;
    this.pause = pause;
    this.now = now;
    /** @type {Map<string, Asked>} */
    this.topics = new Map();
    this.lanes = 0;
    this.ended = false;
    this.hasAnswered = false;
  }

  /** @param {ClientFrame[]} frames */
  take(frames) {
    for (const frame of frames) {
      if (frame.t === 'sub') this.#follow(frame.topic, frame.since);
      if (frame.t === 'unsub') this.#leave(frame.topic);
    }
    while (!this.ended && this.lanes < Math.min(LANES, this.topics.size)) void this.#lane();
  }

  end() {
    this.ended = true;
    for (const topic of [...this.topics.keys()]) this.#leave(topic);
  }

  /**
   * @param {string} topic
   * @param {{e: string, s: number} | undefined} since
   */
  #follow(topic, since) {
    // Somebody knows less than the request under way: it is asked anew.
    this.#leave(topic);
    this.topics.set(topic, { since: since ? `${since.e}:${since.s}` : '', askedAt: -Infinity, request: null });
  }

  /** @param {string} topic */
  #leave(topic) {
    this.topics.get(topic)?.request?.abort();
    this.topics.delete(topic);
  }

  /** Asks for one topic after the other, the one that has waited longest first. */
  async #lane() {
    this.lanes += 1;
    for (;;) {
      const [next] = [...this.topics].filter(([, asked]) => !asked.request).sort(([, a], [, b]) => a.askedAt - b.askedAt);
      if (this.ended || !next) break;
      await this.#look(...next);
    }
    this.lanes -= 1;
  }

  /**
   * @param {string} topic
   * @param {Asked} asked
   */
  async #look(topic, asked) {
    const request = new AbortController();
    asked.request = request;
    const early = asked.askedAt + GAP_MS - this.now();
    if (early > 0) await this.pause(early);
    asked.askedAt = this.now();
    try {
      if (!request.signal.aborted) await this.#request(topic, asked, request.signal);
    } catch {
      // Given up by us, or by the network.
      if (!request.signal.aborted) this.#fail(0);
    }
    asked.request = null;
  }

  /**
   * @param {string} topic
   * @param {Asked} asked
   * @param {AbortSignal} signal
   */
  async #request(topic, asked, signal) {
    const wait = this.topics.size > LANES ? TURN_S : WAIT_S;
    const query = new URLSearchParams({ wait: String(wait), ...(asked.since ? { since: asked.since } : {}) });
    const answer = await this.ask(`/api/v1/progress/${topic}?${query}`, {
      signal, cache: 'no-store', headers: { Accept: 'application/json' },
    });
    const frame = answer.status === 200 ? await answer.json() : null;
    if (signal.aborted) return;
    if (answer.status === 404) this.#gone(topic);
    else if (answer.status !== 200 && answer.status !== 304) return this.#fail(answer.status);
    if (!this.hasAnswered) this.answered();
    this.hasAnswered = true;
    if (!frame) return;
    asked.since = (answer.headers.get('ETag') ?? '').replace(/^(W\/)?"|"$/g, '');
    if (frame.t === 'gone') this.topics.delete(topic);
    this.heard(frame);
  }

  /** @param {string} topic */
  #gone(topic) {
    this.topics.delete(topic);
    this.heard({ t: 'gone', topic, reason: 'deleted' });
  }

  /** @param {number} status */
  #fail(status) {
    if (this.ended) return;
    this.end();
    this.failed(status);
  }
}

/** @param {number} ms */
function later(ms) {
  return /** @type {Promise<void>} */ (new Promise((resolve) => { setTimeout(resolve, ms); }));
}
