// Who this page was served for, told with its requests.
//
// Another tab of the same browser may sign in as somebody else; what waits in this one is then not
// sent in that account's name, but waits until its owner is back.

/** @returns {Record<string, string>} */
export function viewerHeader() {
  const viewer = globalThis.document?.body.dataset.viewer;
  return viewer ? { 'Slipway-Viewer': viewer } : {};
}
