// What this browser knows of each live topic, and the rules by which frames change it.
//
// A pure state machine of the protocol slipway.progress.v1: frames go in, changes and messages to
// send come out. Never opens a socket, never looks at a clock, never touches the page.

/** @import {LiveData} from './types.js' */

/** @typedef {{t: 'sub', id: number, topic: string, since?: {e: string, s: number}} | {t: 'unsub', id: number, topic: string}
 *   | {t: 'ack', pos: Record<string, number>}} ClientFrame */
/** @typedef {{topic: string, data: LiveData | null, reason: string}} Change `data` null: the topic is gone */
/** @typedef {{topic: string, afterMs: number}} Later a topic to ask for again after a while */
/**
 * `stale`: the server has begun, or ceased, to be unable to read anything newer.
 * @typedef {{send: ClientFrame[], changes: Change[], later: Later[], stale?: boolean}} Outcome
 */

/**
 * One topic. `e` is null until a first snapshot; `asked` is true between a `sub` and its answer,
 * when a gap must not cause a second `sub`.
 * @typedef {{e: string | null, s: number, data: LiveData, asked: boolean}} Topic
 */

/** States after which a topic's status does not change any more within its epoch. */
export const FINAL_STATES = new Set(['stored', 'done', 'refused', 'failed', 'cancelled', 'expired']);

/** Pause before asking again for a refused topic when the server names none. */
const ASK_AGAIN_MS = 5_000;

export class LiveState {
  /** @param {number} lastId where to count from; nobody else on the same connection counts there */
  constructor(lastId = 0) {
    /** @type {Map<string, Topic>} */
    this.topics = new Map();
    this.lastId = lastId;
    /** @type {Map<number, string>} subscriptions not answered yet */
    this.pending = new Map();
  }

  /**
   * Starts following a topic. Asking twice is harmless and sends nothing the second time.
   * @param {string} topic
   * @returns {ClientFrame[]}
   */
  follow(topic) {
    if (this.topics.has(topic)) return [];
    this.topics.set(topic, { e: null, s: -1, data: {}, asked: false });
    return [this.#ask(topic)];
  }

  /**
   * @param {string} topic
   * @returns {ClientFrame[]}
   */
  leave(topic) {
    if (!this.topics.delete(topic)) return [];
    return [{ t: 'unsub', id: ++this.lastId, topic }];
  }

  /**
   * Asks for one followed topic again, from where it is known.
   * @param {string} topic
   * @returns {ClientFrame[]}
   */
  askAgain(topic) {
    return this.topics.has(topic) ? [this.#ask(topic)] : [];
  }

  /**
   * A connection has been opened: everything followed is asked for again.
   * @returns {ClientFrame[]}
   */
  opened() {
    this.pending.clear();
    return [...this.topics.keys()].map((topic) => this.#ask(topic));
  }

  /** The server does not accept our positions: the next `opened` asks for full state. */
  forgetPositions() {
    for (const known of this.topics.values()) {
      known.e = null;
      known.s = -1;
    }
  }

  /**
   * One message from the server: a frame or an array of frames. Unknown kinds are ignored, so
   * that an older page survives a newer server.
   * @param {unknown} message
   * @returns {Outcome}
   */
  receive(message) {
    /** @type {Outcome} */
    const out = { send: [], changes: [], later: [] };
    for (const frame of Array.isArray(message) ? message : [message]) {
      if (frame !== null && typeof frame === 'object') this.#frame(frame, out);
    }
    return out;
  }

  /**
   * @param {any} frame
   * @param {Outcome} out
   */
  #frame(frame, out) {
    switch (frame.t) {
      case 'snap': this.#snap(frame, out); break;
      case 'up': this.#up(frame, out); break;
      case 'ok': this.#ok(frame); break;
      case 'gone': this.#gone(frame.topic, String(frame.reason ?? ''), out); break;
      case 'err': this.#err(frame, out); break;
      case 'hb':
        this.#heartbeat(frame.pos ?? {}, out);
        if (typeof frame.stale === 'boolean') out.stale = frame.stale;
        break;
    }
  }

  /**
   * @param {{topic: string, e: string, s: number, d: LiveData, why?: string}} frame
   * @param {Outcome} out
   */
  #snap(frame, out) {
    const known = this.topics.get(frame.topic);
    if (!known) return;
    known.asked = false;
    // A snapshot that arrives late would turn time back, unless the server says that it means to.
    if (known.e === frame.e && frame.s < known.s && frame.why !== 'reset') return;
    known.e = frame.e;
    known.s = frame.s;
    known.data = { ...frame.d };
    out.changes.push({ topic: frame.topic, data: known.data, reason: frame.why ?? '' });
  }

  /**
   * @param {{topic: string, p: number, s: number, d: LiveData}} frame
   * @param {Outcome} out
   */
  #up(frame, out) {
    const known = this.topics.get(frame.topic);
    if (!known || known.e === null || frame.s <= known.s) return;
    if (frame.p > known.s) {
      if (!known.asked) out.send.push(this.#ask(frame.topic));
      return;
    }
    const change = { ...frame.d };
    if (FINAL_STATES.has(known.data.status) && change.status !== undefined && !FINAL_STATES.has(change.status)) {
      delete change.status;
    }
    known.s = frame.s;
    known.data = { ...known.data, ...change };
    out.changes.push({ topic: frame.topic, data: known.data, reason: 'up' });
  }

  /** @param {{id: number, topic: string, e: string, recovered: boolean}} frame */
  #ok(frame) {
    // Another tab's answer says nothing about what this one asked.
    if (!this.pending.delete(frame.id)) return;
    const known = this.topics.get(frame.topic);
    // Not recovered: a snapshot is on its way, and until then gaps are expected.
    if (known && frame.recovered) known.asked = false;
  }

  /**
   * @param {string} topic
   * @param {string} reason
   * @param {Outcome} out
   */
  #gone(topic, reason, out) {
    if (this.topics.delete(topic)) out.changes.push({ topic, data: null, reason });
  }

  /**
   * @param {{id?: number, retry?: boolean, after_ms?: number, code?: string}} frame
   * @param {Outcome} out
   */
  #err(frame, out) {
    const topic = frame.id === undefined ? undefined : this.pending.get(frame.id);
    if (frame.id === undefined || topic === undefined) return;
    this.pending.delete(frame.id);
    const known = this.topics.get(topic);
    if (!known) return;
    known.asked = false;
    // Other tabs follow as much as one connection may; some of it will end.
    const retry = frame.retry || frame.code === 'too_many_topics';
    if (retry) out.later.push({ topic, afterMs: frame.after_ms || ASK_AGAIN_MS });
    else this.#gone(topic, String(frame.code ?? 'refused'), out);
  }

  /**
   * The server says how far it has told each topic: whatever did not arrive is asked for again.
   * @param {Record<string, number>} told
   * @param {Outcome} out
   */
  #heartbeat(told, out) {
    /** @type {Record<string, number>} */
    const pos = {};
    for (const [topic, s] of Object.entries(told)) {
      const known = this.topics.get(topic);
      if (!known) continue;
      if (known.s < s && !known.asked) out.send.push(this.#ask(topic));
      if (known.e !== null) pos[topic] = known.s;
    }
    out.send.push({ t: 'ack', pos });
  }

  /**
   * @param {string} topic
   * @returns {ClientFrame}
   */
  #ask(topic) {
    const known = this.topics.get(topic);
    const id = ++this.lastId;
    this.pending.set(id, topic);
    if (known) known.asked = true;
    if (!known || known.e === null) return { t: 'sub', id, topic };
    return { t: 'sub', id, topic, since: { e: known.e, s: known.s } };
  }
}

/** First ceiling after "over capacity": a full server is not helped by quick returns. */
const CROWDED_BASE_MS = 10_000;

/**
 * What a close code asks of us. `once`: try one more time, then give up; `spread`: the server said
 * within which time everybody should come back.
 * @typedef {{action: 'stop' | 'sign-in' | 'retry' | 'once' | 'spread', baseMs?: number, forget?: boolean}} Verdict
 * @param {number} code
 * @returns {Verdict}
 */
export function verdictOfClose(code) {
  if (code === 1001 || code === 1012) return { action: 'spread' };
  if (code === 1002 || code === 1003 || code === 1007 || code === 1009) return { action: 'once' };
  if (code === 1008) return { action: 'stop' };
  if (code === 1013) return { action: 'retry', baseMs: CROWDED_BASE_MS };
  if (code === 4000) return { action: 'retry', forget: true };
  if (code === 4001) return { action: 'sign-in' };
  if (code >= 4500 && code <= 4599) return { action: 'stop' };
  // 1000 unasked for, 1005, 1006, 1011, 4008, 4400-4499 and whatever comes later: come back.
  return { action: 'retry' };
}
