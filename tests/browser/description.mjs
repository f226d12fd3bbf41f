// Holds live frames to the description that the server publishes of them.
//
// Objects are taken as closed: what is sent and not described is a fault, though clients ignore it.

import Ajv from 'ajv';

const DOCUMENT = 'asyncapi';

export class Description {
  /** @param {string} url of the site */
  static async of(url) {
    const answer = await fetch(new URL('/api/v1/asyncapi.json', url));
    if (!answer.ok) throw new Error(`no description: ${answer.status}`);
    return new Description(await answer.json());
  }

  constructor(document) {
    // The document is no schema itself, and formats of numbers are not checked by it.
    const ajv = new Ajv({ strict: false, validateFormats: false, allErrors: false });
    ajv.addSchema(closed(document), DOCUMENT);
    this.kinds = new Map(Object.keys(document.components.messages).map((kind) => [
      kind, ajv.compile({ $ref: `${DOCUMENT}#/components/messages/${kind}/payload` }),
    ]));
  }

  /** What is wrong with a message; nothing, if it is as described. */
  faults(text) {
    const message = JSON.parse(text);
    return (Array.isArray(message) ? message : [message]).flatMap((frame) => {
      const holds = this.kinds.get(frame.t);
      if (!holds) return [`no such frame is described: ${text}`];
      return holds(frame) ? [] : [`not as described: ${text}: ${JSON.stringify(holds.errors)}`];
    });
  }
}

/** The same schemas, with nothing allowed beside what they name. */
function closed(schema) {
  if (Array.isArray(schema)) return schema.map(closed);
  if (schema === null || typeof schema !== 'object') return schema;
  const inside = Object.fromEntries(Object.entries(schema).map(([name, value]) => [name, closed(value)]));
  return schema.type === 'object' && schema.properties ? { additionalProperties: false, ...inside } : inside;
}
