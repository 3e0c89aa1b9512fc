/**
 * `npm run build`: `src` as JavaScript and type declarations in `dist`, for the published package.
 *
 * Node strips no types below node_modules, so the package carries what tsc emits. tsc turns the relative
 * `.ts` imports into `.js` by itself; a worker's or a file's `new URL('./x.ts', import.meta.url)` is no
 * import for it and is turned here. `dist/main.js` is the package's command, so it gets its first line.
 */

import { spawnSync } from 'node:child_process';
import { chmodSync, cpSync, globSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';

const root = fileURLToPath(new URL('..', import.meta.url));
const dist = join(root, 'dist');

rmSync(dist, { recursive: true, force: true });
const { status } = spawnSync(
  process.execPath,
  ['node_modules/typescript/bin/tsc', '-p', '.ci/tsconfig.build.json'],
  { cwd: root, stdio: 'inherit' },
);
if (status !== 0) process.exit(status ?? 1);

// Declarations that stand for a dependency's missing ones go along: tsc does not emit what was not compiled.
cpSync(join(root, 'src/types'), join(dist, 'types'), { recursive: true });
for (const file of globSync('**/*.js', { cwd: dist })) {
  const path = join(dist, file);
  const text = readFileSync(path, 'utf8');
  const turned = text.replace(
    /(new URL\(\s*(['"])\.{1,2}\/[^'"]+)\.ts(?=\2\s*,\s*import\.meta\.url)/g,
    '$1.js',
  );
  const main = file === 'main.js';
  const first = main && !turned.startsWith('#!') ? '#!/usr/bin/env node\n' : '';
  if (first || turned !== text) writeFileSync(path, first + turned);
  if (main) chmodSync(path, 0o755);
}
