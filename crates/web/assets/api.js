// The pages' requests to the JSON interface, with errors made readable.
//
// Never retries: what a person asked for is done once and the answer is shown.

import { viewerHeader } from './viewer.js';

/** @import {UploadJson, UploadListJson} from './types.js' */

const UPLOADS = '/api/v1/uploads';
const UUID = /[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}/i;

/** An answer that is not a success; the message is fit to be shown. */
class Problem extends Error {
  /**
   * @param {number} status
   * @param {string} message
   */
  constructor(status, message) {
    super(message);
    this.status = status;
  }
}

/**
 * @param {string} url
 * @param {RequestInit} [options]
 */
async function request(url, options) {
  let answer;
  try {
    answer = await fetch(url, { ...options, headers: { Accept: 'application/json', ...viewerHeader() }, cache: 'no-store' });
  } catch {
    throw new Problem(0, 'No connection to the server. Please try again in a moment.');
  }
  if (answer.ok) return answer;
  const problem = await answer.json().catch(() => ({}));
  throw new Problem(answer.status, problem.detail || problem.title || `The server answered ${answer.status}.`);
}

/**
 * @param {string} cursor empty for the newest
 * @returns {Promise<UploadListJson>}
 */
export async function listUploads(cursor = '') {
  const answer = await request(cursor ? `${UPLOADS}?cursor=${encodeURIComponent(cursor)}` : UPLOADS);
  return answer.json();
}

/**
 * @param {string} id
 * @returns {Promise<UploadJson>}
 */
export async function readUpload(id) {
  return (await request(`${UPLOADS}/${id}`)).json();
}

/** @param {string} id */
export async function removeUpload(id) {
  try {
    await request(`${UPLOADS}/${id}`, { method: 'DELETE' });
  } catch (error) {
    // Removed already, here or in another window: that is what was wanted.
    if (error instanceof Problem && (error.status === 404 || error.status === 410)) return;
    throw error;
  }
}

/** Whether the sign-in still holds; when nobody answers, nothing is known and it is taken to hold. */
export async function signedIn() {
  try {
    await request(`${UPLOADS}?limit=1`);
    return true;
  } catch (error) {
    return !(error instanceof Problem && error.status === 401);
  }
}

/**
 * The id of the upload behind a key: a part of the key, or found by asking.
 * @param {string} keyUrl
 */
export async function identify(keyUrl) {
  const path = pathOf(keyUrl);
  const inside = UUID.exec(path);
  if (inside) return inside[0].toLowerCase();
  const { uploads } = await listUploads().catch(() => ({ uploads: [] }));
  return uploads.find((upload) => upload.key_url && pathOf(upload.key_url) === path)?.id ?? '';
}

/** @param {string} url */
function pathOf(url) {
  return new URL(url, document.baseURI).pathname;
}
