import { readFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { expect, it } from 'vitest';
import { codeOf, ifMissing } from '../../src/lib/system-errors.ts';

it('a missing file is a value, and anything else stays an error', async () => {
  expect(await readFile(join(tmpdir(), 'potluck-nowhere', 'at all'), 'utf8').catch(ifMissing(''))).toBe('');
  await expect(readFile(tmpdir(), 'utf8').catch(ifMissing(''))).rejects.toMatchObject({ code: 'EISDIR' });
  expect(codeOf(new Error('of nobody'))).toBe('');
  expect(codeOf('text')).toBe('');
});
