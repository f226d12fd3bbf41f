// One upload against a scripted server: pieces, interruptions, refusals, pauses.

import assert from 'node:assert/strict';
import { test } from 'node:test';
import { PIECE_BYTES_MAX, PIECE_BYTES_MIN, TusUpload, nextPieceBytes } from '../../crates/web/assets/tus.js';

const MIB = 1024 * 1024;

/** A server of one upload. `faults` are consumed in order: a function answers instead of the server. */
class Server {
  constructor({ faults = [] } = {}) {
    this.bytes = 0;
    this.length = null;
    this.faults = faults;
    this.log = [];
    this.waits = [];
    this.clock = 0;
  }

  fetch = async (url, { method, headers, body, signal }) => {
    if (signal.aborted) throw signal.reason;
    this.log.push(`${method} ${headers['Upload-Offset'] ?? ''}`.trim());
    const fault = this.faults[0]?.method === method ? this.faults.shift() : null;
    if (fault) return fault.answer(this, body, signal);
    this.clock += 1000;
    if (method === 'POST') {
      this.length = Number(headers['Upload-Length']);
      this.metadata = headers['Upload-Metadata'];
      return new Response(null, { status: 201, headers: { Location: '/files/key' } });
    }
    if (method === 'HEAD') return new Response(null, { status: 200, headers: { 'Upload-Offset': String(this.bytes) } });
    if (method === 'DELETE') return new Response(null, { status: 204 });
    if (Number(headers['Upload-Offset']) !== this.bytes) return this.at(409);
    this.bytes += body.size;
    return this.at(204);
  };

  at(status) {
    return new Response(null, { status, headers: { 'Upload-Offset': String(this.bytes) } });
  }

  net() {
    return { fetch: this.fetch, online: () => true, now: () => this.clock, wait: async (ms) => { this.waits.push(ms); } };
  }
}

function upload(server, size, { keyUrl = null } = {}) {
  const seen = { created: [], stored: [], phases: [] };
  const file = new File([new Uint8Array(size)], 'naïve 🚢.csv', { type: 'text/csv' });
  const transfer = new TusUpload(file, {
    endpoint: '/files/',
    keyUrl,
    net: server.net(),
    onCreated: (url) => seen.created.push(url),
    onStored: (stored) => seen.stored.push(stored),
    onPhase: (phase, reason) => seen.phases.push(reason ? `${phase}: ${reason}` : phase),
  });
  return { transfer, seen };
}

const fails = (method) => ({ method, answer: () => { throw new TypeError('Failed to fetch'); } });
const answers = (method, status, body = null, headers = {}) => ({
  method,
  answer: () => new Response(body && JSON.stringify(body), { status, headers }),
});

test('a file goes up in pieces and only acknowledged bytes count', async () => {
  const server = new Server();
  const { transfer, seen } = upload(server, 10 * MIB);

  const result = await transfer.run();

  assert.equal(result.outcome, 'complete');
  assert.deepEqual(server.log, ['POST', 'PATCH 0', `PATCH ${4 * MIB}`]);
  assert.deepEqual(seen.stored, [0, 4 * MIB, 10 * MIB]);
  assert.deepEqual(seen.created, ['/files/key']);
  const [name, type] = server.metadata.split(',').map((pair) => Buffer.from(pair.split(' ')[1], 'base64').toString());
  assert.deepEqual([name, type], ['naïve 🚢.csv', 'text/csv']);
});

test('an empty file is complete once it is created', async () => {
  const server = new Server();

  assert.equal((await upload(server, 0).transfer.run()).outcome, 'complete');
  assert.deepEqual(server.log, ['POST']);
});

test('after a cut the server is asked and the upload goes on from what it kept', async () => {
  const keepsHalf = { method: 'PATCH', answer: (server, body) => { server.bytes += body.size / 2; throw new TypeError('Failed to fetch'); } };
  const server = new Server({ faults: [keepsHalf] });
  const { transfer, seen } = upload(server, 6 * MIB);

  await transfer.run();

  assert.deepEqual(server.log, ['POST', 'PATCH 0', 'HEAD', `PATCH ${2 * MIB}`]);
  assert.equal(server.bytes, 6 * MIB);
  assert.ok(seen.phases.includes('retrying: No connection to the server'));
});

test('it never gives up on the network, and waits longer but never more than the cap', async () => {
  const server = new Server({ faults: Array.from({ length: 40 }, () => fails('HEAD')) });
  const { transfer } = upload(server, MIB, { keyUrl: '/files/key' });

  assert.equal((await transfer.run()).outcome, 'complete');
  assert.equal(server.waits.length, 40);
  assert.ok(server.waits.every((ms) => ms <= 30_000));
});

test('a lost reply to the last piece is found out by asking', async () => {
  const lostReply = { method: 'PATCH', answer: (server, body) => { server.bytes += body.size; throw new TypeError('Failed to fetch'); } };
  const server = new Server({ faults: [lostReply] });

  assert.equal((await upload(server, MIB).transfer.run()).outcome, 'complete');
  assert.deepEqual(server.log, ['POST', 'PATCH 0', 'HEAD']);
});

test('a conflict and a short answer go on from the offset the server names', async () => {
  const conflict = { method: 'PATCH', answer: (server) => { server.bytes = MIB; return server.at(409); } };
  const short = { method: 'PATCH', answer: (server) => { server.bytes = 2 * MIB; return server.at(204); } };
  const server = new Server({ faults: [conflict, short] });

  assert.equal((await upload(server, 3 * MIB).transfer.run()).outcome, 'complete');
  assert.deepEqual(server.log, ['POST', 'PATCH 0', `PATCH ${MIB}`, `PATCH ${2 * MIB}`]);
});

test('answers that mean later are retried, with the wait the server names', async () => {
  for (const status of [408, 423, 425, 429, 500, 503]) {
    const server = new Server({ faults: [answers('PATCH', status, { detail: 'Busy.' }, { 'Retry-After': '7' })] });
    const { transfer, seen } = upload(server, MIB);

    assert.equal((await transfer.run()).outcome, 'complete', String(status));
    assert.ok(server.waits[0] >= 7000);
    assert.ok(seen.phases.includes('retrying: Busy.'));
  }
});

test('answers that mean never end it with the reason', async () => {
  const cases = [['POST', 413, 'refused'], ['POST', 401, 'signed-out'], ['PATCH', 403, 'refused'], ['PATCH', 410, 'gone'], ['PATCH', 404, 'gone']];
  for (const [method, status, outcome] of cases) {
    const server = new Server({ faults: [answers(method, status, { title: 'T', detail: 'Because.' })] });

    assert.deepEqual(await upload(server, MIB).transfer.run(), { outcome, reason: 'Because.' });
  }
});

test('a page of a proxy is not shown as a reason', async () => {
  const server = new Server({ faults: [{ method: 'POST', answer: () => new Response('<h1>no</h1>', { status: 400 }) }] });

  assert.deepEqual(await upload(server, MIB).transfer.run(), { outcome: 'refused', reason: 'The server answered 400' });
});

test('a pause keeps the place and a later run asks before it sends', async () => {
  const server = new Server();
  const { transfer } = upload(server, 10 * MIB);
  server.faults = [{
    method: 'PATCH',
    answer: (own, body, signal) => {
      own.bytes += MIB;
      transfer.pause();
      throw signal.reason;
    },
  }];

  assert.equal((await transfer.run()).outcome, 'paused');
  assert.equal((await transfer.run()).outcome, 'complete');
  assert.deepEqual(server.log.slice(0, 4), ['POST', 'PATCH 0', 'HEAD', `PATCH ${MIB}`]);
});

test('cancelling tells the server, also when it first does not hear', async () => {
  const server = new Server({ faults: [fails('DELETE')] });

  await upload(server, MIB, { keyUrl: '/files/key' }).transfer.cancel();

  assert.deepEqual(server.log, ['DELETE', 'DELETE']);
});

test('a server that holds more than the file has is not believed', async () => {
  const server = new Server();
  server.bytes = 2 * MIB;

  assert.equal((await upload(server, MIB, { keyUrl: '/files/key' }).transfer.run()).outcome, 'refused');
});

test('a file that cannot be read any more is not mistaken for a bad network', async () => {
  const server = new Server({ faults: [fails('PATCH')] });
  const { transfer } = upload(server, MIB);
  transfer.file.slice = () => ({ size: MIB, arrayBuffer: () => Promise.reject(new DOMException('gone', 'NotReadableError')) });

  const result = await transfer.run();

  assert.equal(result.outcome, 'refused');
  assert.match(result.reason, /changed, moved or deleted/);
});

test('pieces grow towards eight seconds each, within their bounds', () => {
  assert.equal(nextPieceBytes(PIECE_BYTES_MIN, 4 * MIB, 4), 8 * MIB);
  assert.equal(nextPieceBytes(PIECE_BYTES_MIN, 4 * MIB, 0.01), 16 * MIB);
  assert.equal(nextPieceBytes(PIECE_BYTES_MAX, 64 * MIB, 0), PIECE_BYTES_MAX);
  assert.equal(nextPieceBytes(32 * MIB, 32 * MIB, 200), PIECE_BYTES_MIN);
});
