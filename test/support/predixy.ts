/** predixy's configuration for a cluster: one to compare with, where it is installed. */

/** `seeds` as `host:port`. One thread, since a build may have no more. Its clients are never disconnected for being idle, and nothing is sampled into its log. */
export function predixyConfig(port: number, seeds: readonly string[]): string {
  return `Name peer
Bind 127.0.0.1:${port}
WorkerThreads 1
ClientTimeout 0
LogVerbSample 0
LogDebugSample 0
LogInfoSample 0
Authority {
    Auth {
        Mode write
    }
}
ClusterServerPool {
    RefreshInterval 1
    Servers {
${seeds.map((seed) => `        + ${seed}`).join('\n')}
    }
}
`;
}
