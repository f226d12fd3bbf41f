// One tab at a time sends an upload: two would take it from each other piece by piece.
//
// Uses the browser's locks, which a closing tab cannot leave behind. Where there are none (pages
// not served securely) every tab may send; the server then keeps order. Never waits unless asked.

/** @param {string} keyUrl */
function lockName(keyUrl) {
  return `slipway.upload.${new URL(keyUrl, document.baseURI).pathname}`;
}

/**
 * Takes the right to send an upload.
 * @param {string} keyUrl
 * @returns {Promise<(() => void) | null>} gives the right back; null when another tab has it
 */
export function holdUpload(keyUrl) {
  if (!navigator.locks) return Promise.resolve(() => {});
  return new Promise((resolve) => {
    void navigator.locks.request(lockName(keyUrl), { ifAvailable: true }, (lock) => {
      if (lock === null) return resolve(null);
      return new Promise((release) => resolve(() => release(undefined)));
    });
  });
}

/**
 * Resolves once no tab sends this upload.
 * @param {string} keyUrl
 */
export async function whenUploadIsFree(keyUrl) {
  await navigator.locks?.request(lockName(keyUrl), () => {});
}

/**
 * Whether some tab of this browser sends the upload at this moment.
 * @param {string} keyUrl
 */
export async function isHeld(keyUrl) {
  const name = lockName(keyUrl);
  const { held = [] } = (await navigator.locks?.query()) ?? {};
  return held.some((lock) => lock.name === name);
}
