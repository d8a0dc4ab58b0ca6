/** A real process, really killed. */
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { build } from 'esbuild';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { realFiles } from '../../src/store/real-files.ts';
import { openLog } from '../contract/log-contract.ts';

const WRITER = `
import { Log } from './src/store/log.ts';
import { realFiles } from './src/store/real-files.ts';
const log = new Log(realFiles, { directory: process.argv[2], segmentBytesMax: 20_000 });
await log.open(() => {});
for (;;) {
  for (let n = 0; n < 20; n += 1) log.append(Buffer.from('record ' + (log.durableSeq + n + 1)));
  process.stdout.write((await log.flush()) + '\\n');
}
`;

let folder: string;
let writer: string;
beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'potluck-killed-'));
  writer = join(folder, 'writer.mjs');
  await build({
    stdin: { contents: WRITER, resolveDir: process.cwd(), loader: 'ts' },
    bundle: true, platform: 'node', format: 'esm', outfile: writer, logLevel: 'error',
  });
});
afterAll(() => rm(folder, { recursive: true }));

test('a writer killed at any moment has lost nothing that it said was flushed', async () => {
  const directory = join(folder, 'journal');
  let durable = 0;
  for (const lines of [1, 5, 20, 60]) {
    const child = spawn(process.execPath, [writer, directory], { stdio: ['ignore', 'pipe', 'inherit'] });
    let said = '';
    for await (const chunk of child.stdout) {
      said += String(chunk);
      if (said.split('\n').length > lines && !child.killed) child.kill('SIGKILL');
    }
    if (child.exitCode === null && child.signalCode === null) await once(child, 'exit');
    durable = Number(said.slice(0, said.lastIndexOf('\n')).split('\n').at(-1));
    const { log, records } = await openLog(realFiles, { directory });
    await log.close();
    expect(records.length).toBeGreaterThanOrEqual(durable);
    expect(records.every((record, at) => record === `record ${at + 1}`)).toBe(true);
  }
  expect(durable).toBeGreaterThan(1000);
});
