/**
 * A member who sends hostile code: what the probes try, as ordinary tasks of another member, in both languages,
 * from one home folder to the peer of another.
 */
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { groundFor } from '../../src/probes/battery.ts';
import { catalogue } from '../../src/probes/catalogue.ts';
import { type Decoys, DecoyGround } from '../../src/probes/decoys.ts';
import { runOutside } from '../../src/probes/outside.ts';
import type { Answer } from '../../src/probes/types.ts';
import { type Interpreter, probeInterpreter } from '../../src/sandbox/interpreters.ts';
import type { Pool } from '../../src/sdk/index.ts';
import { until } from '../e2e/until.ts';
import { PoolOfKeys, type RunningPeer } from './pool-of-keys.ts';

const guestsFolder = fileURLToPath(new URL('../../src/sandbox/guests', import.meta.url));
const PROOF_MS = 60_000;

describe('hostile code of another member', () => {
  let pool: PoolOfKeys;
  let mallory: Pool;
  let victim: RunningPeer;
  let ground: DecoyGround;
  let decoys: Decoys;

  beforeAll(async () => {
    pool = await PoolOfKeys.make({ alice: 'admin', mallory: 'member', victim: 'member' });
    await pool.startTracker('alice');
    victim = await pool.startPeer('victim', ['--web-ui', '--web-port', '0']);
    const home = await pool.startPeer('mallory', ['--slots', '0']);
    mallory = await pool.client('mallory', home);
    ground = new DecoyGround(pool.member('victim').folder);
    decoys = await ground.make();
    await until('the victim takes tasks of others', async () => (await mallory.peers()).some(({ peer, accepts }) => peer === victim.name && accepts === 'members'), PROOF_MS);
  });
  afterAll(async () => {
    await ground.remove();
    await pool.stop();
  });

  it.each(['python', 'javascript'] as const)('in %s reads, reaches, signals, writes and becomes nothing', async (language) => {
    const interpreter: Interpreter = await probeInterpreter(language);
    const source = readFileSync(join(guestsFolder, 'probes', language === 'python' ? 'acts.py' : 'acts.mjs'), 'utf8');
    const about = groundFor({ homeFolder: pool.member('victim').folder, guestsFolder, peer: { host: '127.0.0.1', port: victim.port } }, decoys, interpreter);
    const trials = catalogue.flatMap((probe) => {
      const made = probe.heavy || probe.name === 'outlive' ? '' : probe.make(about);
      return typeof made === 'string' ? [] : [{ probe, ...made }];
    });
    const controls = await runOutside(interpreter, source, trials.map(({ outside }) => outside), decoys, undefined);
    const tasks = trials.map(({ inside }) => mallory.submit<Answer>({ program: source, language, args: [inside.act, inside.target] }));
    const tried = await Promise.all(tasks.map((task) => task.outcome()));
    const possible = trials.flatMap(({ probe }, at) => (controls[at]?.reached === true ? [{ name: probe.name, outcome: tried[at]! }] : []));
    expect(possible.length).toBeGreaterThanOrEqual(40);
    expect(possible.filter(({ outcome: { resultJson } }) => resultJson === undefined || (JSON.parse(resultJson) as Answer).reached)).toEqual([]);
    expect(new Set(possible.map(({ outcome }) => outcome.peer))).toEqual(new Set([victim.name]));
  });
});
