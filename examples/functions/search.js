#!js api_version=1.0 name=search
// A small search engine over all shards: each holds a part of the documents and the index of just those.
//
//   SEARCH.ADD id text            the document goes to one of 64 parts, by its id
//   SEARCH word [word ...]        every part gives its documents that have all words, with how often; the ten best of all
//
//   {part 7}:text:<id>   the document            {part 7}:word:<word>   sorted set: id -> how often
//
// A part has one hash tag, so it is in one shard, and a search is one ZINTER there, beside the data. The shards answer
// side by side, and `topk:10` keeps the best ten while they come in.

const PARTS = 64;

const partOf = (id) => {
  let sum = 0;
  for (let i = 0; i < id.length; i++) sum = (sum * 31 + id.charCodeAt(i)) >>> 0;
  return `{part ${sum % PARTS}}`;
};

const wordsOf = (text) => text.toLowerCase().match(/[\p{L}\p{N}]+/gu) ?? [];

redis.registerCommand(
  'SEARCH.ADD',
  async (client, id, text) => {
    const part = partOf(id);
    const counts = new Map();
    for (const word of wordsOf(text)) counts.set(word, (counts.get(word) ?? 0) + 1);
    const before = client.block((c) => c.call('GET', `${part}:text:${id}`)) ?? '';
    // Known up front and all in one slot: one transaction.
    await client.block((c) =>
      Promise.all([
        ...[...new Set(wordsOf(before))].map((word) => c.callAsync('ZREM', `${part}:word:${word}`, id)),
        ...[...counts].map(([word, count]) => c.callAsync('ZADD', `${part}:word:${word}`, String(count), id)),
        c.callAsync('SET', `${part}:text:${id}`, text),
      ]),
    );
    return BigInt(counts.size);
  },
  { arity: 3, firstKey: 0, lastKey: 0, keyStep: 0, flags: ['write'] },
);

redis.registerCommand(
  'SEARCH',
  async (client, ...words) => {
    const wanted = words.flatMap(wordsOf);
    const queries = Array.from({ length: PARTS }, (_, i) => {
      const keys = wanted.map((word) => `{part ${i}}:word:${word}`);
      return ['ZINTER', String(keys.length), ...keys, 'WITHSCORES'];
    });
    return wanted.length === 0 ? [] : await client.map(queries, 'topk:10');
  },
  { arity: -2, firstKey: 0, lastKey: 0, keyStep: 0, flags: ['readonly'] },
);
