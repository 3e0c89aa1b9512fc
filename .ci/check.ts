/**
 * `npm run check`: types, format and lint, and the house rule of imports. One line for each violation of it.
 *
 * The house rule: imports in `src` run one way, from the room that decides to the rooms it builds on, and
 * never in a circle. `command` and `resp` are pure: they see bytes and give bytes, with no socket, no clock
 * and no process. ROOMS below is the whole rule: a room is a folder or a file at the top of `src`, with what
 * it may import. A new edge is a line here, with a reason one can say aloud.
 */

import { spawnSync } from 'node:child_process';
import { existsSync, globSync, readFileSync } from 'node:fs';
import { builtinModules } from 'node:module';
import { dirname, join, normalize, relative } from 'node:path';
import { fileURLToPath } from 'node:url';

interface Room {
  /** Rooms, or single files of rooms, that may be imported; '*' is every room further down this table. */
  imports: '*' | readonly string[];
  /** No node modules at all but these, and none of the names in IMPURE. */
  pure?: readonly string[];
}

const CORE = ['resp', 'config', 'log', 'telemetry'] as const;

const ROOMS: Record<string, Room> = {
  main: { imports: '*' },
  proxy: { imports: '*' },
  crew: { imports: '*' },
  worker: { imports: '*' },
  admin: { imports: '*' },
  client: { imports: ['dispatch', 'pubsub', 'functions', 'gather', 'cluster', 'command', ...CORE] },
  dispatch: { imports: ['pubsub', 'functions', 'cluster', 'command', ...CORE] },
  pubsub: { imports: ['cluster', 'command', ...CORE] },
  functions: { imports: ['cluster', 'command', ...CORE] },
  // Reaches the cluster by what the client's side gives it.
  gather: { imports: ['command', 'resp', 'config'] },
  cluster: { imports: [...CORE, 'command/slot'] },
  command: { imports: ['resp'], pure: ['node:buffer', 'node:assert'] },
  resp: { imports: [], pure: ['node:buffer', 'node:assert'] },
  log: { imports: ['config'] },
  telemetry: { imports: ['config', 'log'] },
  config: { imports: [] },
};

/** Whether `import type` counts in circles, too; it always counts in who may import whom. */
const TYPES_MAKE_CIRCLES = true;

/** What a pure room does not touch: clocks, timers, the process, sockets by the back door. */
const IMPURE =
  /\b(set(?:Timeout|Interval|Immediate)|queueMicrotask|performance|Date|Math\.random|process|fetch|console)\b/;

const root = fileURLToPath(new URL('..', import.meta.url));
const src = join(root, 'src');

let failed = false;
for (const complaint of house()) {
  console.error(complaint);
  failed = true;
}
failed = !run(root, 'typescript/bin/tsc', '-p', '.') || failed;
// Biome's configuration lies in .ci, which makes that folder a project of its own: so it is checked apart.
const biome = [
  '@biomejs/biome/bin/biome',
  'check',
  '--diagnostic-level=warn',
  '--error-on-warnings',
] as const;
failed = !run(root, ...biome, '--config-path=.ci', 'src', 'test', 'bench', 'examples') || failed;
failed = !run(join(root, '.ci'), ...biome, '.') || failed;
process.exitCode = failed ? 1 : 0;

function run(cwd: string, program: string, ...args: string[]): boolean {
  const path = join(root, 'node_modules', program);
  return spawnSync(process.execPath, [path, ...args], { cwd, stdio: 'inherit' }).status === 0;
}

/** Every violation of the house rule, as one line. */
function house(): string[] {
  const complaints: string[] = [];
  const graph = new Map<string, string[]>();
  const rooms = Object.keys(ROOMS);
  for (const file of globSync('**/*.ts', { cwd: src }).sort()) {
    if (file.endsWith('.d.ts')) continue;
    const from = roomOf(file);
    const room = ROOMS[from];
    const text = withoutComments(readFileSync(join(src, file), 'utf8'));
    const edges: string[] = [];
    graph.set(file, edges);
    if (!room) {
      complaints.push(`src/${file}: '${from}' is no room of the table in .ci/check.ts`);
      continue;
    }
    if (room.pure) {
      const line = text.split('\n').findIndex((one) => IMPURE.test(one));
      const name = IMPURE.exec(text)?.[1];
      if (name) complaints.push(`src/${file}:${line + 1}: '${from}' is pure and may not use ${name}`);
    }
    for (const { specifier, types } of imported(text)) {
      if (!specifier.startsWith('.')) {
        const builtin = specifier.startsWith('node:') || builtinModules.includes(specifier);
        if (room.pure && builtin && !room.pure.includes(specifier)) {
          complaints.push(`src/${file}: '${from}' is pure and may not import ${specifier}`);
        }
        continue;
      }
      const target = normalize(join(dirname(file), specifier));
      if (target.startsWith('..')) {
        complaints.push(`src/${file}: imports ${relative(root, join(src, target))}, which is outside of src`);
        continue;
      }
      if (!existsSync(join(src, target))) {
        complaints.push(`src/${file}: imports ${specifier}, which is not there`);
        continue;
      }
      if (TYPES_MAKE_CIRCLES || !types) edges.push(target);
      const to = roomOf(target);
      if (to === from) continue;
      const below = rooms.indexOf(to) > rooms.indexOf(from);
      const allowed =
        room.imports === '*' ? below : room.imports.some((one) => one === to || `${one}.ts` === target);
      if (!allowed) complaints.push(`src/${file}: '${from}' may not import ${target} ('${to}')`);
    }
  }
  return [...complaints, ...circles(graph)];
}

/** The room of a file: its first folder, or its own name at the top of `src`. */
function roomOf(file: string): string {
  return file.split('/')[0]?.replace(/\.ts$/, '') ?? '';
}

function imported(text: string): { specifier: string; types: boolean }[] {
  const found = text.matchAll(
    /\b(?:(?:import|export)(\s+type)?\b[^'"();]*?\bfrom|import)\s*\(?\s*(['"])([^'"\n]+)\2/g,
  );
  return [...found].map((match) => ({ specifier: match[3] ?? '', types: match[1] !== undefined }));
}

/** Blanks comments out, line for line, so that what they speak of does not count. */
function withoutComments(text: string): string {
  const blank = (comment: string) => comment.replace(/[^\n]/g, ' ');
  return text.replace(/\/\*[\s\S]*?\*\//g, blank).replace(/(^|[\s;{}(),])\/\/[^\n]*/g, blank);
}

/** Each circle of imports once, named from the file it was met at. */
function circles(graph: Map<string, string[]>): string[] {
  const complaints: string[] = [];
  const done = new Set<string>();
  const path: string[] = [];
  const visit = (file: string) => {
    const at = path.indexOf(file);
    if (at >= 0) {
      complaints.push(`src/${file}: a circle of imports: ${[...path.slice(at), file].join(' -> ')}`);
      return;
    }
    if (done.has(file)) return;
    path.push(file);
    for (const next of graph.get(file) ?? []) visit(next);
    path.pop();
    done.add(file);
  };
  for (const file of graph.keys()) visit(file);
  return complaints;
}
