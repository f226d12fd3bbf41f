// Ways for files to get onto the page: dropped anywhere, picked by the button, pasted.
//
// Hands on files, with a handle where the browser gives one (then the file can be opened again after
// a reload). Never reads a file.

import { need } from './frame.js';

/** @typedef {{file: File, handle: FileSystemFileHandle | null}} Picked */
/** @typedef {(picked: Picked[], folders: number) => void} OnFiles */

/**
 * @param {OnFiles} onFiles
 */
export function wireDropZone(onFiles) {
  const input = /** @type {HTMLInputElement} */ (need('[data-files]'));
  input.addEventListener('change', () => {
    onFiles(Array.from(input.files ?? [], (file) => ({ file, handle: null })), 0);
    // The same file may be picked again; without this the browser would not tell.
    input.value = '';
  });
  input.addEventListener('click', (event) => {
    if (!('showOpenFilePicker' in window) || !event.isTrusted) return;
    event.preventDefault();
    void openPicker(true).then((picked) => picked && onFiles(picked, 0), () => input.click());
  });
  wireDragging(onFiles);
  document.addEventListener('paste', (event) => {
    const files = Array.from(event.clipboardData?.files ?? []);
    if (files.length > 0) onFiles(files.map((file) => ({ file, handle: null })), 0);
  });
}

/**
 * Lets somebody pick one file, for an upload that is to go on.
 * @returns {Promise<Picked | null>}
 */
export async function pickOne() {
  if ('showOpenFilePicker' in window) return (await openPicker(false))?.[0] ?? null;
  const input = document.createElement('input');
  input.type = 'file';
  return new Promise((resolve) => {
    input.addEventListener('change', () => resolve(input.files?.[0] ? { file: input.files[0], handle: null } : null));
    input.addEventListener('cancel', () => resolve(null));
    input.click();
  });
}

/**
 * @param {boolean} multiple
 * @returns {Promise<Picked[] | null>} null: nothing was picked
 */
async function openPicker(multiple) {
  /** @type {FileSystemFileHandle[]} */
  let handles;
  try {
    handles = await /** @type {any} */ (window).showOpenFilePicker({ multiple });
  } catch (error) {
    if (error instanceof DOMException && error.name === 'AbortError') return null;
    throw error;
  }
  return Promise.all(handles.map(async (handle) => ({ file: await handle.getFile(), handle })));
}

/** @param {OnFiles} onFiles */
function wireDragging(onFiles) {
  const overlay = need('[data-overlay]');
  // Each element under the pointer enters and leaves by itself; the page is left when all have.
  let depth = 0;
  const show = (/** @type {boolean} */ dragging) => {
    overlay.hidden = !dragging;
    document.body.classList.toggle('is-dragging', dragging);
  };
  document.addEventListener('dragenter', (event) => {
    if (!bringsFiles(event)) return;
    event.preventDefault();
    depth += 1;
    show(true);
  });
  document.addEventListener('dragover', (event) => {
    if (!bringsFiles(event) || !event.dataTransfer) return;
    event.preventDefault();
    event.dataTransfer.dropEffect = 'copy';
  });
  document.addEventListener('dragleave', (event) => {
    if (!bringsFiles(event)) return;
    depth = Math.max(0, depth - 1);
    if (depth === 0) show(false);
  });
  document.addEventListener('drop', (event) => {
    if (!bringsFiles(event) || !event.dataTransfer) return;
    event.preventDefault();
    depth = 0;
    show(false);
    void dropped(event.dataTransfer).then(({ picked, folders }) => onFiles(picked, folders));
  });
}

/** @param {DragEvent} event */
function bringsFiles(event) {
  return event.dataTransfer?.types.includes('Files') ?? false;
}

/**
 * Files of a drop. Everything is asked for at once: the browser empties the list after the event.
 * @param {DataTransfer} transfer
 */
async function dropped(transfer) {
  let folders = 0;
  const taking = [];
  for (const item of Array.from(transfer.items)) {
    if (item.kind !== 'file') continue;
    if (item.webkitGetAsEntry?.()?.isDirectory) {
      folders += 1;
      continue;
    }
    const file = item.getAsFile();
    const handle = /** @type {any} */ (item).getAsFileSystemHandle?.() ?? null;
    if (file) taking.push(withHandle(file, handle));
  }
  return { picked: await Promise.all(taking), folders };
}

/**
 * @param {File} file
 * @param {Promise<FileSystemFileHandle> | null} handle
 * @returns {Promise<Picked>}
 */
async function withHandle(file, handle) {
  try {
    return { file, handle: await handle };
  } catch {
    return { file, handle: null };
  }
}
