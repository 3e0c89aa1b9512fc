#!js api_version=1.0 name=sum
// RMR.SUM key [key ...]: the sum of what is a number among the values of keys, wherever they lie.
//
// GET goes to each key's shard, all at once; what is no number, and keys that are not there, are passed over.

redis.registerCommand(
  'RMR.SUM',
  async (client, ...keys) =>
    await client.map(
      keys.map((key) => ['GET', key]),
      'sum',
    ),
  { arity: -2, firstKey: 1, lastKey: -1, keyStep: 1, flags: ['readonly'] },
);
