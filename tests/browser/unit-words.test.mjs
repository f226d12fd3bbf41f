// What is said about an upload in each of its states.

import assert from 'node:assert/strict';
import { test } from 'node:test';
import { describe as say, describeJob, jobFromLive, removalQuestion, uploadFromLive } from '../../crates/web/assets/words.js';

const MIB = 1024 * 1024;
const upload = (facts) => ({
  id: 'u', name: 'a.csv', state: 'receiving', stored: 412 * MIB, total: 2048 * MIB, rate: null, etaMs: null, sha256: '', mediaType: '', message: '',
  step: '', createdAt: '', local: null, ...facts,
});
const local = (phase, more = {}) => ({ local: { phase, reason: '', ...more } });

test('an upload on its way is told by bytes stored, rate and time left', () => {
  const said = say(upload({ rate: 12 * MIB, etaMs: 120_000 }));

  assert.equal(said.detail, '412 MiB of 2.0 GiB stored');
  assert.deepEqual([said.rate, said.left, said.percent, said.bar, said.busy], ['12.0 MiB/s', '2 min left', '20 %', true, false]);
});

test('an unknown total shows what is stored and claims no end', () => {
  const said = say(upload({ total: null }));

  assert.deepEqual([said.detail, said.percent, said.busy], ['412 MiB stored', '', true]);
});

test('whatever interrupts an upload, the person reads that the bytes are safe', () => {
  for (const phase of ['paused', 'offline', 'retrying', 'elsewhere', 'unfinished']) {
    assert.match(say(upload(local(phase, { reason: 'Busy.' }))).detail, /412 MiB of 2.0 GiB is safe/, phase);
  }
  assert.equal(say(upload(local('retrying', { reason: 'The server answered 503.' }))).detail, 'the server answered 503; 412 MiB of 2.0 GiB is safe');
});

test('buttons fit the state', () => {
  const cases = [
    [{}, ['remove']], [local('sending'), ['pause', 'remove']], [local('paused'), ['continue', 'remove']],
    [local('unfinished'), ['pick', 'remove']], [local('unfinished', { oneClick: true }), ['continue', 'remove']],
    [{ state: 'stored' }, ['download', 'remove']], [{ state: 'verifying' }, []], [{ state: 'failed' }, ['remove']],
  ];

  for (const [facts, actions] of cases) assert.deepEqual(say(upload(facts)).actions, actions, JSON.stringify(facts));
});

test('before anything is lost, the question says what', () => {
  assert.equal(removalQuestion(upload({})).title, 'Cancel this upload?');
  assert.equal(removalQuestion(upload({ state: 'stored', name: 'a\u202eb' })).text, 'a\ufffdb is deleted for everybody. This cannot be undone.');
});

test('what the server has finished outweighs what this tab was doing', () => {
  assert.equal(say(upload({ state: 'stored', ...local('retrying') })).word, 'Stored');
});

test('a job is told by its step and its share, and by its end', () => {
  const running = jobFromLive('j', { kind: 'inspect', status: 'running', step: 'reading', done: 5, total: 10, unit: 'bytes', eta_ms: 42_000 });
  const failed = jobFromLive('j', { kind: 'inspect', status: 'failed', message: 'cut short' });

  assert.deepEqual(describeJob(running), { tone: 'moving', text: 'Inspecting · reading · 40 s left', percent: '50 %', bar: true });
  assert.deepEqual(describeJob(failed), { tone: 'bad', text: 'Inspection failed · cut short', percent: '', bar: false });
});

test('a topic that says nothing of a field does not erase it', () => {
  assert.deepEqual(uploadFromLive({ rate: 3 }), { rate: 3, etaMs: null, step: '', message: '' });
});
