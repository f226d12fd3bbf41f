// The page of all uploads: takes files in, shows every upload of the account, acts on its buttons.
//
// Wires the parts together; how bytes travel is in tus.js, what is heard live in followed.js, what is
// said in words.js.

/** @import {Upload} from './types.js' */
/** @import {Entry} from './queue.js' */
/** @import {Row} from './rows.js' */
/** @import {Picked} from './drop-zone.js' */
import { identify, listUploads, readUpload, removeUpload, signedIn } from './api.js';
import { pickOne, wireDropZone } from './drop-zone.js';
import { Followed } from './followed.js';
import { formatBytes, formatRate, percent, sameName, showName } from './format.js';
import { announce, confirm, need, notify, showLive } from './frame.js';
import { Live } from './live.js';
import { Queue } from './queue.js';
import { ResumeStore } from './resume-store.js';
import { Rows } from './rows.js';
import { whenSignedIn } from './sign-in-news.js';
import { isHeld } from './tab-locks.js';
import { removalQuestion, uploadFromJson } from './words.js';

/** An upload that nobody in this tab sends and that has not moved for so long is offered to be continued. */
const IDLE_MS = 30_000;
/** The same for one begun in this browser: its tabs say by their locks whether they still send it. */
const OWN_IDLE_MS = 3_000;
/** How often idle uploads are looked for. */
const IDLE_LOOK_MS = 3_000;
/** Milestones are told at every quarter of a file. */
const QUARTER_PERCENT = 25;
/** Phases in which bytes are on their way; in all others a file waits for something. */
const MOVING = new Set(['starting', 'sending']);

export class UploadsPage {
  constructor() {
    const viewer = document.body.dataset.viewer ?? '';
    this.maxBytes = Number(need('[data-drop]').dataset.maxBytes);
    this.maxText = need('[data-drop]').dataset.maxText ?? '';
    this.rows = new Rows();
    this.store = new ResumeStore(viewer);
    this.queue = new Queue({
      endpoint: '/files/',
      store: this.store,
      identify,
      onChange: (entry, what) => this.#entryChanged(entry, what),
    });
    this.live = new Live({ url: '/live', onStatus: (status) => this.#liveStatus(status), signedIn });
    this.followed = new Followed({
      account: viewer,
      live: this.live,
      rows: this.rows,
      expected: (name) => this.queue.entries.some((entry) => !entry.id && entry.transfer !== null && sameName(entry.file.name, name)),
      onState: (row, before) => this.#stateChanged(row, before),
      onData: () => this.#showSum(),
    });
    this.cursor = '';
    /** @type {HTMLElement | null} */
    this.signInNotice = null;
  }

  start() {
    wireDropZone((picked, folders) => this.#take(picked, folders));
    this.rows.list.addEventListener('click', (event) => this.#clicked(event));
    window.addEventListener('beforeunload', (event) => {
      if (this.queue.moving()) event.preventDefault();
    });
    document.addEventListener('visibilitychange', () => {
      // Back from signing in somewhere else, perhaps.
      if (!document.hidden) this.queue.resumeSignedOut();
    });
    whenSignedIn(() => {
      this.#signedInAgain();
      this.queue.resumeSignedOut();
    });
    this.#wireMore();
    this.followed.start();
    this.live.start();
    setInterval(() => void this.#lookForIdle(), IDLE_LOOK_MS);
    void this.#offerUnfinished();
    this.#showSum();
  }

  /**
   * @param {Picked[]} picked
   * @param {number} folders
   */
  #take(picked, folders) {
    if (folders > 0) notify('Folders cannot be uploaded as they are. Please drop the files inside, or an archive of the folder.');
    // A millisecond between them: the list, newest first, keeps the order in which files were picked.
    let createdAt = Date.now();
    for (const { file, handle } of picked) {
      if (file.size > this.maxBytes) {
        notify(`${showName(file.name)} has ${formatBytes(file.size)}; the largest file taken here is ${this.maxText}.`);
        continue;
      }
      this.#begin(file, handle, { createdAt: createdAt-- });
    }
  }

  /**
   * @param {File} file
   * @param {FileSystemFileHandle | null} handle
   * @param {{createdAt?: number, keyUrl?: string, id?: string}} known
   */
  #begin(file, handle, { createdAt = Date.now(), keyUrl, id }) {
    const remembered = this.store.find(file);
    const ended = this.rows.byId(remembered?.id ?? '');
    // Its upload is over, so the same file is sent anew.
    if (remembered && ended && ended.upload.state !== 'receiving') this.store.forget(remembered.keyUrl);
    const entry = this.queue.add(file, { handle, keyUrl, id });
    if (this.rows.byEntry(entry)) return;
    const row = this.rows.byId(entry.id) ?? this.rows.add(newUpload(file, createdAt));
    row.entry = entry;
    row.change({ local: entry.local });
  }

  /**
   * @param {Entry} entry
   * @param {'progress' | 'exact' | 'phase' | 'created' | 'complete'} what
   */
  #entryChanged(entry, what) {
    const row = this.rows.byEntry(entry);
    if (!row) return;
    if (what === 'created') this.#created(row, entry);
    if (what === 'exact') row.change({ stored: entry.stored, local: entry.local });
    else row.changeForward({ stored: entry.stored, local: entry.local });
    if (what === 'complete') {
      row.entry = null;
      // Nothing ties this row to the server's list, where the upload has a row of its own.
      if (!entry.id) return this.rows.remove(row);
      row.changeForward({ state: row.upload.state === 'receiving' ? 'verifying' : row.upload.state });
      this.followed.followUpload(row);
    }
    if (entry.local?.phase === 'signed-out') this.#tellSignIn();
    if (entry.local?.phase === 'refused') announce(`${showName(row.upload.name)} was refused.`);
    this.#announceProgress(row);
    this.#showSum();
  }

  /**
   * @param {Row} row
   * @param {Entry} entry
   */
  #created(row, entry) {
    const other = this.rows.byId(entry.id);
    if (other && other !== row) this.rows.remove(other);
    // A row that was begun afresh carries what was known of the upload before.
    row.change({ id: entry.id, state: 'receiving', sha256: '', message: '' });
    this.#signedInAgain();
    announce(`${showName(row.upload.name)}: upload started.`);
    this.followed.refresh();
    this.followed.followUpload(row);
  }

  /** @param {Row} row */
  #announceProgress(row) {
    if (!row.entry) return;
    const done = percent(row.upload.stored, row.upload.total) ?? 0;
    const quarter = Math.floor(done / QUARTER_PERCENT);
    if (quarter > row.quarter && quarter < 4) announce(`${showName(row.upload.name)}: ${quarter * QUARTER_PERCENT} percent stored.`);
    row.quarter = quarter;
  }

  /**
   * @param {Row} row
   * @param {string} before
   */
  #stateChanged(row, before) {
    if (before === 'receiving' && row.upload.state !== 'verifying' && row.entry) row.entry = null;
    if (row.upload.state === 'stored') announce(`${showName(row.upload.name)} is stored.`);
    if (row.upload.state === 'failed') announce(`${showName(row.upload.name)} failed.`);
    this.#showSum();
  }

  #tellSignIn() {
    // Once, even when it was closed: whoever closed it has read it.
    this.signInNotice ??= notify('You are signed out. What is being sent goes on; new files wait.', { text: 'Sign in again', href: '/sign-in' });
  }

  #signedInAgain() {
    this.signInNotice?.remove();
    this.signInNotice = null;
  }

  /** @param {import('./live.js').Liveness} status */
  #liveStatus(status) {
    showLive(status);
    if (status === 'waiting') this.#forgetRates();
    if (status === 'signed-out') this.#tellSignIn();
  }

  /** What was measured before the connection was lost is not true any more. */
  #forgetRates() {
    for (const row of this.rows.all) row.change({ rate: null, etaMs: null });
    this.#showSum();
  }

  /** @param {MouseEvent} event */
  #clicked(event) {
    const row = this.rows.byElement(event.target);
    const action = event.target instanceof Element ? event.target.closest('[data-action]') : null;
    if (!row) return;
    const link = event.target instanceof Element ? event.target.closest('a[data-slot="name"]') : null;
    // Following the link here would stop what this tab sends.
    if (link instanceof HTMLAnchorElement) link.target = this.queue.moving() ? '_blank' : '';
    switch (action instanceof HTMLElement ? action.dataset.action : '') {
      case 'pause': if (row.entry) this.queue.pause(row.entry); break;
      case 'continue': void this.#continue(row); break;
      case 'pick': void this.#pickAgain(row); break;
      case 'remove': void this.#remove(row); break;
    }
  }

  /** @param {Row} row */
  async #continue(row) {
    if (row.entry) return this.queue.resume(row.entry);
    const known = this.store.list().find((entry) => entry.id === row.upload.id);
    const handle = known ? await this.store.handle(known.keyUrl) : null;
    if (!known || !handle) return this.#pickAgain(row);
    try {
      const answer = await /** @type {any} */ (handle).requestPermission({ mode: 'read' });
      if (answer === 'granted') return this.#continueWith(row, { file: await handle.getFile(), handle });
    } catch {
      // Moved or deleted; picking it again is what is left.
    }
    return row.change({ local: { phase: 'unfinished', reason: '' } });
  }

  /** @param {Row} row */
  async #pickAgain(row) {
    const picked = await pickOne();
    if (picked) await this.#continueWith(row, picked);
  }

  /**
   * @param {Row} row
   * @param {Picked} picked
   */
  async #continueWith(row, { file, handle }) {
    const { id, name, total } = row.upload;
    if (!sameName(file.name, name) || (total !== null && file.size !== total)) {
      const size = total === null ? '' : ` of ${formatBytes(total)}`;
      return notify(`${showName(file.name)} is another file. This upload goes on with ${showName(name)}${size}.`);
    }
    try {
      const keyUrl = this.store.list().find((entry) => entry.id === id)?.keyUrl ?? (await readUpload(id)).key_url;
      if (keyUrl) return this.#begin(file, handle, { keyUrl, id });
      return notify(`Only whoever began the upload of ${showName(name)} can continue it.`);
    } catch (error) {
      return notify(error instanceof Error ? error.message : String(error));
    }
  }

  /** @param {Row} row */
  async #remove(row) {
    const name = showName(row.upload.name);
    const known = row.upload.id !== '' || row.upload.stored > 0;
    const nothingToLose = !known || row.upload.local?.phase === 'gone' || row.upload.local?.phase === 'refused';
    if (!nothingToLose && !(await confirm(removalQuestion(row.upload)))) return;
    try {
      if (row.entry) await this.queue.remove(row.entry);
      row.entry = null;
      if (row.upload.id) await removeUpload(row.upload.id);
      for (const entry of this.store.list()) if (entry.id === row.upload.id) this.store.forget(entry.keyUrl);
      this.rows.remove(row);
      announce(`${name} was removed.`);
      this.#showSum();
    } catch (error) {
      row.change({ local: null });
      notify(error instanceof Error ? error.message : String(error));
    }
  }

  /** What this browser began and did not finish is offered at once, before it is seen to be idle. */
  async #offerUnfinished() {
    for (const known of this.store.list()) {
      const row = this.rows.byId(known.id);
      if (row && !row.entry && row.upload.state === 'receiving') await this.#offer(row);
    }
  }

  /** Uploads that stand still can be taken over, whoever began them. */
  async #lookForIdle() {
    for (const row of this.rows.all) {
      if (row.entry || row.upload.local || row.upload.state !== 'receiving') continue;
      const own = this.store.list().some((known) => known.id === row.upload.id);
      if (Date.now() - row.movedAt > (own ? OWN_IDLE_MS : IDLE_MS)) await this.#offer(row);
    }
  }

  /** @param {Row} row */
  async #offer(row) {
    const known = this.store.list().find((entry) => entry.id === row.upload.id);
    if (known && (await isHeld(known.keyUrl))) return;
    const handle = known ? await this.store.handle(known.keyUrl) : null;
    const allowed = await /** @type {any} */ (handle)?.queryPermission({ mode: 'read' });
    if (handle && allowed === 'granted') {
      const file = await handle.getFile().catch(() => null);
      if (file) return this.#continueWith(row, { file, handle });
    }
    row.change({ local: { phase: 'unfinished', reason: '', oneClick: handle !== null } });
  }

  #wireMore() {
    const button = need('[data-action="more"]');
    button.hidden = false;
    button.addEventListener('click', () => void this.#more(/** @type {HTMLButtonElement} */ (button)));
  }

  /** @param {HTMLButtonElement} button */
  async #more(button) {
    button.disabled = true;
    try {
      const cursor = this.cursor || (await listUploads()).next_cursor || '';
      const page = cursor ? await listUploads(cursor) : { uploads: [], next_cursor: null };
      const added = page.uploads.filter(({ id }) => !this.rows.byId(id)).map((upload) => this.rows.add(uploadFromJson(upload)));
      for (const row of added) row.listed = true;
      this.cursor = page.next_cursor ?? '';
      // The keyboard goes on with what has come, before the button may go.
      added[0]?.focus();
      need('[data-more]').hidden = !this.cursor;
      this.followed.refresh();
    } catch (error) {
      notify(error instanceof Error ? error.message : String(error));
    } finally {
      button.disabled = false;
    }
  }

  /** One line over the list: how much is on its way and how fast. */
  #showSum() {
    const moving = this.rows.all.filter(({ upload }) => upload.state === 'receiving' && MOVING.has(upload.local?.phase ?? 'sending'));
    const left = moving.reduce((sum, { upload }) => sum + Math.max(0, (upload.total ?? upload.stored) - upload.stored), 0);
    const rate = moving.reduce((sum, { upload }) => sum + (upload.rate ?? 0), 0);
    const parts = moving.length === 0 ? [] : [`${moving.length} arriving`, `${formatBytes(left)} to go`];
    if (rate > 0) parts.push(formatRate(rate));
    need('[data-sum]').textContent = parts.join(' · ');
  }
}

/**
 * @param {File} file
 * @param {number} createdAt
 * @returns {Upload}
 */
function newUpload(file, createdAt) {
  return {
    id: '',
    name: file.name,
    state: 'receiving',
    stored: 0,
    total: file.size,
    rate: null,
    etaMs: null,
    sha256: '',
    mediaType: '',
    message: '',
    step: '',
    createdAt: new Date(createdAt).toISOString(),
    local: { phase: 'waiting', reason: '' },
  };
}
