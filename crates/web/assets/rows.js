// The rows of the list: which uploads are shown, in which order, and what is known of each.
//
// Keeps rows and their order; never asks the server anything.

/** @import {Job, Upload} from './types.js' */
/** @import {Entry} from './queue.js' */
import { need } from './frame.js';
import { UploadView, uploadFromPage } from './upload-view.js';

/** @type {Record<Upload['state'], number>} order of states; an upload never goes back to an earlier one */
const STEPS = { receiving: 0, verifying: 1, stored: 2, failed: 2, expired: 2 };

export class Row {
  /**
   * @param {Upload} upload
   * @param {UploadView} view
   */
  constructor(upload, view) {
    this.upload = upload;
    this.view = view;
    /** @type {Entry | null} this tab's part in it */
    this.entry = null;
    /** Whether the server has listed it; only then does its absence from a list mean removal. */
    this.listed = false;
    this.movedAt = Date.now();
    /** Last quarter that was announced. */
    this.quarter = 0;
  }

  /** @param {Partial<Upload>} facts */
  change(facts) {
    if (facts.stored !== undefined && facts.stored !== this.upload.stored) this.movedAt = Date.now();
    Object.assign(this.upload, facts);
    this.view.show(this.upload);
  }

  /**
   * Facts from a source that may lag behind another one: stored bytes never go back by it, nor does
   * an upload that has ended come to life.
   * @param {Partial<Upload>} facts
   */
  changeForward(facts) {
    const stored = Math.max(this.upload.stored, facts.stored ?? 0);
    const state = facts.state && STEPS[facts.state] > STEPS[this.upload.state] ? facts.state : this.upload.state;
    const awake = !this.entry && this.upload.local?.phase === 'unfinished' && stored > this.upload.stored;
    this.change({ ...facts, stored, state, ...(awake ? { local: null } : {}) });
  }

  focus() {
    const link = this.view.root.querySelector('a[data-slot="name"][href]');
    if (link instanceof HTMLElement) link.focus();
    else need('#main').focus();
  }

  /** @param {Job} job */
  showJob(job) {
    this.view.showJob(job, this.upload.name);
  }
}

export class Rows {
  constructor() {
    this.list = need('[data-uploads]');
    this.empty = need('[data-empty]');
    /** @type {Row[]} newest first, as on the page */
    this.all = [];
    for (const root of this.list.querySelectorAll('[data-upload]')) {
      if (!(root instanceof HTMLElement)) continue;
      const row = new Row(uploadFromPage(root), new UploadView(root));
      row.listed = true;
      row.view.show(row.upload);
      this.all.push(row);
    }
  }

  /** @param {string} id */
  byId(id) {
    return id ? this.all.find((row) => row.upload.id === id) ?? null : null;
  }

  /** @param {Entry} entry */
  byEntry(entry) {
    return this.all.find((row) => row.entry === entry) ?? null;
  }

  /** @param {EventTarget | null} target */
  byElement(target) {
    const root = target instanceof Element ? target.closest('[data-upload]') : null;
    return this.all.find((row) => row.view.root === root) ?? null;
  }

  /**
   * Puts an upload where its time of creation belongs.
   * @param {Upload} upload
   */
  add(upload) {
    const row = new Row(upload, UploadView.blank());
    row.view.show(upload);
    const after = this.all.findIndex((other) => Date.parse(other.upload.createdAt) < Date.parse(upload.createdAt));
    const index = after < 0 ? this.all.length : after;
    this.list.insertBefore(row.view.root, this.all[index]?.view.root ?? null);
    this.all.splice(index, 0, row);
    this.empty.hidden = true;
    return row;
  }

  /** @param {Row} row */
  remove(row) {
    const held = row.view.root.contains(document.activeElement);
    const index = this.all.indexOf(row);
    row.view.root.remove();
    this.all = this.all.filter((other) => other !== row);
    this.empty.hidden = this.all.length > 0;
    if (!held) return;
    // The keyboard stays where it was instead of falling back to the top of the page.
    const next = this.all[Math.min(index, this.all.length - 1)];
    if (next) next.focus();
    else need('#main').focus();
  }
}
