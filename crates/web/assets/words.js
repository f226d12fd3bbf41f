// What is said about an upload or a job: from its facts to the words, figures and buttons of its row.
//
// Pure; never touches the page. All wording about progress is here, so that it stays one voice.

/** @import {Job, LiveData, Upload, UploadJson} from './types.js' */
import { formatBytes, formatCount, formatDuration, formatRate, percent, showName } from './format.js';

/** @typedef {'pause' | 'continue' | 'pick' | 'download' | 'remove'} Action */
/**
 * @typedef {object} Description
 * @property {'moving' | 'waiting' | 'good' | 'bad' | 'quiet'} tone
 * @property {string} word
 * @property {string} detail
 * @property {string} rate
 * @property {string} left
 * @property {boolean} bar
 * @property {boolean} busy progress without a known end
 * @property {string} percent
 * @property {Action[]} actions
 */

/** Kinds of jobs: as a thing, and while it happens. */
const JOB_KINDS = /** @type {Record<string, [string, string]>} */ ({
  inspect: ['Inspection', 'Inspecting'],
  import: ['Import', 'Importing'],
  assemble: ['Assembly', 'Assembling'],
  expire: ['Clean-up', 'Cleaning up'],
});

const JOB_ENDS = /** @type {Record<string, string>} */ ({
  done: 'done',
  refused: 'refused',
  failed: 'failed',
  cancelled: 'cancelled',
});

/**
 * @param {Upload} upload
 * @returns {Description}
 */
export function describe(upload) {
  const local = upload.local?.phase;
  if (upload.state === 'receiving' || local === 'refused' || local === 'gone') {
    return local ? describeLocal(upload, local) : describeReceiving(upload);
  }
  const size = formatBytes(upload.total ?? upload.stored);
  const said = { ...BLANK, detail: upload.message };
  switch (upload.state) {
    case 'verifying':
      return { ...said, tone: 'moving', word: 'Verifying', detail: joined([`all ${size} stored`, upload.step]), bar: true, busy: true, actions: [] };
    case 'stored':
      return { ...said, tone: 'good', word: 'Stored', detail: upload.message || size, actions: ['download', 'remove'] };
    case 'failed':
      return { ...said, tone: 'bad', word: 'Failed', detail: upload.message || 'this file did not arrive', actions: ['remove'] };
    default:
      return { ...said, tone: 'quiet', word: 'Expired', detail: upload.message || 'it was left unfinished too long', actions: ['remove'] };
  }
}

/** @type {Description} */
const BLANK = { tone: 'quiet', word: '', detail: '', rate: '', left: '', bar: false, busy: false, percent: '', actions: [] };

/**
 * @param {Upload} upload
 * @returns {Description}
 */
function describeReceiving(upload) {
  return {
    ...progressOf(upload),
    tone: 'moving',
    word: 'Receiving',
    detail: `${progressText(upload)} stored`,
    rate: upload.rate ? formatRate(upload.rate) : '',
    left: upload.rate && upload.etaMs !== null ? `${formatDuration(upload.etaMs)} left` : '',
    actions: upload.local ? ['pause', 'remove'] : ['remove'],
  };
}

/**
 * @param {Upload} upload
 * @param {import('./types.js').LocalPhase} phase
 * @returns {Description}
 */
function describeLocal(upload, phase) {
  const reason = upload.local?.reason ?? '';
  const safe = safeText(upload);
  const waiting = { ...progressOf(upload), tone: /** @type {const} */ ('waiting') };
  switch (phase) {
    case 'sending':
      return describeReceiving(upload);
    case 'waiting':
      return { ...waiting, word: 'In line', detail: 'starts when a running upload is done', actions: ['pause', 'remove'] };
    case 'starting':
      return { ...waiting, tone: 'moving', word: 'Starting', detail: progressText(upload), actions: ['pause', 'remove'] };
    case 'paused':
      return { ...waiting, word: 'Paused', detail: safe, actions: ['continue', 'remove'] };
    case 'offline':
      return { ...waiting, word: 'Waiting for the connection', detail: safe, actions: ['pause', 'remove'] };
    case 'retrying':
      return { ...waiting, word: 'Trying again', detail: `${clause(reason)}; ${safe}`, actions: ['pause', 'remove'] };
    case 'elsewhere':
      return { ...waiting, word: 'Another tab is sending this file', detail: safe, actions: ['remove'] };
    case 'signed-out':
      return { ...waiting, word: 'Sign in to go on', detail: 'this file stays in line', actions: ['continue', 'remove'] };
    case 'unfinished':
      return unfinished(upload, safe);
    case 'gone':
      return { ...BLANK, word: 'Removed', detail: 'it is no longer on the server', actions: ['remove'] };
    default:
      return { ...BLANK, tone: 'bad', word: 'Refused', detail: reason, actions: ['remove'] };
  }
}

/**
 * @param {Upload} upload
 * @param {string} safe
 * @returns {Description}
 */
function unfinished(upload, safe) {
  const oneClick = upload.local?.oneClick === true;
  return {
    ...progressOf(upload),
    tone: 'waiting',
    word: 'Unfinished',
    detail: oneClick ? safe : `${safe}; pick the file again to continue`,
    actions: [oneClick ? 'continue' : 'pick', 'remove'],
  };
}

/** @param {Upload} upload */
function progressOf(upload) {
  const done = percent(upload.stored, upload.total);
  return { ...BLANK, bar: true, busy: done === null, percent: done === null ? '' : `${done} %` };
}

/** @param {Upload} upload */
function progressText(upload) {
  const stored = formatBytes(upload.stored);
  return upload.total === null ? stored : `${stored} of ${formatBytes(upload.total)}`;
}

/** @param {Upload} upload */
function safeText(upload) {
  return upload.stored > 0 ? `${progressText(upload)} is safe` : 'nothing is stored yet';
}

/**
 * A sentence of somebody else as part of one of ours.
 * @param {string} sentence
 */
function clause(sentence) {
  return sentence.replace(/[.\s]+$/, '').replace(/^[A-Z](?=[a-z ])/, (first) => first.toLowerCase());
}

/**
 * What is asked before an upload is ended or a file removed.
 * @param {Upload} upload
 */
export function removalQuestion(upload) {
  const name = showName(upload.name);
  if (upload.state === 'receiving') {
    return { title: 'Cancel this upload?', text: `What has arrived of ${name} is deleted.`, yes: 'Cancel the upload' };
  }
  return { title: 'Remove this file?', text: `${name} is deleted for everybody. This cannot be undone.`, yes: 'Remove the file' };
}

/** @typedef {{tone: Description['tone'], text: string, percent: string, bar: boolean}} JobDescription */

/**
 * @param {Job} job
 * @returns {JobDescription}
 */
export function describeJob(job) {
  const [thing, happening] = JOB_KINDS[job.kind] ?? [job.kind, job.kind];
  const done = percent(job.done, job.total);
  const count = job.unit === 'bytes' ? formatBytes(job.done) : `${formatCount(job.done)} ${job.unit}`;
  const progress = done === null ? (job.done > 0 ? count : '') : `${done} %`;
  if (job.state === 'queued') return { tone: 'waiting', text: `${thing} queued`, percent: '', bar: true };
  if (job.state === 'running') {
    const left = job.etaMs ? `${formatDuration(job.etaMs)} left` : '';
    return { tone: 'moving', text: joined([happening, job.step, left]), percent: progress, bar: true };
  }
  const tone = job.state === 'done' ? 'good' : job.state === 'cancelled' ? 'quiet' : 'bad';
  return { tone, text: joined([`${thing} ${JOB_ENDS[job.state] ?? job.state}`, job.message]), percent: '', bar: false };
}

/** @param {string} kind */
export function jobKind(kind) {
  return (JOB_KINDS[kind] ?? [kind])[0];
}

/** @param {string[]} parts */
function joined(parts) {
  return parts.filter(Boolean).join(' · ');
}

/**
 * What a live `upload:` topic says, in the words of a page.
 * @param {LiveData} data
 * @returns {Partial<Upload>}
 */
export function uploadFromLive(data) {
  /** @type {Partial<Upload>} */
  const upload = { rate: data.rate ?? null, etaMs: data.eta_ms ?? null, step: data.step ?? '', message: data.message ?? '' };
  if (data.status) upload.state = data.status;
  if (data.name) upload.name = data.name;
  if (typeof data.done === 'number') upload.stored = data.done;
  if (data.total !== undefined) upload.total = data.total;
  if (data.checksum) upload.sha256 = data.checksum;
  if (data.media_type) upload.mediaType = data.media_type;
  return upload;
}

/**
 * @param {UploadJson} json
 * @returns {Upload}
 */
export function uploadFromJson(json) {
  return {
    id: json.id,
    name: json.name,
    state: json.state,
    stored: json.stored_bytes,
    total: json.total_bytes,
    rate: null,
    etaMs: null,
    sha256: json.sha256 ?? '',
    mediaType: json.media_type ?? '',
    message: '',
    step: '',
    createdAt: json.created_at,
    local: null,
  };
}

/**
 * @param {string} id
 * @param {LiveData} data
 * @returns {Job}
 */
export function jobFromLive(id, data) {
  return {
    id,
    kind: data.kind ?? '',
    state: data.status ?? 'queued',
    step: data.step ?? '',
    done: data.done ?? 0,
    total: data.total ?? null,
    unit: data.unit ?? '',
    etaMs: data.eta_ms ?? null,
    message: data.message ?? '',
  };
}
