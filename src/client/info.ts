// INFO: the servers' as one server's, with what the proxy is in place of what a server would say of itself, and
// a section of the proxy's own at the end, `# Proxy`.
//
// A client asks who answers at this port: so the process, its port, its age, its clients and their bytes are the
// proxy's, of all its workers; memory, keys, commands and replication are the servers'.

import { mergeInfo } from '../command/info.ts';
import { VERSION } from '../config.ts';
import { CHANNEL, PATTERN, SHARD } from '../pubsub/names.ts';
import { verbatim } from '../resp/write.ts';
import { TOTAL } from '../telemetry/counters.ts';
import { reachedAt } from './address.ts';
import type { Asker } from './asker.ts';
import type { Client } from './client.ts';

/** Requests that show the proxy's section, beside its name. */
const WHOLE = new Set(['default', 'all', 'everything']);
const DAY = 86_400;

/** @param words the command as it came: INFO [section ...] */
export async function info(client: Client, asker: Asker, words: readonly Buffer[]): Promise<Buffer> {
  const texts = (await asker.ofShards(words)).map(String);
  const totals = await totalsOf(client);
  const sections = words.slice(1).map((word) => String(word).toLowerCase());
  const whole = sections.length === 0 || sections.some((section) => WHOLE.has(section));
  const own =
    whole || sections.includes('proxy') ? [{ title: 'Proxy', lines: proxyLines(client, totals) }] : [];
  return verbatim(client.session.resp, mergeInfo(texts, { fields: fieldsOf(client, totals), sections: own }));
}

/** Of all workers together. */
async function totalsOf({ context }: Client): Promise<number[]> {
  const others = await context.peers.totals();
  return others.reduce((sums, one) => sums.map((sum, i) => sum + one[i]!), [...context.counters.totals]);
}

/** In place of the servers' values, where they have such a field. */
function fieldsOf({ context, session }: Client, totals: readonly number[]): Record<string, string> {
  const { config, server, pubsub } = context;
  const age = ageOf(server.startedAt);
  const { host, port } = reachedAt(session);
  const fields: Record<string, string | number> = {
    process_id: process.pid,
    run_id: server.runId,
    tcp_port: port,
    uptime_in_seconds: age,
    uptime_in_days: Math.floor(age / DAY),
    server_time_usec: Date.now() * 1000,
    executable: process.execPath,
    config_file: config.file,
    listener0: `name=tcp,bind=${host},port=${port}`,
    connected_clients: totals[TOTAL.clients]!,
    maxclients: config.limits.clients,
    cluster_connections: 0,
    blocked_clients: totals[TOTAL.blockedClients]!,
    tracking_clients: 0,
    pubsub_clients: totals[TOTAL.subscribers]!,
    pubsub_channels: pubsub.roll.keys(CHANNEL).length,
    pubsub_patterns: pubsub.roll.keys(PATTERN).length,
    pubsubshard_channels: pubsub.roll.keys(SHARD).length,
    watching_clients: 0,
    total_connections_received: totals[TOTAL.clientsTotal]!,
    rejected_connections: totals[TOTAL.clientsRejected]!,
    total_net_input_bytes: totals[TOTAL.bytesFromClients]!,
    total_net_output_bytes: totals[TOTAL.bytesToClients]!,
  };
  return Object.fromEntries(Object.entries(fields).map(([field, value]) => [field, String(value)]));
}

function proxyLines({ context, cluster }: Client, totals: readonly number[]): string[] {
  const { shards, epoch } = cluster.topology;
  const fields: Record<string, string | number> = {
    proxy_name: 'slotless',
    proxy_version: VERSION,
    proxy_workers: context.config.workers,
    proxy_uptime_in_seconds: ageOf(context.server.startedAt),
    proxy_connected_clients: totals[TOTAL.clients]!,
    proxy_rejected_commands: totals[TOTAL.rejected]!,
    proxy_protocol_errors: totals[TOTAL.protocolErrors]!,
    proxy_slow_clients_dropped: totals[TOTAL.slowClientsDropped]!,
    proxy_subscriptions: totals[TOTAL.subscriptions]!,
    proxy_messages_from_nodes: totals[TOTAL.messagesFromNodes]!,
    proxy_messages_to_clients: totals[TOTAL.messagesToClients]!,
    proxy_subscription_gaps: totals[TOTAL.subscriptionGaps]!,
    proxy_messages_missed: totals[TOTAL.messagesMissed]!,
    proxy_links: totals[TOTAL.links]!,
    proxy_link_drops: totals[TOTAL.linkDrops]!,
    proxy_redirects_moved: totals[TOTAL.redirectsMoved]!,
    proxy_redirects_ask: totals[TOTAL.redirectsAsk]!,
    proxy_redirects_other: totals[TOTAL.redirectsOther]!,
    proxy_retries: totals[TOTAL.retries]!,
    proxy_timeouts: totals[TOTAL.timeouts]!,
    proxy_unknown_outcomes: totals[TOTAL.unknownOutcomes]!,
    proxy_net_input_bytes_of_nodes: totals[TOTAL.bytesFromNodes]!,
    proxy_net_output_bytes_to_nodes: totals[TOTAL.bytesToNodes]!,
    cluster_primaries: shards.length,
    cluster_replicas: shards.reduce((count, { replicas }) => count + replicas.length, 0),
    cluster_epoch: epoch,
  };
  return Object.entries(fields).map(([field, value]) => `${field}:${value}`);
}

/** Seconds. */
function ageOf(startedAt: number): number {
  return Math.max(0, Math.floor((Date.now() - startedAt) / 1000));
}
