// The rules of the live protocol, first one by one, then against a model of a hostile network.

import assert from 'node:assert/strict';
import { test } from 'node:test';
import { LiveState, verdictOfClose } from '../../crates/web/assets/live-state.js';

const TOPIC = 'upload:1';

/** A state that follows one topic and has its first snapshot. */
function following(data = { status: 'receiving', done: 5 }, s = 5) {
  const state = new LiveState();
  const [sub] = state.follow(TOPIC);
  state.receive([{ t: 'ok', id: sub.id, topic: TOPIC, e: 'a', s, recovered: false }, { t: 'snap', topic: TOPIC, e: 'a', s, d: data, why: 'new' }]);
  return state;
}

const dataOf = (state) => state.topics.get(TOPIC).data;

test('following twice asks once', () => {
  const state = new LiveState();

  assert.equal(state.follow(TOPIC).length, 1);
  assert.equal(state.follow(TOPIC).length, 0);
});

test('an update is applied when it joins what is known', () => {
  const state = following();

  const out = state.receive({ t: 'up', topic: TOPIC, p: 3, s: 8, d: { done: 8 } });

  assert.deepEqual(dataOf(state), { status: 'receiving', done: 8 });
  assert.equal(out.changes.length, 1);
});

test('a duplicate or an old update changes nothing', () => {
  const state = following();

  for (const s of [5, 4]) assert.deepEqual(state.receive({ t: 'up', topic: TOPIC, p: 1, s, d: { done: 1 } }).changes, []);
  assert.equal(dataOf(state).done, 5);
});

test('a gap is answered by asking again from the known position, once', () => {
  const state = following();

  const first = state.receive({ t: 'up', topic: TOPIC, p: 7, s: 9, d: { done: 9 } });
  const second = state.receive({ t: 'up', topic: TOPIC, p: 9, s: 10, d: { done: 10 } });

  assert.deepEqual(first.send[0].since, { e: 'a', s: 5 });
  assert.deepEqual(second.send, []);
  assert.equal(dataOf(state).done, 5);
});

test('a late snapshot does not turn time back, a reset does', () => {
  const state = following();

  state.receive({ t: 'snap', topic: TOPIC, e: 'a', s: 2, d: { done: 2 }, why: 'behind' });
  assert.equal(dataOf(state).done, 5);
  state.receive({ t: 'snap', topic: TOPIC, e: 'a', s: 2, d: { done: 2 }, why: 'reset' });
  assert.equal(dataOf(state).done, 2);
});

test('an end is final within an epoch, and a new epoch begins anew', () => {
  const state = following({ status: 'stored', done: 5 });

  state.receive({ t: 'up', topic: TOPIC, p: 5, s: 6, d: { status: 'receiving', jobs: ['j'] } });
  assert.deepEqual(dataOf(state), { status: 'stored', done: 5, jobs: ['j'] });
  state.receive({ t: 'snap', topic: TOPIC, e: 'b', s: 1, d: { status: 'receiving' }, why: 'reset' });
  assert.deepEqual(dataOf(state), { status: 'receiving' });
});

test('a reconnect asks for every topic from where it is', () => {
  const state = following();
  state.follow('account:x');

  const subs = state.opened();

  assert.deepEqual(subs.map(({ topic, since }) => [topic, since]), [[TOPIC, { e: 'a', s: 5 }], ['account:x', undefined]]);
});

test('when positions are refused the next connection asks for full state', () => {
  const state = following();

  state.forgetPositions();

  assert.equal(state.opened()[0].since, undefined);
});

test('unknown frames, topics and nonsense are ignored', () => {
  const state = following();

  const out = state.receive([null, 7, { t: 'news' }, { t: 'up', topic: 'job:?', p: 0, s: 1, d: {} }, { t: 'hb' }]);

  assert.deepEqual(out.changes, []);
  assert.deepEqual(state.receive('text').send, []);
});

test('a heartbeat is answered with what is known, and what was lost is asked for again', () => {
  const state = following();

  assert.deepEqual(state.receive({ t: 'hb', pos: { [TOPIC]: 5 } }).send, [{ t: 'ack', pos: { [TOPIC]: 5 } }]);
  const [sub, ack] = state.receive({ t: 'hb', pos: { [TOPIC]: 7, 'job:?': 3 } }).send;

  assert.deepEqual([sub.t, sub.since], ['sub', { e: 'a', s: 5 }]);
  assert.deepEqual(ack, { t: 'ack', pos: { [TOPIC]: 5 } });
});

test('a topic that is gone is told once', () => {
  const state = following();

  const out = state.receive([{ t: 'gone', topic: TOPIC, reason: 'deleted' }, { t: 'gone', topic: TOPIC, reason: 'deleted' }]);

  assert.deepEqual(out.changes, [{ topic: TOPIC, data: null, reason: 'deleted' }]);
  assert.deepEqual(state.opened(), []);
});

test('a refused subscription is tried later or given up, as the server says', () => {
  const state = new LiveState();
  const [first] = state.follow('job:1');
  const [second] = state.follow('job:2');

  const out = state.receive([
    { t: 'err', id: first.id, code: 'busy', msg: '', retry: true, after_ms: 700 },
    { t: 'err', id: second.id, code: 'forbidden', msg: '', retry: false, after_ms: 0 },
  ]);

  assert.deepEqual(out.later, [{ topic: 'job:1', afterMs: 700 }]);
  assert.deepEqual(out.changes, [{ topic: 'job:2', data: null, reason: 'forbidden' }]);
  assert.equal(state.askAgain('job:1').length, 1);
  assert.equal(state.askAgain('job:2').length, 0);
});

test('close codes carry their verdict', () => {
  const cases = [
    [1001, 'spread'], [1012, 'spread'], [1002, 'once'], [1009, 'once'], [1008, 'stop'], [4503, 'stop'], [4599, 'stop'],
    [4001, 'sign-in'], [1006, 'retry'], [1011, 'retry'], [4008, 'retry'], [4450, 'retry'],
  ];

  for (const [code, action] of cases) assert.equal(verdictOfClose(code).action, action, String(code));
  assert.equal(verdictOfClose(4000).forget, true);
  assert.ok(verdictOfClose(1013).baseMs >= 10_000);
});

/** Repeatable chance: a small linear congruential generator. */
function chance(seed) {
  let x = seed >>> 0;
  return () => {
    x = (Math.imul(x, 1664525) + 1013904223) >>> 0;
    return x / 2 ** 32;
  };
}

/** A server with one topic: every state it ever had, and frames between any two of them. */
class Model {
  constructor() {
    this.epoch = 0;
    this.restart();
  }

  restart() {
    this.epoch += 1;
    this.states = [{ status: 'receiving', done: 0, rate: null }];
  }

  get s() { return this.states.length - 1; }

  step(random) {
    const state = { ...this.states[this.s], done: this.states[this.s].done + 1 };
    if (random() < 0.3) state.rate = Math.floor(random() * 100);
    this.states.push(state);
  }

  up(p, s) {
    const d = {};
    for (let i = p + 1; i <= s; i += 1) {
      for (const key of Object.keys(this.states[i])) if (this.states[i][key] !== this.states[i - 1][key]) d[key] = this.states[s][key];
    }
    return { t: 'up', topic: TOPIC, p, s, d };
  }

  answer(sub) {
    const ok = { t: 'ok', id: sub.id, topic: TOPIC, e: String(this.epoch), s: this.s };
    if (sub.since?.e === String(this.epoch) && sub.since.s <= this.s) {
      return [{ ...ok, recovered: true }, ...(sub.since.s < this.s ? [this.up(sub.since.s, this.s)] : [])];
    }
    return [{ ...ok, recovered: false }, { t: 'snap', topic: TOPIC, e: String(this.epoch), s: this.s, d: this.states[this.s], why: sub.since ? 'reset' : 'new' }];
  }
}

test('a page hears when the server cannot read anything newer, and when it can again', () => {
  const client = new LiveState();
  client.follow(TOPIC);
  assert.equal(client.receive({ t: 'hb', pos: {} }).stale, undefined);
  assert.equal(client.receive({ t: 'hb', pos: {}, stale: true }).stale, true);
  assert.equal(client.receive([{ t: 'hb', pos: {}, stale: false }]).stale, false);
});

test('over a network that loses, doubles and reorders, what is shown was true, and ends as the truth', () => {
  for (let seed = 1; seed <= 300; seed += 1) {
    const random = chance(seed);
    const model = new Model();
    const client = new LiveState();
    let line = client.follow(TOPIC).flatMap((sub) => model.answer(sub));
    for (let turn = 0; turn < 120; turn += 1) {
      const before = model.s;
      model.step(random);
      if (random() < 0.5) model.step(random);
      if (random() < 0.02) model.restart();
      else line.push(model.up(Math.max(0, before - Math.floor(random() * 3)), model.s));
      if (random() < 0.03) line = client.opened().flatMap((sub) => model.answer(sub));
      if (random() < 0.2) line.splice(Math.floor(random() * line.length), 1);
      if (random() < 0.2) line.push(...line.slice(0, 1));
      if (random() < 0.2) line.reverse();
      while (line.length > 0 && random() < 0.8) {
        const { send } = client.receive(line.shift());
        line.push(...send.flatMap((sub) => model.answer(sub)));
        const known = client.topics.get(TOPIC);
        // Old epochs cannot be checked against the model, which has forgotten them.
        if (known.e === String(model.epoch) && known.s <= model.s) assert.deepEqual(known.data, model.states[known.s], `seed ${seed}`);
      }
    }
    for (const frame of client.opened().flatMap((sub) => model.answer(sub))) client.receive(frame);
    assert.deepEqual(client.topics.get(TOPIC).data, model.states[model.s], `seed ${seed}`);
  }
});
