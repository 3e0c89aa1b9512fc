// JavaScript for within the sandbox: values to and from what crosses the line, marshal.ts tells its form. All code of
// a library that looking at a value can set off (a getter, a proxy, a toJSON) runs here, within the limits of its run.

import { MAX_DEPTH, TOO_LONG } from '../marshal.ts';

/** Characters of an error's text; what is longer is cut. */
const MAX_ERROR = 16384;

export const VALUES = `
  function revive(carrier) {
    if (!isArray(carrier)) return carrier;
    const first = carrier[1];
    switch (carrier[0]) {
      case 'a': {
        const items = [];
        for (let i = 1; i < carrier.length; i++) items[i - 1] = revive(carrier[i]);
        return items;
      }
      case 'o': {
        const object = {};
        for (let i = 1; i + 1 < carrier.length; i += 2) put(object, carrier[i], revive(carrier[i + 1]));
        return object;
      }
      case 'S': {
        const set = new Set();
        for (let i = 1; i < carrier.length; i++) add(set, revive(carrier[i]));
        return set;
      }
      case 'i': return BigInt(first);
      case 'd': return Number(first);
      case 'b': return slice(host.take(first), 0);
      case 'j': return parse(first);
      case '+': return told('status', first);
      case '(': return told('big_number', first);
      case '=': {
        const text = told('verbatim', carrier[2]);
        text.__format = first;
        return text;
      }
      case '-': return new Error(first);
    }
  }

  function told(type, text) {
    const string = new String(text);
    string.__reply_type = type;
    return string;
  }

  function put(object, key, value) {
    defineProperty(object, key, { __proto__: null, value, writable: true, enumerable: true, configurable: true });
  }

  // What is left of maxReplyBytes for the value that is flattened just now.
  let room = 0;

  function spend(length) {
    room -= length;
    if (room < 0) throw new Error('${TOO_LONG}');
  }

  function flattened(value) {
    room = about.maxReplyBytes;
    return stringify(flatten(value, 0));
  }

  function flatten(value, depth) {
    spend(3);
    switch (typeof value) {
      case 'string':
        spend(value.length);
        return value;
      case 'number':
        return isFinite(value) && !is(value, -0) ? value : ['d', is(value, -0) ? '-0' : String(value)];
      case 'bigint': {
        const digits = String(value);
        spend(digits.length);
        return ['i', digits];
      }
      case 'boolean':
        return value;
      case 'undefined':
        return null;
      case 'object':
        return value === null ? null : flattenObject(value, depth + 1);
    }
    throw new TypeError('Can not convert a ' + typeof value + ' to a reply');
  }

  function flattenObject(value, depth) {
    if (depth > ${MAX_DEPTH}) throw new Error('nesting level reached');
    if (isArray(value)) {
      const out = ['a'];
      for (let i = 0; i < value.length; i++) out[i + 1] = flatten(value[i], depth);
      return out;
    }
    const bytes = bytesOf(value);
    if (bytes) {
      spend(bytes.byteLength);
      return ['b', keep(bytes)];
    }
    if (value instanceof String) return flattenString(value);
    if (value instanceof Error) return ['-', withCode(describe(value))];
    const out = [value instanceof Set ? 'S' : 'o'];
    const push = (item) => { out[out.length] = flatten(item, depth); };
    if (value instanceof Set) forEachMember(value, push);
    else if (value instanceof Map) forEachPair(value, (item, key) => { push(key); push(item); });
    else {
      const names = keys(value);
      for (let i = 0; i < names.length; i++) { push(names[i]); push(value[names[i]]); }
    }
    return out;
  }

  function flattenString(value) {
    const text = stringOf(value);
    spend(text.length);
    switch (value.__reply_type) {
      case 'status': return ['+', text];
      case 'verbatim': return ['=', String(value.__format), text];
      case 'big_number': return ['(', text];
    }
    return text;
  }

  // An error among other values needs a first word that says what it is, as every error in RESP.
  function withCode(text) {
    return matches(/^[A-Z][A-Z0-9_]* /, text) ? text : 'ERR ' + text;
  }

  // What is told of something that was thrown.
  function describe(thrown) {
    try {
      const text = thrown instanceof Error ? String(thrown.message)
        : typeof thrown === 'object' ? stringify(thrown) : String(thrown);
      return text.length > ${MAX_ERROR} ? cut(text, 0, ${MAX_ERROR}) : text;
    } catch {
      return 'An error that can not be told';
    }
  }

  // The ArrayBuffer that is said by the value, if it is one or a view of one.
  function bytesOf(value) {
    if (isView(value)) return slice(value.buffer, value.byteOffset, value.byteOffset + value.byteLength);
    try {
      byteLength(value);
      return value;
    } catch {
      return undefined;
    }
  }

  function keep(bytes) {
    const index = host.keep(bytes);
    if (index < 0) throw new Error('${TOO_LONG}');
    return index;
  }

  // One word of a command.
  function word(value) {
    switch (typeof value) {
      case 'string': return value;
      case 'number': return String(value);
      case 'bigint': return String(value);
      case 'object': {
        if (value === null) break;
        if (value instanceof String) return stringOf(value);
        const bytes = bytesOf(value);
        if (bytes) return ['b', keep(bytes)];
      }
    }
    throw new TypeError('Can not convert argument to string');
  }

  function words(values) {
    if (values.length === 0) throw new TypeError('Wrong number of arguments given');
    const out = [];
    for (let i = 0; i < values.length; i++) out[i] = word(values[i]);
    return out;
  }

  // An argument or a result of a cluster function: JSON text, or a buffer.
  function sent(value, what, unserializable) {
    if (typeof value === 'object' && value !== null) {
      const bytes = bytesOf(value);
      if (bytes) return ['b', keep(bytes)];
    }
    let json;
    try {
      json = stringify(value);
    } catch (error) {
      if (isOutOfMemory(error)) throw error;
      throw new Error('Failed serializing ' + unserializable + ', ' + describe(error) + '.');
    }
    if (json === undefined) throw new Error('Failed deserializing remote function ' + what);
    return json;
  }
`;
