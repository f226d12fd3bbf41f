// The shapes that modules hand to each other, for the type checker; nothing here runs.

/** @typedef {'receiving' | 'verifying' | 'stored' | 'failed' | 'expired'} UploadState */
/** @typedef {'queued' | 'running' | 'done' | 'refused' | 'failed' | 'cancelled'} JobState */

/**
 * What a page knows of one upload, whoever told it last.
 * @typedef {object} Upload
 * @property {string} id empty until the server has given one
 * @property {string} name
 * @property {UploadState} state
 * @property {number} stored bytes the server has acknowledged or announced, never bytes sent
 * @property {number | null} total
 * @property {number | null} rate bytes per second
 * @property {number | null} etaMs
 * @property {string} sha256
 * @property {string} mediaType empty while nobody has said or found one
 * @property {string} message
 * @property {string} step
 * @property {string} createdAt RFC 3339
 * @property {Local | null} local what this browser does or could do about it
 */

/**
 * @typedef {'waiting' | 'starting' | 'sending' | 'paused' | 'offline' | 'retrying' | 'elsewhere' | 'signed-out'
 *   | 'refused' | 'gone' | 'unfinished'} LocalPhase
 * @typedef {{phase: LocalPhase, reason: string, oneClick?: boolean}} Local
 *   `oneClick`: an unfinished upload whose file can be opened again without picking it
 */

/**
 * @typedef {object} Job
 * @property {string} id
 * @property {string} kind
 * @property {JobState} state
 * @property {string} step
 * @property {number} done
 * @property {number | null} total
 * @property {string} unit
 * @property {number | null} etaMs
 * @property {string} message
 */

/**
 * An upload as the HTTP interface gives it; fields the pages do not use are left out.
 * @typedef {object} UploadJson
 * @property {string} id
 * @property {string} name
 * @property {number | null} total_bytes
 * @property {number} stored_bytes
 * @property {UploadState} state
 * @property {string | null} sha256
 * @property {string | null} media_type
 * @property {string} created_at
 * @property {string} [key_url]
 * @property {{id: string, name: string, created_at: string}} [duplicate_of]
 */

/** @typedef {{uploads: UploadJson[], next_cursor: string | null}} UploadListJson */

/** @typedef {Record<string, any>} LiveData state of a topic: a JSON object whose fields the topic's kind defines */

export {};
