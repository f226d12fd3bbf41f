// Which live topics the list follows: the account, and everything in it that moves.
//
// Turns frames into facts about rows; never sends files and never asks the person anything.

/** @import {Live} from './live.js' */
/** @import {LiveData} from './types.js' */
/** @import {Row, Rows} from './rows.js' */
import { FINAL_STATES } from './live-state.js';
import { jobFromLive, uploadFromLive } from './words.js';

/** The server's limit is 64 topics per connection; a few are left for what comes next. */
const TOPICS_MAX = 60;
/** The account's state lists so many uploads at most; a longer list says nothing about older ones. */
const ACCOUNT_UPLOADS_MAX = 50;

/**
 * @typedef {object} FollowedOptions
 * @property {string} account
 * @property {Live} live
 * @property {Rows} rows
 * @property {(name: string) => boolean} expected an upload of this tab with this name is being created
 * @property {(row: Row, before: string) => void} onState a row has changed its state
 * @property {(data: LiveData) => void} onData anything was heard
 */

export class Followed {
  /** @param {FollowedOptions} options */
  constructor(options) {
    this.options = options;
    this.live = options.live;
    this.rows = options.rows;
    /** @type {Set<string>} topics followed now */
    this.topics = new Set();
    /** @type {Set<string>} topics that have said their last word */
    this.settled = new Set();
    /** @type {Set<string> | null} jobs heard of; null before the first account state */
    this.jobsSeen = null;
    /** @type {LiveData} */
    this.account = {};
  }

  start() {
    this.live.follow(`account:${this.options.account}`, (data) => {
      if (!data) return;
      this.account = data;
      this.refresh();
      this.options.onData(data);
    });
  }

  /** Brings rows and topics in line with the account's last state. */
  refresh() {
    const uploads = Array.isArray(this.account.uploads) ? this.account.uploads : null;
    if (!uploads) return;
    for (const upload of uploads) this.#listed(upload);
    this.#dropRemoved(uploads);
    const jobs = Array.isArray(this.account.jobs) ? this.account.jobs : [];
    const first = this.jobsSeen === null;
    const seen = this.jobsSeen ?? new Set();
    for (const job of jobs) {
      // What ended before this page was opened is on the upload's own page.
      if (!FINAL_STATES.has(job.status) || (!first && !seen.has(job.id))) this.#followJob(job);
      seen.add(job.id);
    }
    this.jobsSeen = seen;
    for (const row of this.rows.all) this.followUpload(row);
  }

  /** @param {any} listed an upload as the account's state names it */
  #listed(listed) {
    const row = this.rows.byId(listed.id);
    const state = listed.status;
    if (row) {
      const before = row.upload.state;
      row.listed = true;
      row.changeForward({ state, stored: listed.done ?? 0, total: listed.total ?? row.upload.total });
      if (row.upload.state !== before) this.options.onState(row, before);
      return;
    }
    // This tab's own new upload: its row is there, only the reply with its id has not come yet.
    if (this.options.expected(listed.name)) return;
    const added = this.rows.add({
      id: listed.id,
      name: listed.name,
      state,
      stored: listed.done ?? 0,
      total: listed.total ?? null,
      rate: null,
      etaMs: null,
      sha256: '',
      mediaType: '',
      message: '',
      step: '',
      createdAt: listed.created_at,
      local: null,
    });
    added.listed = true;
  }

  /** @param {any[]} uploads */
  #dropRemoved(uploads) {
    const ids = new Set(uploads.map((upload) => upload.id));
    const oldest = uploads.length < ACCOUNT_UPLOADS_MAX ? 0 : Math.min(...uploads.map((upload) => Date.parse(upload.created_at)));
    for (const row of [...this.rows.all]) {
      const covered = Date.parse(row.upload.createdAt) > oldest;
      if (row.listed && !row.entry && covered && !ids.has(row.upload.id)) this.rows.remove(row);
    }
  }

  /** @param {Row} row */
  followUpload(row) {
    const { id, state, sha256, message } = row.upload;
    const topic = `upload:${id}`;
    // What has ended is asked once for what the account's state does not carry: checksum and reason.
    const lacking = (state === 'stored' && !sha256) || (state === 'failed' && !message);
    if (!id || (FINAL_STATES.has(state) && !lacking) || !this.#take(topic)) return;
    this.live.follow(topic, (data) => {
      if (!data) return this.#gone(topic, row);
      const before = row.upload.state;
      row.changeForward(uploadFromLive(data));
      this.options.onData(data);
      if (row.upload.state !== before) this.options.onState(row, before);
      if (FINAL_STATES.has(data.status)) this.#leave(topic);
    });
  }

  /** @param {{id: string, kind: string, upload_id: string, status: string}} listed */
  #followJob({ id, kind, upload_id: uploadId, status }) {
    const topic = `job:${id}`;
    // A job that had ended is tried again.
    if (!FINAL_STATES.has(status)) this.settled.delete(topic);
    if (!this.rows.byId(uploadId) || !this.#take(topic)) return;
    this.live.follow(topic, (data) => {
      if (!data) return this.#leave(topic);
      this.options.onData(data);
      this.rows.byId(uploadId)?.showJob(jobFromLive(id, { kind, ...data }));
      if (FINAL_STATES.has(data.status)) this.#leave(topic);
    });
  }

  /**
   * @param {string} topic
   * @param {Row} row
   */
  #gone(topic, row) {
    this.topics.delete(topic);
    if (row.listed && !row.entry) this.rows.remove(row);
  }

  /** @param {string} topic */
  #take(topic) {
    if (this.topics.has(topic) || this.settled.has(topic) || this.topics.size >= TOPICS_MAX) return false;
    this.topics.add(topic);
    return true;
  }

  /** @param {string} topic */
  #leave(topic) {
    this.live.leave(topic);
    this.topics.delete(topic);
    this.settled.add(topic);
  }
}
