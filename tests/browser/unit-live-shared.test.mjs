// What the tabs of one browser follow together.

import assert from 'node:assert/strict';
import { test } from 'node:test';
import { SharedTopics } from '../../crates/web/assets/live-shared.js';

const sub = (topic, id = 1) => ({ t: 'sub', id, topic });
const unsub = (topic, id = 2) => ({ t: 'unsub', id, topic });

test('a topic is left when the last tab leaves it', () => {
  const shared = new SharedTopics('own', 64);

  assert.deepEqual(shared.take('own', [sub('job:1')]), [sub('job:1')]);
  assert.deepEqual(shared.take('other', [sub('job:1', 9)]), [sub('job:1', 9)], 'asked for the tab that knows nothing yet');
  assert.deepEqual(shared.take('own', [unsub('job:1')]), []);
  assert.deepEqual(shared.take('other', [unsub('job:1')]), [unsub('job:1')]);
  assert.deepEqual(shared.take('other', [unsub('job:1')]), []);
});

test('a tab that goes leaves what nobody else follows', () => {
  const shared = new SharedTopics('own', 64);
  shared.take('own', [sub('a:1')]);
  shared.take('closed', [sub('a:1'), sub('a:2')]);
  shared.take('crashed', [sub('a:3')]);

  assert.deepEqual(shared.leave('closed').map(({ topic }) => topic), ['a:2']);
  assert.deepEqual(shared.keepOnly(new Set(['another'])).map(({ t, topic }) => [t, topic]), [['unsub', 'a:3']]);
  assert.deepEqual([...shared.topics.keys()], ['a:1']);
});

test('only the tab with the connection answers heartbeats', () => {
  const shared = new SharedTopics('own', 64);
  const ack = { t: 'ack', pos: {} };

  assert.deepEqual(shared.take('own', [ack]), [ack]);
  assert.deepEqual(shared.take('other', [ack]), []);
});

test('what does not fit on a connection waits for room', () => {
  const shared = new SharedTopics('own', 2);

  assert.equal(shared.take('own', [sub('a:1'), sub('a:2'), sub('a:3'), sub('a:4'), sub('a:5')]).length, 2);
  assert.deepEqual(shared.take('own', [unsub('a:4')]), [], 'it was never asked for');
  assert.deepEqual(shared.take('own', [unsub('a:1')]), [unsub('a:1'), sub('a:3')]);
  assert.deepEqual(shared.gone('a:2'), [sub('a:5')]);
  assert.deepEqual(shared.gone('a:2'), []);
});

test('a new connection begins with nothing', () => {
  const shared = new SharedTopics('own', 1);
  shared.take('own', [sub('a:1'), sub('a:2')]);

  shared.clear();

  assert.deepEqual(shared.take('own', [sub('a:2')]), [sub('a:2')]);
});
