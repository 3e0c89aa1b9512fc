// The basic six as a table of its own, for tests that need no server.

import { CommandTable } from '../../src/command/table.ts';

function row(name: string, step: number, response: string): unknown[] {
  const begin = ['type', 'index', 'spec', ['index', 1]];
  const find = ['type', 'range', 'spec', ['lastkey', -1, 'keystep', step, 'limit', 0]];
  const tips = ['request_policy:multi_shard', ...(response ? [`response_policy:${response}`] : [])];
  return [
    name,
    step === 2 ? -3 : -2,
    [],
    1,
    -1,
    step,
    [],
    tips,
    [['begin_search', begin, 'find_keys', find]],
    [],
  ];
}

export const SIX = CommandTable.parse([
  row('mget', 1, ''),
  row('mset', 2, 'all_succeeded'),
  ...['del', 'exists', 'touch', 'unlink'].map((name) => row(name, 1, 'agg_sum')),
]);
