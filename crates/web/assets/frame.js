// What stands around every page's content: account menu, live mark, notices, dialog, announcements.
//
// Only puts given words on the page; never decides what to say.

/** @import {Liveness} from './live.js' */

/** Gap between clearing and filling the live region: readers announce a change, and several at once are one. */
const ANNOUNCE_GAP_MS = 150;

/** @type {Record<Liveness, string>} */
const LIVE_WORDS = {
  connecting: 'Connecting',
  live: 'Live',
  waiting: 'Reconnecting',
  behind: 'Live, a little behind',
  'signed-out': 'Signed out',
  stopped: 'Not live',
};

/**
 * The element that must be there; templates and scripts are one product.
 * @template {Element} [T=HTMLElement]
 * @param {string} selector
 * @param {ParentNode} [root]
 * @returns {T}
 */
export function need(selector, root = document) {
  const found = root.querySelector(selector);
  if (!found) throw new Error(`the page lacks ${selector}`);
  return /** @type {T} */ (/** @type {unknown} */ (found));
}

/** Closes the account menu as menus are expected to close. */
export function wireAccountMenu() {
  const menu = /** @type {HTMLDetailsElement | null} */ (document.querySelector('[data-account]'));
  if (!menu) return;
  document.addEventListener('click', (event) => {
    if (event.target instanceof Node && !menu.contains(event.target)) menu.open = false;
  });
  menu.addEventListener('keydown', (event) => {
    if (event.key !== 'Escape' || !menu.open) return;
    menu.open = false;
    menu.querySelector('summary')?.focus();
  });
}

/** @param {Liveness} status */
export function showLive(status) {
  const mark = need('[data-live]');
  mark.dataset.status = status;
  need('[data-slot="text"]', mark).textContent = LIVE_WORDS[status];
}

/** @type {string[]} milestones that are about to be said together */
let sentences = [];

/** @param {string} sentence a milestone, never a tick */
export function announce(sentence) {
  const region = need('[data-announcer]');
  if (sentences.push(sentence) > 1) return;
  region.textContent = '';
  setTimeout(() => {
    region.textContent = sentences.join(' ');
    sentences = [];
  }, ANNOUNCE_GAP_MS);
}

/**
 * Says something that went wrong where it is seen; the same thing is said once.
 * @param {string} text
 * @param {{text: string, href: string}} [link]
 * @returns {HTMLElement} to be taken away once it is not true any more
 */
export function notify(text, link) {
  const notices = need('[data-notices]');
  for (const shown of notices.children) {
    if (shown instanceof HTMLElement && shown.dataset.text === text) return shown;
  }
  const notice = document.createElement('div');
  notice.className = 'notice';
  notice.setAttribute('role', 'alert');
  notice.dataset.text = text;
  const words = document.createElement('p');
  words.textContent = text;
  if (link) {
    const anchor = document.createElement('a');
    anchor.href = link.href;
    anchor.target = '_blank';
    anchor.textContent = link.text;
    words.append(' ', anchor);
  }
  const close = document.createElement('button');
  close.type = 'button';
  close.className = 'button';
  close.textContent = 'Close';
  close.addEventListener('click', () => notice.remove());
  notice.append(words, close);
  notices.append(notice);
  return notice;
}

/**
 * Asks before something that cannot be undone.
 * @param {{title: string, text: string, yes: string}} question
 * @returns {Promise<boolean>}
 */
export function confirm({ title, text, yes }) {
  const dialog = /** @type {HTMLDialogElement} */ (need('[data-dialog]'));
  need('[data-slot="title"]', dialog).textContent = title;
  need('[data-slot="text"]', dialog).textContent = text;
  need('[data-slot="yes"]', dialog).textContent = yes;
  dialog.returnValue = 'no';
  dialog.showModal();
  return new Promise((resolve) => {
    dialog.addEventListener('close', () => resolve(dialog.returnValue === 'yes'), { once: true });
  });
}
