// The files this tab sends: a few at once, the rest in line, each by a TusUpload.
//
// Knows files, slots and what to remember for next time; never touches the page. Every change of
// an entry is told through one callback.

/** @import {Local} from './types.js' */
/** @import {ResumeStore} from './resume-store.js' */
import { holdUpload, whenUploadIsFree } from './tab-locks.js';
import { TusUpload } from './tus.js';

/** Files at once: enough to fill a line while one of them starts, few enough for each to get on. */
const RUNNING_MAX = 3;

/**
 * One file of this tab.
 * @typedef {object} Entry
 * @property {File} file
 * @property {FileSystemFileHandle | null} handle
 * @property {string} id empty until the server has given one
 * @property {string | null} keyUrl
 * @property {number} stored
 * @property {Local | null} local null once the server has everything
 * @property {TusUpload | null} transfer set while it occupies a slot
 * @property {boolean} continued the key was remembered, so the server may have forgotten it
 * @property {boolean} removed
 */

/**
 * @typedef {object} QueueOptions
 * @property {string} endpoint
 * @property {ResumeStore} store
 * @property {(keyUrl: string) => Promise<string>} identify the id of the upload behind a key
 * @property {(entry: Entry, what: 'progress' | 'exact' | 'phase' | 'created' | 'complete') => void} onChange
 */

export class Queue {
  /** @param {QueueOptions} options */
  constructor(options) {
    this.options = options;
    /** @type {Entry[]} */
    this.entries = [];
  }

  /**
   * Takes a file in. A file that was begun before goes on where it stopped.
   * @param {File} file
   * @param {{handle?: FileSystemFileHandle | null, keyUrl?: string | null, id?: string}} [known]
   * @returns {Entry}
   */
  add(file, { handle = null, keyUrl = null, id = '' } = {}) {
    const here = this.entries.find((entry) => sameFile(entry.file, file));
    if (here) {
      if (!here.transfer) this.resume(here);
      return here;
    }
    const remembered = keyUrl ? { keyUrl, id } : this.options.store.find(file);
    /** @type {Entry} */
    const entry = {
      file,
      handle,
      id: remembered?.id ?? '',
      keyUrl: remembered?.keyUrl ?? null,
      stored: 0,
      local: { phase: 'waiting', reason: '' },
      transfer: null,
      continued: Boolean(remembered),
      removed: false,
    };
    this.entries.push(entry);
    // Not at once: the caller first puts the entry on the page.
    queueMicrotask(() => this.#fill());
    return entry;
  }

  /** @param {Entry} entry */
  pause(entry) {
    if (entry.transfer) entry.transfer.pause();
    else this.#phase(entry, { phase: 'paused', reason: '' });
  }

  /** @param {Entry} entry */
  resume(entry) {
    this.#phase(entry, { phase: 'waiting', reason: '' });
    this.#fill();
  }

  /** Somebody has signed in again, perhaps: what was turned away gets another try. */
  resumeSignedOut() {
    for (const entry of this.entries) {
      if (entry.local?.phase === 'signed-out') this.resume(entry);
    }
  }

  /**
   * Stops sending and forgets the file here; the server is told when it knows of it.
   * @param {Entry} entry
   */
  async remove(entry) {
    entry.removed = true;
    this.entries = this.entries.filter((other) => other !== entry);
    if (entry.keyUrl) this.options.store.forget(entry.keyUrl);
    const transfer = entry.transfer ?? this.#transfer(entry);
    await transfer.cancel();
    this.#fill();
  }

  /** Whether leaving the page now would stop bytes that are on their way. */
  moving() {
    return this.entries.some((entry) => entry.transfer !== null);
  }

  #fill() {
    let free = RUNNING_MAX - this.entries.filter((entry) => entry.transfer).length;
    for (const entry of this.entries) {
      if (free <= 0) return;
      if (entry.local?.phase !== 'waiting' || entry.transfer) continue;
      free -= 1;
      void this.#run(entry);
    }
  }

  /** @param {Entry} entry */
  async #run(entry) {
    entry.transfer = this.#transfer(entry);
    let holding = entry.keyUrl ? holdUpload(entry.keyUrl) : Promise.resolve(null);
    if (entry.keyUrl && !(await holding)) return this.#standBack(entry, entry.keyUrl);
    let naming = Promise.resolve();
    entry.transfer.options.onCreated = (keyUrl) => {
      holding = holdUpload(keyUrl);
      naming = this.#created(entry, keyUrl);
    };
    const { outcome, reason } = await entry.transfer.run();
    // A small file is complete before its id is known; what follows needs the id.
    await naming;
    void holding.then((release) => release?.());
    entry.transfer = null;
    if (!entry.removed) this.#ended(entry, outcome, reason);
    this.#fill();
  }

  /** @param {Entry} entry */
  #transfer(entry) {
    return new TusUpload(entry.file, {
      endpoint: this.options.endpoint,
      keyUrl: entry.keyUrl,
      onCreated: () => {},
      onStored: (stored, exact) => {
        entry.stored = stored;
        this.#tell(entry, exact ? 'exact' : 'progress');
      },
      onPhase: (phase, reason) => this.#phase(entry, { phase, reason }),
    });
  }

  /**
   * Another tab sends this upload; wait outside the slots until it stops.
   * @param {Entry} entry
   * @param {string} keyUrl
   */
  async #standBack(entry, keyUrl) {
    entry.transfer = null;
    this.#phase(entry, { phase: 'elsewhere', reason: '' });
    this.#fill();
    await whenUploadIsFree(keyUrl);
    if (entry.local?.phase === 'elsewhere' && !entry.removed) this.resume(entry);
  }

  /**
   * @param {Entry} entry
   * @param {string} keyUrl
   */
  async #created(entry, keyUrl) {
    entry.keyUrl = keyUrl;
    entry.id = await this.options.identify(keyUrl);
    if (entry.removed) return;
    this.#remember(entry, keyUrl);
    this.#tell(entry, 'created');
  }

  /**
   * @param {Entry} entry
   * @param {string} keyUrl
   */
  #remember(entry, keyUrl) {
    this.options.store.remember(entry.file, { keyUrl, id: entry.id });
    if (entry.handle) void this.options.store.rememberHandle(keyUrl, entry.handle);
  }

  /**
   * @param {Entry} entry
   * @param {import('./tus.js').TusResult['outcome']} outcome
   * @param {string} reason
   */
  #ended(entry, outcome, reason) {
    if (outcome === 'gone' && entry.continued) return this.#startAfresh(entry);
    if ((outcome === 'complete' || outcome === 'gone') && entry.keyUrl) this.options.store.forget(entry.keyUrl);
    if (outcome === 'complete') {
      this.entries = this.entries.filter((other) => other !== entry);
      entry.local = null;
      return this.#tell(entry, 'complete');
    }
    return this.#phase(entry, { phase: outcome, reason });
  }

  /**
   * The server has forgotten an upload that we remembered: the file is sent from its beginning.
   * @param {Entry} entry
   */
  #startAfresh(entry) {
    if (entry.keyUrl) this.options.store.forget(entry.keyUrl);
    entry.keyUrl = null;
    entry.id = '';
    entry.stored = 0;
    entry.continued = false;
    this.#phase(entry, { phase: 'waiting', reason: '' });
  }

  /**
   * @param {Entry} entry
   * @param {Local} local
   */
  #phase(entry, local) {
    if (entry.local?.phase === local.phase && entry.local.reason === local.reason) return;
    entry.local = local;
    this.#tell(entry, 'phase');
  }

  /**
   * @param {Entry} entry
   * @param {'progress' | 'exact' | 'phase' | 'created' | 'complete'} what
   */
  #tell(entry, what) {
    if (!entry.removed) this.options.onChange(entry, what);
  }
}

/**
 * @param {File} one
 * @param {File} other
 */
function sameFile(one, other) {
  return one.name === other.name && one.size === other.size && one.lastModified === other.lastModified;
}
