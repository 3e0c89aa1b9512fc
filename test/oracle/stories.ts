/** The stories of `pubsub.test.ts`. */

import fc from 'fast-check';
import type { Server } from '../support/servers.ts';

export type Story = readonly string[];

interface Row {
  readonly name: string;
  readonly story: Story;
  /** Where it is told, if not everywhere. */
  readonly only?: { readonly resp?: 2 | 3; readonly server?: (server: Server) => boolean };
}

/** Valkey 8.0 alone refuses to unsubscribe whom nothing is subscribed: see `exceptions.ts`. */
const takesUnsubscribe = ({ flavour, version }: Server): boolean =>
  flavour !== 'valkey' || !version.startsWith('8.0.');

export const NUMBERS: Row = {
  name: 'how many have received it',
  story: [
    'a: SUBSCRIBE x',
    'b: SUBSCRIBE x y',
    'c: PSUBSCRIBE x y *',
    'd: PUBLISH x 1 ; PUBLISH y 1 ; PUBLISH z 1',
    'd: SUBSCRIBE y',
    'e: PUBLISH y 1',
    'e: PSUBSCRIBE *',
    'f: PUBLISH y 1 ; PUBSUB NUMPAT ; PUBSUB NUMSUB x y z',
    'f: SSUBSCRIBE x',
    'a: SSUBSCRIBE x',
    'g: SPUBLISH x 1 ; PUBLISH x 1 ; SPUBLISH y 1 ; PUBSUB SHARDNUMSUB x y',
    'a: UNSUBSCRIBE x',
    'g: PUBLISH x 1 ; PUBSUB NUMSUB x y',
    'b: RESET',
    'g: PUBLISH x 1 ; PUBLISH y 1 ; PUBSUB NUMSUB x y ; PUBSUB NUMPAT',
    'c: QUIT',
    'g: PUBLISH x 1 ; PUBSUB NUMPAT',
    'g~ PUBSUB CHANNELS',
    'g~ PUBSUB CHANNELS x*',
    'g: PUBSUB CHANNELS z',
    'g: PUBSUB SHARDCHANNELS ; PUBSUB SHARDCHANNELS x ; PUBSUB SHARDCHANNELS y',
  ],
};

export const STORIES: readonly Row[] = [
  {
    name: 'several names in one call',
    story: [
      'a: SUBSCRIBE x y z',
      'a: SUBSCRIBE x x',
      'a: SUBSCRIBE w w v',
      'a: PSUBSCRIBE p* q* p*',
      'a: SSUBSCRIBE {s}1 {s}2 {s}1',
      'b: PUBSUB NUMPAT ; PUBSUB NUMSUB x y z w v none ; PUBSUB SHARDNUMSUB {s}1 {s}2',
      'b~ PUBSUB CHANNELS',
      'b~ PUBSUB SHARDCHANNELS',
      'a: UNSUBSCRIBE x none y y',
      'a: PUNSUBSCRIBE none p* p*',
      'a: SUNSUBSCRIBE {s}2 none {s}2',
      'b: PUBLISH x 1 ; PUBLISH z 1 ; PUBLISH q1 1 ; PUBLISH p1 1 ; SPUBLISH {s}1 1 ; SPUBLISH {s}2 1',
      'a~ UNSUBSCRIBE',
      'a: PUNSUBSCRIBE',
      'a: SUNSUBSCRIBE',
      'a: GET k',
    ],
  },
  {
    name: 'shard channels of many slots in one call',
    story: [
      'a: SSUBSCRIBE a b c d e f g',
      'b: SPUBLISH a 1 ; SPUBLISH b 2 ; SPUBLISH c 3 ; SPUBLISH d 4 ; SPUBLISH e 5 ; PUBLISH a 6',
      'a: SUNSUBSCRIBE a b c',
      'a~ SUNSUBSCRIBE',
    ],
  },
  {
    name: 'unsubscribing from everything at once',
    story: [
      'a: SUBSCRIBE a b c d e f g h',
      'a: PSUBSCRIBE a* b* c* d* e*',
      'a: SSUBSCRIBE {a}1 {a}2 {a}3 {a}4',
      'a~ UNSUBSCRIBE',
      'b~ PUBSUB CHANNELS',
      'b: PUBLISH a m',
      'a~ PUNSUBSCRIBE',
      'a~ SUNSUBSCRIBE',
      'a: PING',
    ],
  },
  {
    name: 'unsubscribing from nothing',
    only: { server: takesUnsubscribe },
    story: [
      'a: UNSUBSCRIBE',
      'a: PUNSUBSCRIBE',
      'a: SUNSUBSCRIBE',
      'a: UNSUBSCRIBE x y',
      'a: PUNSUBSCRIBE x y',
      'a: SUNSUBSCRIBE {x}1 {x}2',
      'a: GET k',
      'a: SUBSCRIBE x',
      'a: PUNSUBSCRIBE',
      'a: SUNSUBSCRIBE',
      'a: UNSUBSCRIBE',
      'a: UNSUBSCRIBE',
      'a: MULTI ; UNSUBSCRIBE ; PUNSUBSCRIBE a b ; EXEC',
      'a: CLIENT REPLY OFF ; UNSUBSCRIBE ; GET k',
    ],
  },
  {
    name: 'the last subscription gone',
    story: [
      'a: SUBSCRIBE x ; UNSUBSCRIBE x ; PING ; GET k',
      'a: PSUBSCRIBE x ; SSUBSCRIBE x ; PUNSUBSCRIBE x ; PING ; SUNSUBSCRIBE x ; PING',
      'a: CLIENT INFO',
    ],
  },
  {
    name: 'one message by channel and by patterns',
    story: [
      'a: SUBSCRIBE news.it news.de',
      'a: PSUBSCRIBE news.* *.it n[a-f]ws.?? nothing*',
      'b: PUBLISH news.it hello',
      'b: PUBLISH news.fr salut',
      'b: PUBLISH other hello',
      'b: PUBLISH news.de a ; PUBLISH news.de b ; PUBLISH news.de c',
    ],
  },
  {
    name: 'names and payloads of all bytes',
    story: [
      'a: SUBSCRIBE "" "\\r\\n" "\\x00\\xff\\x80" "a b" "*" "a[b" "\\\\x" "__keyspace@" "__key"',
      'a: PSUBSCRIBE "\\x00*" "\\\\*" "" "[^a]" "\\xff\\xfe"',
      'b: PUBLISH "" "" ; PUBLISH "" x',
      'b: PUBLISH "\\r\\n" "\\r\\n" ; PUBLISH "\\x00\\xff\\x80" "\\x00\\x01\\xff" ; PUBLISH "a b" " "',
      'b: PUBLISH "*" x ; PUBLISH "a[b" x ; PUBLISH "\\\\x" x ; PUBLISH "\\x00" x ; PUBLISH b x ; PUBLISH a x',
      'b: PUBLISH "\\xff\\xfe" "*3\\r\\n$7\\r\\nmessage\\r\\n"',
      'b: PUBSUB NUMSUB "" "\\r\\n" "\\x00\\xff\\x80" "*"',
      'b~ PUBSUB CHANNELS',
      'b~ PUBSUB CHANNELS *',
      'b: PUBSUB CHANNELS "\\\\*"',
      'b: PUBSUB CHANNELS ""',
      'b: PUBSUB CHANNELS "\\x00*"',
      'b~ PUBSUB CHANNELS ?',
      'b~ PUBSUB CHANNELS "[^a]*"',
      'a: SSUBSCRIBE ""',
      'a: SSUBSCRIBE "\\r\\n\\x00\\xff"',
      'b: SPUBLISH "" "" ; SPUBLISH "\\r\\n\\x00\\xff" "\\xff\\r\\n"',
      'b: PUBSUB SHARDCHANNELS "\\r*"',
      'a: UNSUBSCRIBE "" "\\r\\n" "\\x00\\xff\\x80" nothing',
    ],
  },
  {
    name: 'a payload of a megabyte',
    story: [
      'a: SUBSCRIBE big',
      'c: PSUBSCRIBE b*',
      'd: SSUBSCRIBE big',
      'b: PUBLISH big <ab*524288>',
      'b: SPUBLISH big <ab*524288>',
      'b: PUBLISH big small ; PUBLISH big <x*70000> ; PUBLISH big small',
    ],
  },
  NUMBERS,
  {
    name: 'publishing to oneself',
    only: { resp: 3 },
    story: [
      'a: SUBSCRIBE x',
      'a: PUBLISH x 1',
      'a: PUBLISH x 1 ; PING ; PUBLISH x 2 ; GET k',
      'a: PUBLISH other 1',
      'a: SSUBSCRIBE s',
      'a: SPUBLISH s 1 ; PING',
      'a: UNSUBSCRIBE x',
      'a: PUBLISH x 1',
      'a: PSUBSCRIBE x*',
      'a~ PUBLISH x1 1 ; PING',
      'a: SUBSCRIBE x1',
      'b: PSUBSCRIBE x?',
      'a~ PUBLISH x1 1',
      'a: PING',
      'a: PUNSUBSCRIBE x* ; PUBLISH x1 2 ; ECHO 1 ; UNSUBSCRIBE ; PUBLISH x1 3',
    ],
  },
  {
    name: 'messages between replies',
    only: { resp: 3 },
    story: [
      'a: SUBSCRIBE x y',
      'b: PUBLISH x 1',
      'a: SET k v ; GET k',
      'b: PUBLISH y 2 ; PUBLISH x 3',
      'a: MGET k l m ; DBSIZE ; PING',
      'b: PUBLISH y 4',
    ],
  },
  {
    name: 'another version of the protocol while subscribed',
    only: { resp: 3 },
    story: [
      'a: SUBSCRIBE x',
      'a: PSUBSCRIBE y*',
      'a: SSUBSCRIBE s',
      'b: PUBLISH x 1 ; SPUBLISH s 1',
      'a: HELLO 2',
      'b: PUBLISH x 2 ; PUBLISH y 2 ; SPUBLISH s 2',
      'a: GET k ; PING ; HELLO 3 ; HELLO',
      'a: UNSUBSCRIBE x',
      'a: PUNSUBSCRIBE ; SUNSUBSCRIBE ; HELLO 3',
      'a: SUBSCRIBE z',
      'b: PUBLISH z 3',
    ],
  },
  {
    name: 'blocked while messages come',
    only: { resp: 3 },
    story: [
      'a: SUBSCRIBE x',
      'a: BLPOP l 0',
      'b: PUBLISH x 1',
      'b: PUBLISH x 2',
      'b: RPUSH l e',
      'a: XREAD BLOCK 0 STREAMS s $ ; PING',
      'b: PUBLISH x 3',
      'b: CLIENT UNBLOCK #a',
      'b: PUBLISH x 4',
    ],
  },
  {
    name: 'MONITOR while subscribed',
    only: { resp: 3 },
    story: [
      'a: SUBSCRIBE x',
      'a: MONITOR',
      'b: PUBLISH x 1',
      'b: SET k v',
      'b: SUBSCRIBE y',
      'a: RESET',
      'b: PUBLISH x 2',
    ],
  },
  {
    name: 'subscribing while replies are off',
    story: [
      'a: CLIENT REPLY OFF ; SUBSCRIBE x ; PSUBSCRIBE p*',
      'b: PUBLISH x 1 ; PUBLISH p1 1',
      'b: PUBSUB NUMSUB x',
      'a: PING ; GET k ; UNSUBSCRIBE x ; PING',
      'b: PUBLISH x 2 ; PUBLISH p1 2',
      'a: SSUBSCRIBE s ; SUNSUBSCRIBE s',
      'a: PUNSUBSCRIBE ; CLIENT REPLY ON ; PING',
    ],
  },
  {
    name: 'replies turned off while subscribed',
    only: { resp: 3 },
    story: [
      'a: SUBSCRIBE x',
      'a: CLIENT REPLY OFF ; PING ; GET k',
      'b: PUBLISH x 1',
      'a: PUBLISH x 2 ; SUBSCRIBE y ; GET k',
      'b: PUBLISH y 3',
      'a: CLIENT REPLY ON ; PING',
      'a: CLIENT REPLY SKIP ; SUBSCRIBE z ; PING ; PING 2',
      'a: CLIENT REPLY SKIP ; PING 3 ; PING 4',
      'a: CLIENT REPLY SKIP ; PUBLISH x 4 ; PING 5',
      'a: CLIENT REPLY SKIP ; UNSUBSCRIBE x ; PING 6 ; PING 7',
    ],
  },
  {
    name: 'one reply left out before a subscription',
    story: [
      'a: CLIENT REPLY SKIP ; SUBSCRIBE x ; PING ; PING 1',
      'b: PUBLISH x 1',
      'a: UNSUBSCRIBE x ; PING',
    ],
  },
  {
    name: 'how CLIENT LIST shows it',
    story: [
      'a: SUBSCRIBE x y',
      'b: CLIENT LIST ID #a',
      'a: PSUBSCRIBE p*',
      'b: CLIENT LIST ID #a',
      'a: SSUBSCRIBE s t',
      'b: CLIENT LIST ID #a',
      'b: CLIENT LIST TYPE pubsub',
      'b: CLIENT LIST TYPE normal ID #a',
      'a: UNSUBSCRIBE x y',
      'b: CLIENT LIST ID #a',
      'a: PUNSUBSCRIBE',
      'b: CLIENT LIST ID #a',
      'b: CLIENT LIST TYPE pubsub',
      'a~ SUNSUBSCRIBE',
      'b: CLIENT LIST ID #a',
      'b: CLIENT LIST TYPE pubsub',
      'a: SUBSCRIBE x ; RESET',
      'b: CLIENT LIST ID #a',
      'a: MULTI ; SUBSCRIBE x',
      'b: CLIENT LIST ID #a',
      'a: EXEC ; PING',
      'b: CLIENT LIST ID #a',
      'a: CLIENT INFO',
    ],
  },
  {
    name: 'who is killed by type',
    story: [
      'a: SUBSCRIBE x',
      'b: PSUBSCRIBE x',
      'c: SSUBSCRIBE x',
      'd: CLIENT KILL TYPE pubsub',
      'd: PUBLISH x 1 ; PUBSUB NUMPAT ; PUBSUB NUMSUB x ; PUBSUB SHARDNUMSUB x ; CLIENT KILL TYPE pubsub',
      'd: SUBSCRIBE y',
      'e: CLIENT KILL TYPE pubsub SKIPME no',
      'e: CLIENT KILL ID #a ; CLIENT LIST TYPE pubsub',
    ],
  },
  {
    name: 'QUIT and RESET while subscribed',
    story: [
      'a: SUBSCRIBE x ; PSUBSCRIBE y ; SSUBSCRIBE s ; RESET ; GET k ; CLIENT INFO',
      'b: SUBSCRIBE x ; QUIT ; PING',
      'c: PUBLISH x 1 ; PUBSUB NUMSUB x ; PUBSUB NUMPAT ; PUBSUB SHARDNUMSUB s',
      'a: SUBSCRIBE x',
      'c: PUBLISH x 2',
    ],
  },
  {
    name: 'what an old program may call while subscribed',
    story: [
      'a: SUBSCRIBE x ; GET k ; SET k v ; PING ; PING hello ; PING "" ; PING a b ; NOPE ; NOPE a ; GET ; CLIENT ; CLIENT LIST a',
      'a: CLIENT NOPE ; CONFIG GET maxmemory ; CONFIG NOPE x ; SUBSCRIBE ; PSUBSCRIBE ; UNSUBSCRIBE nothing',
      'b: PUBLISH x 1',
      'a: MULTI ; EXEC ; DISCARD ; WATCH k ; PUBLISH x 1 ; PUBSUB NUMPAT ; PUBSUB HELP',
      'a: ECHO a ; SELECT 0 ; AUTH x y z ; DBSIZE ; TIME a ; EVAL "return 1" 0',
      'a: CLIENT REPLY ON ; CLIENT SETNAME me ; CLIENT GETNAME ; HELLO 9 ; ping ; Ping x',
      'a: PSUBSCRIBE p ; SSUBSCRIBE s ; PING ; PUNSUBSCRIBE p ; SUNSUBSCRIBE s ; PING',
      'a: UNSUBSCRIBE ; PING ; PING hello ; CLIENT GETNAME ; NOPE a',
      'a: PSUBSCRIBE p ; GET k ; RESET ; GET k',
      'a: SSUBSCRIBE s ; GET k ; PING ; QUIT',
    ],
  },
  {
    name: 'inside a transaction',
    story: [
      'a: MULTI ; SUBSCRIBE x ; EXEC',
      'b: PUBLISH x 1',
      'a: UNSUBSCRIBE x',
      'a: MULTI ; SUBSCRIBE x y ; EXEC ; PING',
      'b: PUBLISH y 1',
      'a~ UNSUBSCRIBE',
      'a: MULTI ; SET k v ; PSUBSCRIBE x* ; EXEC',
      'b: PUBLISH x 1',
      'a: PUNSUBSCRIBE ; GET k',
      'a: MULTI ; SET k v ; SSUBSCRIBE x ; GET k ; EXEC',
      'a: SUBSCRIBE y ; MULTI ; SUBSCRIBE x ; UNSUBSCRIBE x y ; EXEC',
      'a: GET k',
      'a: MULTI ; SUBSCRIBE x ; DISCARD ; GET k',
      'b: MULTI ; PUBLISH x 1 ; PUBSUB NUMSUB x ; PUBSUB NUMPAT ; EXEC',
      'b: WATCH k ; MULTI ; SUBSCRIBE w ; EXEC',
      'b: UNSUBSCRIBE w',
      'c: SET k w',
      'b: WATCH k',
      'c: SET k x',
      'b: MULTI ; SUBSCRIBE w ; EXEC ; GET k',
      'c: PUBSUB NUMSUB w',
    ],
  },
  {
    name: 'published inside a transaction',
    story: [
      'a: SUBSCRIBE x y',
      'b? MULTI ; PUBLISH x 1 ; PUBLISH x 2 ; EXEC',
      'b? MULTI ; SET k v ; PUBLISH y 1 ; EXEC',
      'b: MULTI ; PUBLISH y 1 ; DISCARD',
      'b: MULTI ; PUBLISH y 1 ; NOPE ; EXEC',
    ],
  },
  {
    // At old servers the message stands inside of the reply to EXEC.
    name: 'published to oneself inside a transaction',
    only: { resp: 3 },
    story: [
      'a: SUBSCRIBE x',
      'a? MULTI ; SET k v ; PUBLISH x 1 ; EXEC',
      `a? EVAL "redis.call('publish','x','2') return 'done'" 0`,
      'a: PING',
    ],
  },
  {
    name: 'published by a script',
    story: [
      'a: SUBSCRIBE x',
      'c: PSUBSCRIBE x?',
      `b? EVAL "return redis.call('publish','x','1')" 0`,
      `b: EVAL "redis.call('publish','x','2') return 1" 0`,
      `b: EVAL "redis.call('set',KEYS[1],'v') redis.call('publish','x1',ARGV[1]) return 1" 1 k payload`,
    ],
  },
  {
    name: 'channels that a user may not use',
    story: [
      'a: ACL SETUSER u reset on >p +@all ~* resetchannels &news.*',
      'b: AUTH u p',
      'b: SUBSCRIBE news.x ; UNSUBSCRIBE news.x',
      'b: SUBSCRIBE other',
      'b: SUBSCRIBE news.x other ; GET k',
      'b: PSUBSCRIBE news.*',
      'b: PUNSUBSCRIBE news.*',
      'b: PSUBSCRIBE news.?',
      'b: PSUBSCRIBE *',
      'b: PSUBSCRIBE news.* *',
      'b: SSUBSCRIBE news.s ; SSUBSCRIBE other ; SUNSUBSCRIBE news.s',
      'b: SUBSCRIBE news.y',
      'a: PUBLISH news.y 1 ; PUBLISH news.x 1 ; PUBLISH other 1',
      'b: SUNSUBSCRIBE other ; UNSUBSCRIBE other ; UNSUBSCRIBE news.y',
      'c: AUTH u p',
      'c: PUBLISH news.x 1 ; PUBLISH other 1 ; SPUBLISH news.x 1 ; SPUBLISH other 1',
      'c: PUBSUB CHANNELS ; PUBSUB NUMSUB other',
      `c: EVAL "return redis.call('publish','news.x','1')" 0`,
      'c: MULTI ; PUBLISH news.x 1 ; EXEC',
      'c: MULTI ; SUBSCRIBE news.m ; EXEC',
      'c: UNSUBSCRIBE news.m ; RESET',
      'a: ACL SETUSER u -@all +auth +ping +reset',
      'c: AUTH u p ; SUBSCRIBE news.x ; PSUBSCRIBE news.* ; SSUBSCRIBE news.x ; PUBLISH news.x 1 ; PUBSUB NUMPAT',
    ],
  },
  {
    name: 'another user while subscribed',
    only: { resp: 3 },
    story: [
      'b: ACL SETUSER u reset on >p +@all ~* resetchannels &news.*',
      'a: SUBSCRIBE other ; PSUBSCRIBE oth*',
      'a: AUTH u p',
      'b: PUBLISH other 1',
      'a: SUBSCRIBE other ; SUBSCRIBE news.x ; CLIENT INFO',
      'b: PUBLISH news.x 1 ; PUBLISH other 2',
      'a: PUBLISH other 3 ; UNSUBSCRIBE other ; PUNSUBSCRIBE oth* ; AUTH default x',
      'b: PUBLISH other 4 ; ACL SETUSER u off',
      'c: AUTH u p ; SUBSCRIBE news.x',
    ],
  },
  {
    name: 'transactions while subscribed',
    only: { resp: 3 },
    story: [
      'a: SUBSCRIBE x',
      'a: WATCH k',
      'b: PUBLISH x 1',
      'a: MULTI ; SET k v ; GET k',
      'b: PUBLISH x 2',
      'a: EXEC',
      'a: WATCH k',
      'b: SET k w ; PUBLISH x 3',
      'a: MULTI ; GET k ; EXEC ; PING',
      'a: MULTI ; SUBSCRIBE y ; UNSUBSCRIBE x ; DISCARD',
      'b: PUBLISH x 4 ; PUBLISH y 4',
      'a: MULTI ; GET k ; UNSUBSCRIBE x ; SUBSCRIBE y ; EXEC',
      'b: PUBLISH x 5 ; PUBLISH y 5',
    ],
  },
  {
    name: 'a tracking client that is subscribed',
    only: { resp: 3 },
    story: [
      'a: CLIENT TRACKING ON ; SUBSCRIBE x ; GET k ; CLIENT INFO',
      'b: SET k v',
      'b: PUBLISH x 1',
      'a: GET k ; MGET k l ; UNSUBSCRIBE x',
      'b: SET l v',
      'b: SET k v',
    ],
  },
  {
    name: 'a tracking client redirected to one that is subscribed',
    story: [
      'b: SUBSCRIBE __redis__:invalidate',
      'a: CLIENT TRACKING ON REDIRECT #b',
      'a: GET k',
      'c: SET k v',
      'a: MGET k l',
      'c: SET l v',
      'c: DEL k',
      'a: CLIENT TRACKINGINFO',
      'a: CLIENT GETREDIR',
      'a: CLIENT TRACKING OFF',
      'a: CLIENT TRACKING ON BCAST PREFIX k REDIRECT #b',
      'c: SET k1 v',
      'c: SET l v',
      'c? PUBLISH __redis__:invalidate x',
      'c: PUBSUB NUMSUB __redis__:invalidate ; PUBSUB CHANNELS',
    ],
  },
  {
    name: 'a tracking client redirected to one that is not subscribed',
    story: [
      'a: CLIENT TRACKING ON REDIRECT #b',
      'a: GET k',
      'c: SET k v',
      'b: PING',
      'b: SUBSCRIBE other',
      'a: GET k',
      'c: SET k w',
      'b: RESET',
      'a: GET k',
      'c: SET k x',
      'c: PUBSUB NUMSUB __redis__:invalidate ; PUBSUB CHANNELS',
      'a: CLIENT TRACKINGINFO',
    ],
  },
];

const RANDOM_STORIES = 3;
const RANDOM_STEPS = 40;

const channel = fc.constantFrom('a', 'ab', 'abc', 'b', 'bc', 'c', '"x y"', '"\\xff"');
const pattern = fc.constantFrom('a', 'a*', '*', '?', '*b*', '[ab]?', 'x*', '"[^a]"');
const shard = fc.constantFrom('{s}1', '{s}2', '{t}1', 's', 'u');
const several = (names: fc.Arbitrary<string>) =>
  fc.array(names, { minLength: 1, maxLength: 4 }).map((all) => all.join(' '));
const subscriber = fc.constantFrom('a', 'b', 'c');
const reader = fc.constantFrom('p', 'q');

/** Steps of clients that hear, and of such as speak. Who gives up all that it hears begins anew. */
const steps = (resp: 2 | 3, patterns: boolean): fc.Arbitrary<readonly string[]> => {
  const matched = patterns ? pattern : channel;
  const matching = patterns ? 'P' : '';
  const named = fc
    .tuple(
      subscriber,
      fc.oneof(
        several(channel).map((names) => `SUBSCRIBE ${names}`),
        several(matched).map((names) => `${matching}SUBSCRIBE ${names}`),
        several(shard).map((names) => `SSUBSCRIBE ${names}`),
        several(channel).map((names) => `UNSUBSCRIBE ${names}`),
        several(matched).map((names) => `${matching}UNSUBSCRIBE ${names}`),
        several(shard).map((names) => `SUNSUBSCRIBE ${names}`),
        fc.constantFrom('PING', 'CLIENT INFO', 'GET k'),
      ),
    )
    .map(([name, call]) => [`${name}: ${call}`]);
  const anew = fc
    .tuple(subscriber, fc.constantFrom('UNSUBSCRIBE', 'PUNSUBSCRIBE', 'SUNSUBSCRIBE', 'RESET'))
    .map(([name, call]) => [
      `${name}~ ${call === 'RESET' && resp === 3 ? 'RESET ; HELLO 3' : call} ; SUBSCRIBE kept`,
    ]);
  const message = fc.tuple(channel, shard, fc.integer({ min: 1, max: 999 }));
  const spoken = fc
    .tuple(
      resp === 2 ? reader : fc.oneof(subscriber, reader),
      fc.array(message, { minLength: 1, maxLength: 3 }),
    )
    .map(([name, all]) => [
      `${name}~ ${all.map(([channel, shard, n]) => `PUBLISH ${channel} ${n} ; SPUBLISH ${shard} ${n}`).join(' ; ')}`,
    ]);
  const asked = fc
    .tuple(reader, several(channel), several(shard), pattern)
    .map(([name, channels, shards, pattern]) => [
      `${name}: PUBSUB NUMSUB ${channels} kept ; PUBSUB SHARDNUMSUB ${shards} ; PUBSUB NUMPAT`,
      `${name}~ PUBSUB CHANNELS ; PUBSUB SHARDCHANNELS ; PUBSUB CHANNELS ${pattern}`,
    ]);
  return fc.oneof(
    { weight: 8, arbitrary: named },
    { weight: 2, arbitrary: anew },
    { weight: 6, arbitrary: spoken },
    { weight: 2, arbitrary: asked },
  );
};

/** The same stories for the same seed; with or without subscriptions to patterns. */
export function randomStories(seed: number, resp: 2 | 3, patterns: boolean): Story[] {
  const all = fc.array(steps(resp, patterns), {
    minLength: RANDOM_STEPS,
    maxLength: RANDOM_STEPS,
    size: 'max',
  });
  const beginning = ['a', 'b', 'c'].map((name) => `${name}: SUBSCRIBE kept`);
  return fc.sample(all, { seed, numRuns: RANDOM_STORIES }).map((story) => [...beginning, ...story.flat()]);
}
