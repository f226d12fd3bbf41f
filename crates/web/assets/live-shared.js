// What the tabs of one browser follow together on one connection.
//
// Pure; knows tabs by their names. Never keeps state of topics: each tab has its own.

/** @import {ClientFrame} from './live-state.js' */

export class SharedTopics {
  /**
   * @param {string} own the tab that has the connection; it answers heartbeats for all
   * @param {number} topicsMax what one connection may follow
   */
  constructor(own, topicsMax) {
    this.own = own;
    this.topicsMax = topicsMax;
    /** @type {Map<string, Set<string>>} topics, and the tabs that follow each */
    this.topics = new Map();
    /** @type {Map<string, ClientFrame>} topics for which there is no room yet */
    this.waiting = new Map();
  }

  /** A new connection follows nothing yet. */
  clear() {
    this.topics.clear();
    this.waiting.clear();
  }

  /**
   * What a tab wants to say, as what is to be sent.
   * @param {string} tab
   * @param {ClientFrame[]} frames
   * @returns {ClientFrame[]}
   */
  take(tab, frames) {
    return frames.flatMap((frame) => {
      if (frame.t === 'sub') return this.#follow(tab, frame.topic, frame);
      if (frame.t === 'unsub') return this.#leave(tab, frame.topic, frame);
      return tab === this.own ? [frame] : [];
    });
  }

  /**
   * Tabs other than these are gone.
   * @param {Set<string>} tabs
   * @returns {ClientFrame[]}
   */
  keepOnly(tabs) {
    const held = [...this.topics].flatMap(([topic, holders]) => [...holders].map((tab) => ({ topic, tab })));
    const left = held.filter(({ tab }) => tab !== this.own && !tabs.has(tab));
    return left.flatMap(({ topic, tab }) => this.#leave(tab, topic, { t: 'unsub', id: 0, topic }));
  }

  /**
   * @param {string} tab
   * @returns {ClientFrame[]}
   */
  leave(tab) {
    const tabs = new Set([...this.topics.values()].flatMap((holders) => [...holders]));
    tabs.delete(tab);
    return this.keepOnly(tabs);
  }

  /**
   * The server tells nothing more of a topic.
   * @param {string} topic
   * @returns {ClientFrame[]}
   */
  gone(topic) {
    return this.topics.delete(topic) ? this.#makeUse() : [];
  }

  /**
   * @param {string} tab
   * @param {string} topic
   * @param {ClientFrame} frame
   * @returns {ClientFrame[]}
   */
  #follow(tab, topic, frame) {
    const holders = this.topics.get(topic) ?? new Set();
    holders.add(tab);
    this.topics.set(topic, holders);
    const following = this.topics.size - this.waiting.size;
    if (this.waiting.has(topic) || following > this.topicsMax) {
      this.waiting.set(topic, frame);
      return [];
    }
    // Asked again for a tab that knows less: the others pass over what they have.
    return [frame];
  }

  /**
   * @param {string} tab
   * @param {string} topic
   * @param {ClientFrame} frame
   * @returns {ClientFrame[]}
   */
  #leave(tab, topic, frame) {
    const holders = this.topics.get(topic);
    if (!holders?.delete(tab) || holders.size > 0) return [];
    this.topics.delete(topic);
    if (this.waiting.delete(topic)) return [];
    return [frame, ...this.#makeUse()];
  }

  /** Gives the room that has come free to whatever has waited longest. */
  #makeUse() {
    const [next] = this.waiting;
    if (!next) return [];
    this.waiting.delete(next[0]);
    return [next[1]];
  }
}
