/**
 * socket.io with its adapters for Redis, as they are: two servers that know of each other only by what their
 * adapters publish, each at a proxy of its own, and clients at both.
 */

import assert from 'node:assert/strict';
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { after, before, describe, test } from 'node:test';
import { createAdapter, createShardedAdapter } from '@socket.io/redis-adapter';
import { Redis } from 'ioredis';
import { createClient } from 'redis';
import { Server } from 'socket.io';
import { type Socket as Client, io } from 'socket.io-client';
import { type Cluster, startCluster } from '../support/cluster.ts';
import { type RunningProxy, startProxy } from '../support/proxy.ts';
import { until } from '../support/wait.ts';

/** Connections of one server to its proxy. */
interface Connections {
  readonly publisher: object;
  readonly subscriber: object;
  /** Resolves when all that the subscriber has asked for so far is confirmed. */
  subscribed(): Promise<unknown>;
  /** Ends them when all that was sent is answered. */
  close(): Promise<void>;
}

let cluster: Cluster;
let proxies: RunningProxy[] = [];
let settled = 0;

before(async () => {
  cluster = await startCluster({ replicas: 0 });
  proxies = await Promise.all([startProxy({ cluster, settings: { workers: 2 } }), startProxy({ cluster })]);
});

after(async () => {
  await Promise.all(proxies.map((proxy) => proxy.stop()));
  await cluster?.stop();
});

async function ofIoredis(port: number): Promise<Connections> {
  const [publisher, subscriber] = [new Redis(port), new Redis(port)];
  await subscriber.ping();
  return {
    publisher,
    subscriber,
    subscribed: () => subscriber.subscribe(`settled:${settled++}`),
    close: async () => {
      await Promise.all([publisher.quit(), subscriber.quit()]);
    },
  };
}

async function ofNodeRedis(port: number): Promise<Connections> {
  const publisher = createClient({ url: `redis://127.0.0.1:${port}`, RESP: 2 });
  const subscriber = publisher.duplicate();
  for (const one of [publisher, subscriber]) await one.on('error', () => {}).connect();
  return {
    publisher,
    subscriber,
    subscribed: () => subscriber.subscribe(`settled:${settled++}`, () => {}),
    close: async () => {
      await Promise.all([publisher.close(), subscriber.close()]);
    },
  };
}

/** With RESP3 the connection that is subscribed publishes, too. */
async function ofOneNodeRedis(port: number): Promise<Connections> {
  const client = createClient({ url: `redis://127.0.0.1:${port}`, RESP: 3 });
  await client.on('error', () => {}).connect();
  return {
    publisher: client,
    subscriber: client,
    subscribed: () => client.subscribe(`settled:${settled++}`, () => {}),
    close: () => client.close(),
  };
}

const SETUPS = [
  { name: 'createAdapter with ioredis', adapter: createAdapter, connect: ofIoredis },
  { name: 'createAdapter with node-redis', adapter: createAdapter, connect: ofNodeRedis },
  {
    name: 'createAdapter with one connection of node-redis',
    adapter: createAdapter,
    connect: ofOneNodeRedis,
  },
  { name: 'createShardedAdapter with ioredis', adapter: createShardedAdapter, connect: ofIoredis },
  { name: 'createShardedAdapter with node-redis', adapter: createShardedAdapter, connect: ofNodeRedis },
  {
    name: 'createShardedAdapter with one connection of node-redis',
    adapter: createShardedAdapter,
    connect: ofOneNodeRedis,
  },
];

for (const { name, adapter, connect } of SETUPS) {
  describe(`socket.io, ${name}`, () => {
    const connections: Connections[] = [];
    const servers: Server[] = [];
    /** A and B are at the first server, C and D at the second; A and C in the room `even`, B and D in `odd`. */
    const clients: Client[] = [];
    const heard: string[][] = [];

    before(async () => {
      for (const { port } of proxies) {
        const its = await connect(port);
        connections.push(its);
        const http = createServer();
        const server = new Server(http, {
          adapter: adapter(its.publisher, its.subscriber),
          transports: ['websocket'],
        });
        servers.push(server);
        server.on('connection', (socket) => {
          const { name, room } = socket.handshake.auth;
          socket.data.name = name;
          socket.join(room);
        });
        await new Promise<void>((resolve) => http.listen(0, '127.0.0.1', resolve));
        const url = `http://127.0.0.1:${(http.address() as AddressInfo).port}`;
        for (const room of ['even', 'odd']) clients.push(open(url, 'ABCD'[clients.length] ?? '', room));
      }
      await until('all clients to be connected', () => clients.every(({ connected }) => connected));
      for (const its of connections) await its.subscribed();
    });

    after(async () => {
      for (const client of clients) client.disconnect();
      await Promise.all(servers.map((server) => server.close()));
      await Promise.all(connections.map((its) => its.close()));
    });

    function open(url: string, name: string, room: string): Client {
      const client = io(url, { transports: ['websocket'], auth: { name, room }, reconnection: false });
      const its: string[] = [];
      heard.push(its);
      client.on('said', (text: string | Buffer) => its.push(text.toString()));
      client.on('asked', (n: number, answer: (text: string) => void) => answer(`${name}${n}`));
      return client;
    }

    function server(n: 0 | 1): Server {
      const one = servers[n];
      assert.ok(one);
      return one;
    }

    /** Waits until each of the four has heard so much, and shows what that was: nothing twice, nothing else. */
    async function told(...texts: string[][]): Promise<void> {
      await until('all to have heard it', () =>
        heard.every((its, i) => its.length >= (texts[i]?.length ?? 0)),
      ).catch(() => {});
      assert.deepEqual(
        heard.map((its) => its.splice(0)),
        texts,
      );
    }

    test('what either server says, all clients hear once and in order', async () => {
      const texts = Array.from({ length: 100 }, (_, i) => `text ${i}`);
      for (const one of servers) {
        for (const text of texts) one.emit('said', text);
        await told(texts, texts, texts, texts);
      }
    });

    test('what is said in a room is heard in it alone, wherever it is said', async () => {
      server(0).to('even').emit('said', '1');
      await told(['1'], [], ['1'], []);
      server(1).to('even').emit('said', '2');
      await told(['2'], [], ['2'], []);
      server(0).to('odd').emit('said', '3');
      server(0).to(['even', 'odd']).except('odd').emit('said', '4');
      await told(['4'], ['3'], ['4'], ['3']);
    });

    test('bytes arrive as they are, and a single client of the other server is reached', async () => {
      server(0).emit('said', Buffer.from('bytes\r\n'));
      await told(['bytes\r\n'], ['bytes\r\n'], ['bytes\r\n'], ['bytes\r\n']);
      server(0)
        .to(clients[3]?.id ?? '')
        .emit('said', 'you');
      await told([], [], [], ['you']);
    });

    test('all clients of both servers answer a question', async () => {
      for (const one of servers) {
        const answers = await one.timeout(3000).emitWithAck('asked', 7);
        assert.deepEqual(answers.toSorted(), ['A7', 'B7', 'C7', 'D7']);
        const ofRoom = await one.to('odd').timeout(3000).emitWithAck('asked', 8);
        assert.deepEqual(ofRoom.toSorted(), ['B8', 'D8']);
      }
    });

    test('the servers count and ask each other', async () => {
      for (const one of servers) assert.equal(await one.of('/').adapter.serverCount(), 2);
      server(1).on('sum', (a: number, b: number, answer: (sum: number) => void) => answer(a + b));
      assert.deepEqual(await server(0).serverSideEmitWithAck('sum', 2, 3), [5]);
    });

    test("a server finds the other's clients, and has them join and leave rooms", async () => {
      const names = async (room: string) => {
        const sockets = await server(0).in(room).fetchSockets();
        return sockets.map(({ data }) => data.name).toSorted();
      };
      assert.deepEqual(await names('even'), ['A', 'C']);
      server(0).in('even').socketsJoin('third');
      await until('both to have joined', async () => (await names('third')).length === 2);
      for (const its of connections) await its.subscribed();
      server(0).to('third').emit('said', 'here');
      await told(['here'], [], ['here'], []);
      server(0)
        .in(clients[2]?.id ?? '')
        .socketsLeave('third');
      await until('one to have left', async () => (await names('third')).length === 1);
      server(1).to('third').emit('said', 'there');
      await told(['there'], [], [], []);
    });

    test("a server disconnects the other's clients", async () => {
      server(0).in('odd').disconnectSockets();
      await until('both to be gone', () => !clients[1]?.connected && !clients[3]?.connected);
      assert.ok(clients[0]?.connected && clients[2]?.connected);
      assert.equal((await server(1).fetchSockets()).length, 2);
    });
  });
}
