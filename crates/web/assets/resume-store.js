// Remembers, in this browser, which uploads are not finished and how to carry them on.
//
// Keys of uploads go to localStorage, file handles (where the browser has them) to IndexedDB. Both
// may be missing or refused (private windows): then nothing is remembered and nothing fails. Never
// stores a byte of a file. One entry per key, so that two tabs never overwrite each other's.

/** Entries of this version; another shape gets another prefix and the old ones age away. */
const PREFIX = 'slipway.unfinished.1/';
/** Uploads the server has forgotten by then; keeps the store from growing for ever. */
const KEPT_MS = 7 * 24 * 60 * 60 * 1000;
/** Far more than anybody leaves unfinished; at 400 bytes each, 80 KB of the 5 MB a site may use. */
const ENTRIES_MAX = 200;

const DATABASE = 'slipway';
const HANDLES = 'handles';

/** @typedef {{keyUrl: string, id: string, name: string, size: number, at: number}} Unfinished */

export class ResumeStore {
  /**
   * @param {string} viewer another account on this browser sees nothing of ours
   * @param {Storage | null} [storage]
   * @param {() => number} [now]
   */
  constructor(viewer, storage = storageOrNull(), now = Date.now) {
    this.prefix = `${PREFIX}${viewer}/`;
    this.storage = storage;
    this.now = now;
  }

  /**
   * @param {File} file
   * @returns {Unfinished | null}
   */
  find(file) {
    return this.#read(this.prefix + fingerprint(file));
  }

  /**
   * @param {File} file
   * @param {{keyUrl: string, id: string}} upload
   */
  remember(file, upload) {
    this.#makeRoom();
    /** @type {Unfinished} */
    const entry = { ...upload, name: file.name, size: file.size, at: this.now() };
    try {
      this.storage?.setItem(this.prefix + fingerprint(file), JSON.stringify(entry));
    } catch {
      // Full or refused: the upload still runs, it only cannot be found again.
    }
  }

  /** @param {string} keyUrl */
  forget(keyUrl) {
    for (const [key, entry] of this.#entries()) {
      if (entry.keyUrl === keyUrl) this.storage?.removeItem(key);
    }
    void withHandles('readwrite', (handles) => handles.delete(keyUrl));
  }

  /** @returns {Unfinished[]} */
  list() {
    return this.#entries().map(([, entry]) => entry);
  }

  /**
   * @param {string} keyUrl
   * @param {FileSystemFileHandle} handle
   */
  async rememberHandle(keyUrl, handle) {
    await withHandles('readwrite', (handles) => handles.put(handle, keyUrl));
  }

  /**
   * @param {string} keyUrl
   * @returns {Promise<FileSystemFileHandle | null>}
   */
  async handle(keyUrl) {
    return (await withHandles('readonly', (handles) => handles.get(keyUrl))) ?? null;
  }

  /** @returns {[string, Unfinished][]} the viewer's entries, newest first */
  #entries() {
    const keys = Array.from({ length: this.storage?.length ?? 0 }, (_, index) => this.storage?.key(index) ?? '');
    return keys
      .filter((key) => key.startsWith(this.prefix))
      .map((key) => /** @type {const} */ ([key, this.#read(key)]))
      .filter(/** @returns {pair is [string, Unfinished]} */ (pair) => pair[1] !== null)
      .sort((a, b) => b[1].at - a[1].at);
  }

  /**
   * @param {string} key
   * @returns {Unfinished | null}
   */
  #read(key) {
    try {
      const entry = JSON.parse(this.storage?.getItem(key) ?? 'null');
      if (entry === null) return null;
      const usable = typeof entry.keyUrl === 'string' && typeof entry.id === 'string' && entry.at > this.now() - KEPT_MS;
      if (usable) return entry;
    } catch {
      // Not ours any more; dropped below.
    }
    this.storage?.removeItem(key);
    return null;
  }

  #makeRoom() {
    for (const [key] of this.#entries().slice(ENTRIES_MAX - 1)) this.storage?.removeItem(key);
  }
}

/**
 * Tells files apart without reading them. The same three facts decide in other upload clients.
 * @param {File} file
 */
function fingerprint(file) {
  return JSON.stringify([file.name, file.size, file.lastModified]);
}

/** @returns {Storage | null} */
function storageOrNull() {
  try {
    return window.localStorage;
  } catch {
    return null;
  }
}

/**
 * One request against the table of file handles; null where the browser has none or refuses.
 * @param {IDBTransactionMode} mode
 * @param {(handles: IDBObjectStore) => IDBRequest} work
 * @returns {Promise<any>}
 */
async function withHandles(mode, work) {
  try {
    const database = await settled(openDatabase());
    try {
      return await settled(work(database.transaction(HANDLES, mode).objectStore(HANDLES)));
    } finally {
      database.close();
    }
  } catch {
    return null;
  }
}

function openDatabase() {
  const opening = indexedDB.open(DATABASE, 1);
  opening.addEventListener('upgradeneeded', () => opening.result.createObjectStore(HANDLES));
  return opening;
}

/**
 * @template T
 * @param {IDBRequest<T>} request
 * @returns {Promise<T>}
 */
function settled(request) {
  return new Promise((resolve, reject) => {
    request.addEventListener('success', () => resolve(request.result));
    request.addEventListener('error', () => reject(request.error));
  });
}
