// Where clients come in: accepts connections and reads them into one buffer that all of them share.
//
// Node gives `onread` (reading into a buffer of one's own) to sockets that connect, and not to those that are
// accepted. An accepted connection's handle is therefore given to a new socket made with it: at one command at
// a time that saves 15 to 30 % of the proxy's CPU, since no buffer is made for a read. Where a socket has no
// such handle it is read the ordinary way.

import { createServer, type Server, Socket, type SocketConstructorOpts } from 'node:net';
import { maxClients } from '../resp/errors.ts';
import { TOTAL } from '../telemetry/counters.ts';
import { Client } from './client.ts';
import type { Context } from './context.ts';
import { routes } from './routes.ts';

const READ_BYTES = 65536;
const BACKLOG = 4096;

/** Where to listen: a port of an address, or the path of a unix socket. */
export type Door = { readonly host: string; readonly port: number } | { readonly path: string };

/** Opens a door for one worker. `shared`: other workers listen on the same port. Rejects when it can't be opened. */
export function listen(door: Door, context: Context, shared: boolean): Promise<Server> {
  const buffer = Buffer.allocUnsafeSlow(READ_BYTES);
  const { keepAlive } = context.config.link;
  const server = createServer({
    allowHalfOpen: true,
    pauseOnConnect: true,
    noDelay: true,
    keepAlive: true,
    keepAliveInitialDelay: keepAlive,
  });
  const path = 'path' in door ? door.path : '';
  server.on('connection', (socket) => accept(context, socket, buffer, path));
  return new Promise((resolve, reject) => {
    server.once('error', reject);
    const opened = () => {
      server.off('error', reject);
      server.on('error', (error) => context.log.error({ error: error.message }, 'the door failed'));
      resolve(server);
    };
    if ('path' in door) server.listen({ path: door.path, backlog: BACKLOG }, opened);
    else server.listen({ host: door.host, port: door.port, backlog: BACKLOG, reusePort: shared }, opened);
  });
}

/** Lets nobody more in. Whom the kernel has let in before is a client: node accepts one of them a turn. */
export function closeDoor(server: Server): Promise<void> {
  let came = true;
  let turns = BACKLOG;
  server.on('connection', () => {
    came = true;
  });
  return new Promise((resolve) => {
    const look = () => {
      if (came && turns-- > 0) {
        came = false;
        setImmediate(look);
        return;
      }
      server.close();
      resolve();
    };
    setImmediate(look);
  });
}

function accept(context: Context, accepted: Socket, buffer: Buffer, path: string): void {
  const { totals } = context.counters;
  if (!context.admit()) {
    totals[TOTAL.clientsRejected]! += 1;
    accepted.on('error', () => accepted.destroy());
    accepted.write(maxClients());
    accepted.destroySoon();
    return;
  }
  totals[TOTAL.clients]! += 1;
  totals[TOTAL.clientsTotal]! += 1;
  let client: Client | undefined;
  const socket = withBuffer(accepted, buffer, (length) => client!.read(buffer, length));
  client = new Client(context, socket ?? accepted, routes);
  if (path !== '') client.session.overUnix(path);
  context.clients.set(client.session.id, client);
  client.look();
  if (socket === undefined) {
    accepted.on('data', (chunk: Buffer) => client.read(chunk, chunk.length));
    accepted.resume();
  } else socket.resume();
}

/** A socket on the same connection that reads into `buffer`; undefined where that can't be had. */
function withBuffer(accepted: Socket, buffer: Buffer, read: (length: number) => void): Socket | undefined {
  const holder = accepted as unknown as { _handle: { readStop?: unknown } | null };
  const handle = holder._handle;
  if (handle === null || typeof handle?.readStop !== 'function') return undefined;
  holder._handle = null;
  // Without its handle it is an empty shell; destroying it tells the server that this connection is not its own.
  accepted.destroy();
  const options = {
    handle,
    allowHalfOpen: true,
    manualStart: true,
    onread: {
      buffer,
      callback: (length: number) => {
        read(length);
        return true;
      },
    },
  };
  // `handle` and `manualStart` are the options that node's own cluster module uses.
  return new Socket(options as unknown as SocketConstructorOpts);
}
