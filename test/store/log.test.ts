import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { realFiles } from '../../src/store/real-files.ts';
import { logContract } from '../contract/log-contract.ts';
import { SimFiles } from './sim-files.ts';

logContract('real files', async () => {
  const folder = await mkdtemp(join(tmpdir(), 'potluck-log-'));
  return {
    files: realFiles,
    directory: join(folder, 'journal'),
    put: (path, bytes) => writeFile(path, bytes),
    bytes: (path) => readFile(path),
    dispose: () => rm(folder, { recursive: true }),
  };
});

logContract('the simulated disk', async () => {
  const files = new SimFiles(1);
  return {
    files,
    directory: '/journal',
    put: async (path, bytes) => files.put(path, bytes),
    bytes: async (path) => files.bytes(path),
    dispose: async () => {},
  };
});
