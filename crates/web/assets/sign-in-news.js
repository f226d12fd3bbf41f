// Pages of one browser tell each other that somebody is signed in, so that a page that was turned
// away goes on by itself, also in a window that was in sight all the time.
//
// Says only that; who it is, the server knows.

const CHANNEL = 'slipway.signed-in';

/** A page that needs a sign-in was served. */
export function tellSignedIn() {
  const channel = new BroadcastChannel(CHANNEL);
  channel.postMessage(null);
  channel.close();
}

/**
 * @param {() => void} listener
 * @param {AbortSignal} [signal] ends it
 */
export function whenSignedIn(listener, signal) {
  const channel = new BroadcastChannel(CHANNEL);
  channel.addEventListener('message', listener);
  signal?.addEventListener('abort', () => channel.close());
}
