import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';
import { mergeInfo } from '../../src/command/info.ts';
import { type Fixture, startAll, stopAll } from './tables.ts';

let fixtures: Fixture[] = [];
before(async () => {
  fixtures = await startAll();
});
after(() => stopAll(fixtures));

const info = (section: string, ...lines: string[]) =>
  `# ${section}\r\n${lines.map((line) => `${line}\r\n`).join('')}`;

/** The merged value of one field that two nodes have. */
function merged(section: string, field: string, ...values: string[]): string | undefined {
  return fieldOf(mergeInfo(values.map((value) => info(section, `${field}:${value}`))), field);
}

function fieldOf(text: string, field: string): string | undefined {
  return text
    .split('\r\n')
    .find((line) => line.startsWith(`${field}:`))
    ?.slice(field.length + 1);
}

test('amounts and counters are summed, those of later servers too', () => {
  assert.equal(merged('Memory', 'used_memory', '1000', '24'), '1024');
  assert.equal(merged('Stats', 'total_commands_processed', '9007199254740993', '1'), '9007199254740994');
  assert.equal(merged('Stats', 'a_counter_of_later', '3', '4'), '7');
  assert.equal(merged('Stats', 'instantaneous_input_kbps', '0.25', '1.50'), '1.75');
  assert.equal(merged('CPU', 'used_cpu_sys', '0.250000', '1.000001'), '1.250001');
});

test('times and peaks are the largest, what must hold for all is the least or the worst', () => {
  assert.equal(merged('Server', 'uptime_in_seconds', '10', '90'), '90');
  assert.equal(merged('Stats', 'latest_fork_usec', '300', '90'), '300');
  assert.equal(merged('Persistence', 'rdb_last_save_time', '300', '90'), '90');
  assert.equal(merged('Persistence', 'rdb_last_bgsave_status', 'ok', 'err'), 'err');
  assert.equal(merged('Persistence', 'loading', '0', '1'), '1');
});

test('it is one server: no cluster, a primary; and what has no common value is the first node’s', () => {
  assert.equal(merged('Server', 'redis_mode', 'cluster', 'cluster'), 'standalone');
  assert.equal(merged('Server', 'server_mode', 'cluster'), 'standalone');
  assert.equal(merged('Cluster', 'cluster_enabled', '1', '1'), '0');
  assert.equal(merged('Replication', 'role', 'slave', 'master'), 'master');
  assert.equal(merged('Server', 'redis_version', '7.0.15', '7.2.0'), '7.0.15');
  assert.equal(merged('Memory', 'maxmemory_policy', 'noeviction', 'allkeys-lru'), 'noeviction');
});

test('ratios and the forms for people are computed anew', () => {
  const node = (used: number, rss: number) =>
    info(
      'Memory',
      `used_memory:${used}`,
      'used_memory_human:x',
      `used_memory_rss:${rss}`,
      `used_memory_peak:${used * 2}`,
      'used_memory_peak_perc:1.00%',
      'mem_fragmentation_ratio:9',
    );
  const text = mergeInfo([node(1_000_000, 3_000_000), node(1_000_000, 1_000_000)]);
  assert.equal(fieldOf(text, 'used_memory_human'), '1.91M');
  assert.equal(fieldOf(text, 'used_memory_peak_perc'), '50.00%');
  assert.equal(fieldOf(text, 'mem_fragmentation_ratio'), '2.00');
  assert.equal(
    fieldOf(mergeInfo([info('Memory', 'maxmemory:0', 'maxmemory_human:0B')]), 'maxmemory_human'),
    '0B',
  );
});

test('statistics by command, error and database are merged line by line', () => {
  assert.equal(
    merged(
      'Commandstats',
      'cmdstat_get',
      'calls=3,usec=30,usec_per_call=10.00,rejected_calls=0,failed_calls=1',
      'calls=1,usec=50,usec_per_call=50.00,rejected_calls=2,failed_calls=0',
    ),
    'calls=4,usec=80,usec_per_call=20.00,rejected_calls=2,failed_calls=1',
  );
  assert.equal(merged('Errorstats', 'errorstat_ERR', 'count=3', 'count=4'), 'count=7');
  assert.equal(
    merged('Keyspace', 'db0', 'keys=5,expires=1,avg_ttl=100', 'keys=7,expires=3,avg_ttl=500'),
    'keys=12,expires=4,avg_ttl=400',
  );
  assert.equal(
    merged('Keyspace', 'db0', 'keys=5,expires=0,avg_ttl=0', 'keys=7,expires=0,avg_ttl=0'),
    'keys=12,expires=0,avg_ttl=0',
  );
  assert.equal(
    merged('Latencystats', 'latency_percentiles_usec_get', 'p50=1.003,p99=9.023', 'p50=2.007,p99=3.007'),
    'p50=2.007,p99=9.023',
  );
});

test('what only some nodes have is there as well, and replicas are numbered on', () => {
  const text = mergeInfo([
    `${info('Replication', 'connected_slaves:2', 'slave0:ip=a', 'slave1:ip=b')}\r\n${info('Keyspace')}`,
    `${info('Replication', 'connected_slaves:1', 'slave0:ip=c')}\r\n${info('Keyspace', 'db0:keys=1,expires=0,avg_ttl=0')}`,
  ]);
  assert.equal(fieldOf(text, 'connected_slaves'), '3');
  assert.equal(fieldOf(text, 'slave2'), 'ip=c');
  assert.equal(fieldOf(text, 'db0'), 'keys=1,expires=0,avg_ttl=0');
});

test('each module keeps its line', () => {
  const modules = ['module:name=a,ver=1', 'module:name=b,ver=2'];
  assert.equal(
    mergeInfo([info('Modules', ...modules), info('Modules', ...modules)]),
    info('Modules', ...modules),
  );
});

test('the proxy’s own fields replace what the nodes have, and its sections come last', () => {
  const own = {
    fields: { tcp_port: '1', absent: '2' },
    sections: [{ title: 'Slotless', lines: ['clients:3'] }],
  };
  assert.equal(
    mergeInfo([info('Server', 'tcp_port:7000', 'hz:10')], own),
    '# Server\r\ntcp_port:1\r\nhz:10\r\n\r\n# Slotless\r\nclients:3\r\n',
  );
});

test('fields and values that no server of today has do no harm', () => {
  assert.equal(merged('constructor', '__proto__', 'a', 'b'), 'a');
  assert.equal(merged('Stats', 'hasOwnProperty', '1', '2'), '3');
  assert.doesNotThrow(() => merged('Commandstats', 'cmdstat_x', 'calls', 'x=y,=,'));
  assert.equal(mergeInfo(['']), '');
});

test('a real server’s INFO merged alone is itself, in every line but those that are fixed', async () => {
  for (const { name, lone } of fixtures) {
    await lone.ask('SET', 'key', 'value');
    const text = String(await lone.ask('INFO', 'everything'));
    const changed = mergeInfo([text])
      .split('\r\n')
      .filter((line, i) => line !== text.split('\r\n')[i]);
    // Computed ratios come out of amounts that the server rounds or takes at another moment.
    const computed = /_(ratio|perc):/;
    assert.deepEqual(
      changed.filter((line) => !computed.test(line)),
      [],
      name,
    );
  }
});
