// One upload on the page, as a row of the list or as a page of its own, and the jobs under it.
//
// Fills the slots of the markup in templates/parts.html. Text goes in as text, never as markup, and
// an element is only touched when its content changes.

/** @import {Job, Upload} from './types.js' */
import { formatBytes, formatCount, formatMoment, formatMomentWhole, shortDigest, shortName, showName } from './format.js';
import { need } from './frame.js';
import { describe, describeJob, jobKind } from './words.js';

/** How long a button says "Copied". */
const COPIED_MS = 1_600;

export class UploadView {
  /** @param {HTMLElement} root */
  constructor(root) {
    this.root = root;
    /** @type {Map<string, HTMLElement>} */
    this.jobs = new Map();
    for (const element of root.querySelectorAll('[data-job]')) {
      if (element instanceof HTMLElement) this.jobs.set(element.dataset.job ?? '', element);
    }
    this.#action('copy')?.addEventListener('click', () => this.#copy());
    this.digest = '';
  }

  /** A new row, from the page's template. */
  static blank() {
    return new UploadView(cloned('[data-upload-row]'));
  }

  /** @param {Upload} upload */
  show(upload) {
    const said = describe(upload);
    this.root.dataset.id = upload.id;
    this.root.dataset.state = upload.state;
    this.root.dataset.tone = said.tone;
    this.root.dataset.local = upload.local?.phase ?? '';
    this.#name(upload);
    this.#text('word', said.word);
    this.#text('detail', said.detail);
    this.#text('rate', said.rate);
    this.#text('left', said.left);
    this.#text('percent', said.percent);
    this.#facts(upload);
    need('[data-slot="bar"]', this.root).hidden = !said.bar;
    const total = said.busy ? null : upload.total;
    fillProgress(this.root, `Progress of ${showName(upload.name)}`, upload.stored, total);
    this.#buttons(upload, said.actions);
  }

  /**
   * @param {Upload} upload
   * @param {string[]} actions
   */
  #buttons(upload, actions) {
    const held = document.activeElement;
    const ending = upload.state === 'receiving' && upload.local?.phase !== 'refused' && upload.local?.phase !== 'gone';
    const remove = this.#action('remove');
    if (remove) setText(remove, ending ? 'Cancel' : 'Remove');
    for (const name of /** @type {const} */ (['pause', 'continue', 'pick', 'download', 'remove'])) {
      const button = this.#action(name);
      if (!button) continue;
      button.hidden = !actions.includes(name);
      button.setAttribute('aria-label', `${button.textContent?.trim()}: ${showName(upload.name)}`);
    }
    if (!(held instanceof HTMLElement) || !held.hidden || !this.root.contains(held)) return;
    // "Pause" has become "Continue" under somebody's keyboard: the focus goes along.
    const next = this.root.querySelector('[data-action]:not([hidden], [data-action="copy"])');
    if (next instanceof HTMLElement) next.focus();
  }

  /**
   * @param {Job} job
   * @param {string} uploadName
   */
  showJob(job, uploadName) {
    let element = this.jobs.get(job.id);
    if (!element) {
      element = cloned('[data-job-row]');
      element.dataset.job = job.id;
      this.jobs.set(job.id, element);
      need('[data-slot="jobs"]', this.root).append(element);
    }
    const said = describeJob(job);
    element.dataset.state = job.state;
    element.dataset.tone = said.tone;
    setText(need('[data-slot="text"]', element), said.text);
    setText(need('[data-slot="percent"]', element), said.percent);
    const label = `${jobKind(job.kind)} of ${showName(uploadName)}`;
    fillProgress(element, label, job.done, job.state === 'running' ? job.total : null);
    need('progress', element).hidden = !said.bar;
  }

  /** @param {Upload} upload */
  #name(upload) {
    const slot = need('[data-slot="name"]', this.root);
    const whole = showName(upload.name);
    const inList = slot instanceof HTMLAnchorElement;
    setText(need('bdi', slot), inList ? shortName(upload.name) : whole);
    if (!inList) return;
    slot.title = whole;
    if (upload.id) slot.href = `/uploads/${upload.id}`;
    else slot.removeAttribute('href');
    const download = this.#action('download');
    if (download instanceof HTMLAnchorElement && upload.id) download.href = `/api/v1/uploads/${upload.id}/content`;
  }

  /** @param {Upload} upload */
  #facts(upload) {
    const when = this.root.querySelector('[data-slot="when"]');
    if (when instanceof HTMLTimeElement && upload.createdAt) {
      when.dateTime = upload.createdAt;
      when.title = formatMomentWhole(upload.createdAt);
      const inList = this.root.matches('li');
      setText(when, inList ? formatMoment(upload.createdAt) : formatMomentWhole(upload.createdAt));
    }
    const size = this.root.querySelector('[data-slot="size"]');
    if (size instanceof HTMLElement && upload.total !== null) {
      setText(size, `${formatBytes(upload.total)} (${formatCount(upload.total)} bytes)`);
    }
    const type = this.root.querySelector('[data-slot="type"]');
    if (type instanceof HTMLElement && upload.mediaType) setText(type, upload.mediaType);
    this.digest = upload.sha256;
    const code = need('[data-slot="digest"]', this.root);
    need('[data-slot="digest-box"]', this.root).hidden = !upload.sha256;
    const none = this.root.querySelector('[data-slot="digest-none"]');
    if (none instanceof HTMLElement) none.hidden = Boolean(upload.sha256);
    setText(code, 'full' in code.dataset ? upload.sha256 : shortDigest(upload.sha256));
    code.title = upload.sha256;
    const copy = this.#action('copy');
    if (copy) copy.hidden = !navigator.clipboard;
  }

  async #copy() {
    const button = this.#action('copy');
    if (!button) return;
    try {
      await navigator.clipboard.writeText(this.digest);
      setText(button, 'Copied');
    } catch {
      setText(button, 'Refused');
    }
    setTimeout(() => setText(button, 'Copy'), COPIED_MS);
  }

  /** @param {string} name */
  #action(name) {
    return /** @type {HTMLElement | null} */ (this.root.querySelector(`[data-action="${name}"]`));
  }

  /**
   * @param {string} slot
   * @param {string} text
   */
  #text(slot, text) {
    setText(need(`[data-slot="${slot}"]`, this.root), text);
  }
}

/**
 * What the server rendered, as the facts a script works with.
 * @param {HTMLElement} root
 * @returns {Upload}
 */
export function uploadFromPage(root) {
  const { id = '', name = '', state, stored, total, created = '', sha256 = '', type = '', message = '' } = root.dataset;
  return {
    id,
    name,
    state: /** @type {Upload['state']} */ (state),
    stored: Number(stored),
    total: total ? Number(total) : null,
    rate: null,
    etaMs: null,
    sha256,
    mediaType: type,
    message,
    step: '',
    createdAt: created,
    local: null,
  };
}

/**
 * @param {HTMLElement} element
 * @returns {Job}
 */
export function jobFromPage(element) {
  const { job = '', kind = '', state, step = '', done, total, unit = '', message = '' } = element.dataset;
  return {
    id: job,
    kind,
    state: /** @type {Job['state']} */ (state),
    step,
    done: Number(done),
    total: total ? Number(total) : null,
    unit,
    etaMs: null,
    message,
  };
}

/** @param {string} template */
function cloned(template) {
  const { content } = /** @type {HTMLTemplateElement} */ (need(template));
  return /** @type {HTMLElement} */ (content.querySelector('li')?.cloneNode(true));
}

/**
 * @param {HTMLElement} root
 * @param {string} label
 * @param {number} done
 * @param {number | null} total null: busy, nobody knows how long
 */
function fillProgress(root, label, done, total) {
  const bar = /** @type {HTMLProgressElement} */ (need('progress', root));
  bar.setAttribute('aria-label', label);
  if (total === null) {
    bar.removeAttribute('value');
    return;
  }
  bar.max = Math.max(1, total);
  bar.value = total === 0 ? 1 : done;
}

/**
 * @param {HTMLElement} element
 * @param {string} text
 */
function setText(element, text) {
  if (element.textContent !== text) element.textContent = text;
}
