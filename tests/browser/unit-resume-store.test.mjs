// What a browser remembers of unfinished uploads.

import assert from 'node:assert/strict';
import { test } from 'node:test';
import { ResumeStore } from '../../crates/web/assets/resume-store.js';

const DAY_MS = 24 * 60 * 60 * 1000;

/** localStorage, as far as it is used. */
class Memory {
  map = new Map();
  get length() { return this.map.size; }
  key(index) { return [...this.map.keys()][index] ?? null; }
  getItem(key) { return this.map.get(key) ?? null; }
  setItem(key, value) { this.map.set(key, value); }
  removeItem(key) { this.map.delete(key); }
}

const file = (name, lastModified = 1) => new File(['abc'], name, { lastModified });

test('the same file finds its upload, another one does not', () => {
  const store = new ResumeStore('me', new Memory());
  store.remember(file('a.csv'), { keyUrl: '/files/k', id: 'u' });

  assert.equal(store.find(file('a.csv'))?.keyUrl, '/files/k');
  assert.equal(store.find(file('a.csv', 2)), null);
  assert.equal(store.find(file('b.csv')), null);
});

test('another account on the same browser sees nothing', () => {
  const memory = new Memory();
  new ResumeStore('me', memory).remember(file('a.csv'), { keyUrl: '/files/k', id: 'u' });

  assert.deepEqual(new ResumeStore('you', memory).list(), []);
});

test('a finished upload is forgotten', () => {
  const memory = new Memory();
  const store = new ResumeStore('me', memory);
  store.remember(file('a.csv'), { keyUrl: '/files/k', id: 'u' });

  store.forget('/files/k');

  assert.equal(memory.length, 0);
});

test('entries age away and never become too many', () => {
  let now = 1_000_000;
  const memory = new Memory();
  const store = new ResumeStore('me', memory, () => now);
  for (let i = 0; i < 250; i += 1) {
    now += 1;
    store.remember(file(`${i}.csv`), { keyUrl: `/files/${i}`, id: String(i) });
  }

  assert.equal(memory.length, 200);
  assert.equal(store.list()[0].name, '249.csv');
  now += 8 * DAY_MS;
  assert.deepEqual(store.list(), []);
  assert.equal(memory.length, 0);
});

test('spoilt entries and a refusing browser do no harm', () => {
  const memory = new Memory();
  const store = new ResumeStore('me', memory);
  store.remember(file('a.csv'), { keyUrl: '/files/k', id: 'u' });
  for (const key of memory.map.keys()) memory.setItem(key, '{not json');

  assert.deepEqual(store.list(), []);
  const refused = new ResumeStore('me', null);
  refused.remember(file('a.csv'), { keyUrl: '/files/k', id: 'u' });
  assert.equal(refused.find(file('a.csv')), null);
});
