// How the line to the server is kept: when it is opened, given up, and replaced by requests.

import assert from 'node:assert/strict';
import { afterEach, beforeEach, mock, test } from 'node:test';

/** Sockets that were opened, newest last. */
let sockets;
/** Requests that were made instead. */
let requests;
let line;
let seen;

class FakeSocket extends EventTarget {
  static OPEN = 1;

  constructor() {
    super();
    this.readyState = 0;
    this.sent = [];
    sockets.push(this);
  }

  open() {
    this.readyState = 1;
    this.dispatchEvent(new Event('open'));
    this.say({ t: 'hello', reconnect: { base_ms: 500, max_ms: 30_000 } });
  }

  say(frame) { this.dispatchEvent(Object.assign(new Event('message'), { data: JSON.stringify(frame) })); }

  break(code = 1006) {
    this.readyState = 3;
    this.dispatchEvent(Object.assign(new Event('close'), { code }));
  }

  send(text) { this.sent.push(JSON.parse(text)); }

  close() { this.readyState = 3; }
}

Object.assign(globalThis, {
  document: Object.assign(new EventTarget(), { hidden: false, baseURI: 'http://here/' }),
  window: Object.assign(new EventTarget(), { setTimeout: (...rest) => setTimeout(...rest) }),
  WebSocket: FakeSocket,
});
const { LiveLine } = await import('../../crates/web/assets/live-line.js');

beforeEach(() => {
  mock.timers.enable({ apis: ['setTimeout', 'setInterval', 'Date'], now: 1_000_000 });
  sockets = [];
  requests = [];
  seen = { statuses: [], opened: 0, heard: [], forgot: 0 };
  globalThis.fetch = (url, { signal }) => new Promise((resolve, reject) => {
    signal.addEventListener('abort', () => reject(new Error('aborted')));
    requests.push({ url, signal, answer: (status) => resolve({ status, headers: new Headers(), json: async () => ({}) }) });
  });
  document.hidden = false;
  line = new LiveLine({
    url: '/live',
    signedIn: async () => true,
    events: {
      opened: () => { seen.opened += 1; line.send([{ t: 'sub', id: 1, topic: 'job:1' }]); },
      heard: (message) => seen.heard.push(message),
      forget: () => { seen.forgot += 1; },
      status: (status) => seen.statuses.push(status),
    },
  });
  line.start();
});

afterEach(() => {
  line.stop();
  mock.timers.reset();
});

const settle = async () => { for (let turn = 0; turn < 20; turn += 1) await null; };
const show = (hidden) => {
  document.hidden = hidden;
  document.dispatchEvent(new Event('visibilitychange'));
};

test('an open socket asks for everything and says what it hears', () => {
  sockets[0].open();
  sockets[0].say([{ t: 'up' }]);

  assert.deepEqual(seen.statuses, ['connecting', 'live']);
  assert.deepEqual([seen.opened, sockets[0].sent], [1, [{ t: 'sub', id: 1, topic: 'job:1' }]]);
  assert.deepEqual(seen.heard.at(-1), [{ t: 'up' }]);
});

test('waits grow with every failure, by chance and never beyond the cap', (context) => {
  context.mock.method(Math, 'random', () => 1);
  const waits = [];

  for (let failure = 0; failure < 9; failure += 1) {
    sockets.at(-1).open();
    sockets.at(-1).break(1011);
    const [before, began] = [sockets.length, Date.now()];
    while (sockets.length === before) mock.timers.tick(100);
    waits.push(Date.now() - began);
  }

  assert.deepEqual(waits, [500, 1000, 2000, 4000, 8000, 16_000, 30_000, 30_000, 30_000]);
});

test('nobody reconnects while nobody looks, and at once when somebody does', () => {
  sockets[0].open();
  show(true);
  sockets[0].break();
  mock.timers.tick(600_000);
  assert.equal(sockets.length, 1);

  show(false);
  mock.timers.tick(400);

  assert.equal(sockets.length, 2);
});

test('sockets that are refused twice are replaced by requests, until one opens', async (context) => {
  context.mock.method(Math, 'random', () => 1);
  sockets[0].break();
  mock.timers.tick(500);
  sockets[1].break();
  assert.equal(requests.length, 1);
  requests[0].answer(304);
  await settle();
  assert.equal(seen.statuses.at(-1), 'live');

  mock.timers.tick(30_000);
  assert.equal(sockets.length, 3, 'a socket is tried again');
  assert.equal(seen.statuses.at(-1), 'live', 'and nobody notices');
  sockets[2].break();
  mock.timers.tick(30_000);
  sockets[3].open();
  await settle();

  assert.ok(requests.every(({ signal }) => signal.aborted || signal === requests[0].signal));
  assert.deepEqual(sockets[3].sent, [{ t: 'sub', id: 1, topic: 'job:1' }]);
});

test('a handshake that is swallowed counts as refused', () => {
  mock.timers.tick(10_000);
  assert.equal(sockets[0].readyState, 3);
  mock.timers.tick(500);
  mock.timers.tick(10_000);

  assert.equal(sockets.length, 2);
  assert.equal(requests.length, 1);
});

test('requests that fail too leave it to the next try', async () => {
  sockets[0].break();
  mock.timers.tick(500);
  sockets[1].break();
  requests[0].answer(503);
  await settle();

  assert.equal(seen.statuses.at(-1), 'waiting');
  mock.timers.tick(30_000);
  assert.equal(sockets.length, 3);
});

test('requests stop while nobody looks', async () => {
  sockets[0].break();
  mock.timers.tick(500);
  sockets[1].break();
  show(true);

  assert.equal(requests[0].signal.aborted, true);
  mock.timers.tick(600_000);
  assert.equal(sockets.length, 2);
  show(false);
  mock.timers.tick(400);
  assert.equal(sockets.length, 3);
});

test('whoever is signed out is told so, by either way', async () => {
  sockets[0].open();
  sockets[0].break(4001);
  assert.equal(seen.statuses.at(-1), 'signed-out');
  mock.timers.tick(600_000);
  assert.equal(sockets.length, 1);

  window.dispatchEvent(new Event('online'));
  await settle();
  assert.equal(sockets.length, 2, 'somebody has signed in again');
  sockets[1].break();
  mock.timers.tick(1000);
  sockets[2].break();
  requests[0].answer(401);
  await settle();

  assert.equal(seen.statuses.at(-1), 'signed-out');
});

test('a server that leaves is left within the time it gives', () => {
  sockets[0].open();
  sockets[0].say({ t: 'drain', within_ms: 8000 });

  mock.timers.tick(8000);

  assert.equal(sockets[0].readyState, 3);
  assert.equal(sockets.length, 2);
});

test('a lost network is noticed and its return used', () => {
  sockets[0].open();
  window.dispatchEvent(new Event('offline'));
  assert.deepEqual([sockets[0].readyState, seen.statuses.at(-1)], [3, 'waiting']);

  window.dispatchEvent(new Event('online'));
  mock.timers.tick(400);

  assert.equal(sockets.length, 2);
});

test('positions that are not believed are forgotten', () => {
  sockets[0].open();
  sockets[0].break(4000);

  assert.equal(seen.forgot, 1);
});

test('a line that is silent for a minute is dead', () => {
  sockets[0].open();
  mock.timers.tick(75_000);

  assert.equal(sockets[0].readyState, 3);
  mock.timers.tick(400);
  assert.equal(sockets.length, 2);
});

test('a line that is stopped stays so', () => {
  sockets[0].open();
  line.stop();

  window.dispatchEvent(new Event('online'));
  mock.timers.tick(600_000);

  assert.deepEqual([sockets.length, sockets[0].readyState], [1, 3]);
});
