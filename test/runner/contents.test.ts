/** What a runner keeps of programs: as many as its bound allows, and all that its attempts need. */
import { createHash } from 'node:crypto';
import { expect, it } from 'vitest';
import { limits } from '../../src/limits.ts';
import { Contents } from '../../src/runner/contents.ts';
import { type Connection, connectInMemory, type MessageOf } from '../../src/wire/index.ts';

const programBytes = 1024 * 1024;
const sources = Array.from({ length: limits.programCacheBytes / programBytes + 10 }, (_, at) => Buffer.alloc(programBytes, `# ${at}\n`));
const hashOf = (source: Uint8Array) => createHash('sha256').update(source).digest('hex');
const byHash = new Map(sources.map((source) => [hashOf(source), source]));
const attemptOf = (program: string): MessageOf<'attempt'> => ({
  kind: 'attempt', id: 't', attempt: 1, key: program.slice(0, 16), program, language: 'python', function: 'main', args: Buffer.from('[]'), submitter: 's',
});

it('lets the least recently used go, but never one that an attempt still needs', async () => {
  const [needed, used, ...others] = [...byHash.keys()] as [string, string, ...string[]];
  const [ours, theirs] = connectInMemory('k');
  theirs.serve((hash) => Promise.resolve(byHash.get(hash)));
  theirs.onMessage = () => undefined;
  ours.onMessage = () => undefined;
  const contents = new Contents((program) => program === needed);
  const fetch = (program: string) => contents.fetch(attemptOf(program), ours as Connection);
  const has = (program: string) => contents.inputsOf(attemptOf(program)) !== undefined;
  await fetch(needed);
  await fetch(used);
  for (const program of others) {
    await fetch(program);
    expect(has(used)).toBe(true);
  }
  expect(has(needed)).toBe(true);
  expect(has(others[0]!)).toBe(false);
  ours.close();
  theirs.close();
});
