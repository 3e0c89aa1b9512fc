/**
 * The admin address: /metrics, /livez and /readyz over HTTP, for Prometheus and for probes.
 *
 * It tells and changes nothing, and stands apart from the clients' door, so a probe never waits behind
 * commands and a scraper is no client. Small limits on headers, times and connections: whoever reaches
 * this port shall not be able to use up what the clients need. Scrapes that come together share one
 * collection.
 */
import { createServer, type IncomingMessage, type ServerResponse } from 'node:http';
import type { ListenOptions } from 'node:net';

export interface AdminOptions {
  /** Why commands are not served, undefined when they are. */
  ready(): string | undefined;
  /** The figures in Prometheus's text format. */
  metrics(): Promise<string>;
  log: { error(fields: object, message: string): void };
}

export interface Admin {
  /** Where it listens: `host:port`, `[v6]:port` or the path of a socket. */
  readonly address: string;
  /** Stops listening and ends what is open. */
  close(): Promise<void>;
}

const LIMITS = {
  maxHeaderSize: 8192,
  headersTimeout: 5000,
  requestTimeout: 5000,
  keepAliveTimeout: 10000,
  connectionsCheckingInterval: 2000,
};
const CONNECTIONS = 64;

const TEXT = 'text/plain; charset=utf-8';
const PROMETHEUS = 'text/plain; version=0.0.4; charset=utf-8';

/** Listens on {host, port} or {path}. Rejects with the system's error if it cannot. */
export async function openAdmin(address: ListenOptions, options: AdminOptions): Promise<Admin> {
  let collecting: Promise<string> | undefined;
  const collect = () => {
    collecting ??= options.metrics().finally(() => {
      collecting = undefined;
    });
    return collecting;
  };

  const server = createServer(LIMITS, (request, response) => {
    answer(request, response, options.ready, collect).catch((error: unknown) => {
      options.log.error({ err: error, path: request.url?.slice(0, 100) }, 'admin request failed');
      respond(response, 500, 'cannot be answered, see the log\n');
    });
  });
  server.maxConnections = CONNECTIONS;

  await new Promise<void>((resolve, reject) => {
    server.once('error', reject);
    server.listen(address, () => {
      server.off('error', reject);
      server.on('error', (error) => options.log.error({ err: error }, 'admin server failed'));
      resolve();
    });
  });

  return {
    address: where(server.address()),
    close: () =>
      new Promise((resolve) => {
        server.close(() => resolve());
        server.closeAllConnections();
      }),
  };
}

async function answer(
  request: IncomingMessage,
  response: ServerResponse,
  ready: AdminOptions['ready'],
  collect: () => Promise<string>,
): Promise<void> {
  const path = (request.url ?? '').split('?', 1)[0];
  if (path !== '/metrics' && path !== '/livez' && path !== '/readyz')
    return respond(response, 404, 'not found; there are /metrics, /livez and /readyz\n');
  if (request.method !== 'GET' && request.method !== 'HEAD') {
    response.setHeader('Allow', 'GET, HEAD');
    return respond(response, 405, 'only GET\n');
  }
  if (path === '/livez') return respond(response, 200, 'live\n');
  if (path === '/metrics') return respond(response, 200, await collect(), PROMETHEUS);
  const reason = ready();
  respond(response, reason === undefined ? 200 : 503, `${reason ?? 'ready'}\n`);
}

function respond(response: ServerResponse, status: number, body: string, type = TEXT): void {
  response.writeHead(status, {
    'Content-Type': type,
    'Cache-Control': 'no-store',
    'Content-Length': Buffer.byteLength(body),
  });
  response.end(body);
}

function where(address: ReturnType<ReturnType<typeof createServer>['address']>): string {
  if (address === null || typeof address === 'string') return address ?? '';
  return `${address.family === 'IPv6' ? `[${address.address}]` : address.address}:${address.port}`;
}
