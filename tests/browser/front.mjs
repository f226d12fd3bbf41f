// A proxy before the server, as companies have them: counts the sockets that pass, and can let none.
//
// Passes everything else on as it comes, headers included; listens on this machine alone.

import { createServer, request } from 'node:http';
import { connect } from 'node:net';

export class Front {
  /** @param {string} url of the server */
  static async before(url) {
    const front = new Front();
    front.target = new URL(url);
    await new Promise((resolve) => { front.server.listen(0, '127.0.0.1', resolve); });
    front.url = `http://127.0.0.1:${front.server.address().port}/`;
    return front;
  }

  constructor() {
    /** @type {Set<import('node:net').Socket>} sockets that are open through it */
    this.sockets = new Set();
    /** How many were asked for, and whether they are let through. */
    this.asked = 0;
    this.letsSockets = true;
    this.server = createServer((from, to) => this.#pass(from, to));
    this.server.on('upgrade', (from, client, head) => this.#upgrade(from, client, head));
  }

  /** The same address of the server, through here. */
  through(url) {
    const { pathname, search } = new URL(url);
    return new URL(pathname + search, this.url).href;
  }

  /** Breaks the sockets that are open. */
  cut() {
    for (const socket of this.sockets) socket.destroy();
  }

  async end() {
    this.cut();
    this.server.closeAllConnections();
    await new Promise((resolve) => { this.server.close(resolve); });
  }

  #pass(from, to) {
    const options = { host: this.target.hostname, port: this.target.port, path: from.url, method: from.method, headers: from.headers };
    const onwards = request(options, (answer) => {
      to.writeHead(answer.statusCode, answer.headers);
      answer.pipe(to);
    });
    onwards.on('error', () => to.destroy());
    to.on('close', () => onwards.destroy());
    from.pipe(onwards);
  }

  #upgrade(from, client, head) {
    this.asked += 1;
    client.on('error', () => {});
    if (!this.letsSockets) {
      client.end('HTTP/1.1 403 Forbidden\r\nContent-Length: 0\r\nConnection: close\r\n\r\n');
      return;
    }
    const server = connect(Number(this.target.port), this.target.hostname);
    this.sockets.add(client);
    const lines = Object.entries(from.headers).map(([name, value]) => `${name}: ${value}`);
    server.write(`GET ${from.url} HTTP/1.1\r\n${lines.join('\r\n')}\r\n\r\n`);
    server.write(head);
    server.pipe(client).pipe(server);
    server.on('error', () => client.destroy());
    server.on('close', () => client.destroy());
    client.on('close', () => {
      this.sockets.delete(client);
      server.destroy();
    });
  }
}
