/** What a tracker prints into a pipe. */
import { expect, it } from 'vitest';
import { Console } from '../../src/tracker/console.ts';
import type { PeerInfo } from '../../src/wire/index.ts';
import { info } from '../helpers/home.ts';

it('tells no load of a peer that is away', () => {
  let printed = '';
  const peers: PeerInfo[] = [info('a', { cpu_load: 0.9, state: 'lost' }), info('b', { cpu_load: 0.9 })];
  const console = new Console({ write: (text) => (printed += text) }, () => peers, 'lines');
  for (const peer of peers) console.news({ what: 'load', peer });
  console.stop();
  expect(printed).toMatch(/^\S+ b 0\/4 slots running, CPU 90 %, 0 waiting\n$/);
});
