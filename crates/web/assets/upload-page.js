// The page of one upload: its numbers as they move, its jobs, and its removal.
//
// Shows and removes; never sends bytes (the list page does, and keeps doing so in its own tab).

import { readUpload, removeUpload, signedIn } from './api.js';
import { percent, showName } from './format.js';
import { announce, confirm, need, notify, showLive } from './frame.js';
import { FINAL_STATES } from './live-state.js';
import { Live } from './live.js';
import { UploadView, jobFromPage, uploadFromPage } from './upload-view.js';
import { jobFromLive, removalQuestion, uploadFromLive } from './words.js';

/** The server's limit is 64 topics; one is the upload's own. */
const JOBS_MAX = 60;
/** Milestones are told at every quarter. */
const QUARTER_PERCENT = 25;

export class UploadPage {
  constructor() {
    const root = need('[data-upload]');
    this.upload = uploadFromPage(root);
    this.view = new UploadView(root);
    this.live = new Live({ url: '/live', onStatus: (status) => this.#liveStatus(status), signedIn });
    this.quarter = this.#quarter();
    /** @type {Set<string>} jobs that have been followed or need not be */
    this.jobsSeen = new Set();
  }

  start() {
    this.view.show(this.upload);
    for (const element of this.view.jobs.values()) {
      const job = jobFromPage(element);
      this.view.showJob(job, this.upload.name);
      if (FINAL_STATES.has(job.state)) this.jobsSeen.add(job.id);
      else this.#followJob(job.id);
    }
    need('[data-action="remove"]').addEventListener('click', () => void this.#remove());
    this.live.follow(`upload:${this.upload.id}`, (data, reason) => {
      if (data) this.#heard(data);
      else this.#gone(reason);
    });
    this.live.start();
  }

  /** @param {import('./live.js').Liveness} status */
  #liveStatus(status) {
    showLive(status);
    if (status !== 'waiting') return;
    // What was measured before the connection was lost is not true any more.
    Object.assign(this.upload, { rate: null, etaMs: null });
    this.view.show(this.upload);
  }

  /** @param {import('./types.js').LiveData} data */
  #heard(data) {
    const before = this.upload.state;
    Object.assign(this.upload, uploadFromLive(data));
    this.view.show(this.upload);
    for (const id of Array.isArray(data.jobs) ? data.jobs : []) this.#followJob(id);
    this.#announce(before);
  }

  /** @param {string} before */
  #announce(before) {
    const name = showName(this.upload.name);
    const quarter = this.#quarter();
    if (this.upload.state === 'receiving' && quarter > this.quarter && quarter < 4) {
      announce(`${name}: ${quarter * QUARTER_PERCENT} percent stored.`);
    }
    this.quarter = quarter;
    if (before === this.upload.state) return;
    if (this.upload.state === 'stored') {
      announce(`${name} is stored.`);
      void this.#showTwin();
    }
    if (this.upload.state === 'failed') announce(`${name} failed.`);
  }

  /** Points to another file with the same content; only now it is known whether there is one. */
  async #showTwin() {
    const upload = await readUpload(this.upload.id).catch(() => null);
    const twin = upload?.duplicate_of;
    if (!twin) return;
    const link = /** @type {HTMLAnchorElement} */ (need('[data-twin] a'));
    link.href = `/uploads/${twin.id}`;
    need('[data-twin] bdi').textContent = showName(twin.name);
    need('[data-twin]').hidden = false;
  }

  #quarter() {
    return Math.floor((percent(this.upload.stored, this.upload.total) ?? 0) / QUARTER_PERCENT);
  }

  /** @param {string} id */
  #followJob(id) {
    if (this.jobsSeen.has(id) || this.jobsSeen.size >= JOBS_MAX) return;
    this.jobsSeen.add(id);
    const topic = `job:${id}`;
    this.live.follow(topic, (data) => {
      if (!data) return;
      const job = jobFromLive(id, data);
      this.view.showJob(job, this.upload.name);
      if (FINAL_STATES.has(job.state)) this.live.leave(topic);
    });
  }

  /** @param {string} reason */
  #gone(reason) {
    if (reason === 'finished') return;
    notify('This upload has been removed.', { text: 'All uploads', href: '/' });
    this.upload.local = { phase: 'gone', reason: '' };
    this.view.show(this.upload);
    need('[data-action="remove"]').hidden = true;
  }

  async #remove() {
    if (!(await confirm(removalQuestion(this.upload)))) return;
    try {
      await removeUpload(this.upload.id);
      location.assign('/');
    } catch (error) {
      notify(error instanceof Error ? error.message : String(error));
    }
  }
}
