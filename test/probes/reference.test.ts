/** The reference of probes against the catalogue, both ways. */
import { readFileSync } from 'node:fs';
import { expect, it } from 'vitest';
import { catalogue } from '../../src/probes/catalogue.ts';

it('the reference has exactly the probes of the catalogue, in their order, with level and act', () => {
  const reference = readFileSync(new URL('../../docs/reference/probes.md', import.meta.url), 'utf8');
  const rows = [...reference.matchAll(/^\| `([a-z0-9-]+)` \| (\d) \| (.+) \| (daily|start) \|$/gm)].map(([row]) => row);
  expect(rows).toEqual(catalogue.map(({ name, level, tries, heavy }) => `| \`${name}\` | ${level} | ${tries} | ${heavy ? 'start' : 'daily'} |`));
});
