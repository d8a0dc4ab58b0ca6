#!/usr/bin/env node
import { existsSync } from 'node:fs';

const built = new URL('../dist/cli.js', import.meta.url);
const [major, minor] = process.versions.node.split('.').map(Number);

/** An error before the program is there to show it, in the same form. */
function fail(code, status, what, why, fix) {
  if (process.argv.includes('--json')) console.log(JSON.stringify({ error: { code, message: `${what}: ${why}`, hint: fix } }));
  else console.error(`error: ${what}\n  why: ${why}\n  fix: ${fix}`);
  process.exitCode = status;
}

if (major < 20 || (major === 20 && minor < 19)) {
  fail('not_built', 6, `potluck does not run on Node ${process.versions.node}`, 'it needs Node 20.19 or newer', 'install a newer Node');
} else if (existsSync(built)) {
  await import(built.href);
} else {
  fail('not_built', 6, 'potluck was not built yet', 'this is a clone, and dist/ is missing', 'npm ci && npm run build (or npm start, which does it)');
}
