// Live frames by requests that wait: what is asked, in which order, and what ends it.

import assert from 'node:assert/strict';
import { test } from 'node:test';
import { LivePoll } from '../../crates/web/assets/live-poll.js';

/** A server whose answers are given by hand. */
class Server {
  constructor() {
    /** @type {{topic: string, since: string | null, wait: string, answer: Function, signal: AbortSignal}[]} */
    this.asked = [];
    this.heard = [];
    this.answered = 0;
    this.failed = [];
    this.clock = 0;
    this.poll = new LivePoll({
      heard: (frame) => this.heard.push(frame),
      answered: () => { this.answered += 1; },
      failed: (status) => this.failed.push(status),
      now: () => this.clock,
      pause: async (ms) => { this.clock += ms; },
      ask: (url, { signal }) => new Promise((resolve, reject) => {
        const { pathname, searchParams } = new URL(url, 'http://x');
        signal.addEventListener('abort', () => reject(new Error('aborted')));
        const answer = (status, frame, tag = '') => resolve({ status, json: async () => frame, headers: new Headers({ ETag: `"${tag}"` }) });
        this.asked.push({
          topic: pathname.split('/').at(-1), since: searchParams.get('since'), wait: searchParams.get('wait'), answer,
          fail: () => reject(new TypeError('network')), signal,
        });
      }),
    });
  }

  /** Lets everything that can go on without an answer go on. */
  async settle() {
    for (let turn = 0; turn < 20; turn += 1) await null;
  }
}

const sub = (topic, since) => ({ t: 'sub', id: 1, topic, since });
const snap = (topic, s) => ({ t: 'snap', topic, e: 'a', s, d: {} });

test('each answer leads to the next question', async () => {
  const server = new Server();
  server.poll.take([sub('job:1')]);
  assert.deepEqual([server.asked[0].topic, server.asked[0].since, server.asked[0].wait], ['job:1', null, '25']);

  server.asked[0].answer(200, snap('job:1', 3), 'a:3');
  await server.settle();
  assert.equal(server.asked[1].since, 'a:3');
  server.asked[1].answer(304);
  await server.settle();

  assert.equal(server.asked[2].since, 'a:3');
  assert.deepEqual(server.heard, [snap('job:1', 3)]);
  assert.equal(server.answered, 1);
  server.poll.end();
});

test('many topics take turns on two requests, and none is asked again at once', async () => {
  const server = new Server();
  server.poll.take(['a:1', 'a:2', 'a:3', 'a:4', 'a:5'].map((topic) => sub(topic)));

  for (let turn = 0; turn < 20; turn += 1) {
    assert.ok(server.asked.length - turn <= 2, 'more than two under way');
    server.clock += 100;
    server.asked[turn].answer(304);
    await server.settle();
  }

  const order = server.asked.slice(0, 20).map(({ topic }) => topic);
  for (const topic of new Set(order)) assert.equal(order.filter((each) => each === topic).length, 4, topic);
  assert.ok(server.asked.slice(2).every(({ wait }) => wait === '1'));
  server.poll.end();
});

test('one topic that never stops is asked twice a second at most', async () => {
  const server = new Server();
  server.poll.take([sub('a:1')]);

  for (let turn = 0; turn < 10; turn += 1) {
    server.asked[turn].answer(200, snap('a:1', turn), `a:${turn}`);
    await server.settle();
  }

  assert.ok(server.clock >= 9 * 500, String(server.clock));
  server.poll.end();
});

test('a tab that knows less is asked for at once', async () => {
  const server = new Server();
  server.poll.take([sub('a:1', { e: 'a', s: 9 })]);

  server.poll.take([sub('a:1', { e: 'a', s: 4 })]);
  await server.settle();

  assert.equal(server.asked[0].signal.aborted, true);
  assert.equal(server.asked.at(-1).since, 'a:4');
  assert.deepEqual(server.failed, []);
  server.poll.end();
});

test('what is left or gone is not asked for any more', async () => {
  const server = new Server();
  server.poll.take([sub('a:1'), sub('a:2')]);

  server.poll.take([{ t: 'unsub', id: 2, topic: 'a:1' }]);
  server.asked[1].answer(404);
  await server.settle();

  assert.equal(server.asked[0].signal.aborted, true);
  assert.deepEqual(server.heard, [{ t: 'gone', topic: 'a:2', reason: 'deleted' }]);
  assert.equal(server.asked.length, 2);
  server.poll.take([sub('a:3')]);
  assert.equal(server.asked.length, 3, 'and it goes on with what comes later');
  server.poll.end();
});

for (const [what, fail, status] of [
  ['a refusal', (asked) => asked.answer(401), 401], ['a busy server', (asked) => asked.answer(503), 503], ['a lost network', (asked) => asked.fail(), 0],
]) {
  test(`${what} ends it and is told once`, async () => {
    const server = new Server();
    server.poll.take([sub('a:1'), sub('a:2')]);

    fail(server.asked[0]);
    await server.settle();

    assert.deepEqual(server.failed, [status]);
    assert.equal(server.asked[1].signal.aborted, true);
    assert.equal(server.asked.length, 2);
  });
}
