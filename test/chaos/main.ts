/** `npm run chaos`: one run from a seed, what it saw, and whether the promises were kept. */
import { parseArgs } from 'node:util';
import { type ChaosOptions } from './plan.ts';
import { chaos, type Report, seconds, SETTLE_MS } from './run.ts';

const sizes: ChaosOptions = { seed: 1, tasks: 10_000, clients: 4, peers: 8, slots: 2, peerKills: 40, trackerKills: 10, clientKills: 4, pauses: 20, pauseMsMax: 40_000, linkFaults: 100, windowMs: 300_000 };

const usage = `npm run chaos -- [--seed N] [--tasks N] [--kills N] [--tracker-kills N] [--client-kills N] [--pauses N]
                 [--pause-max S] [--links N] [--peers N] [--clients N] [--slots N] [--window S] [--json] [--quiet] [--keep]

Runs a pool of real processes while they are killed and frozen and the links between them fail, and checks
what is left: nothing lost, one outcome each, right results.

  --seed N            which tasks and which faults; a random one unless said
  --tasks N           how many (${sizes.tasks})
  --kills N           peers killed (${sizes.peerKills}); --tracker-kills (${sizes.trackerKills}), --client-kills (${sizes.clientKills})
  --pauses N          processes frozen (${sizes.pauses}), each for at most --pause-max seconds (${sizes.pauseMsMax / 1000})
  --links N           faults of links: delay, stall, refuse, cut, half-open (${sizes.linkFaults})
  --window S          time in which all of that happens (${sizes.windowMs / 1000})
  --keep              keep the folder of a run that failed

Exit status: 0 all promises were kept, 1 one was broken, 2 wrong use.`;

function optionsOf(): { options: ChaosOptions; json: boolean; quiet: boolean; keep: boolean } {
  const number = { type: 'string' } as const;
  const { values } = parseArgs({
    options: { 'seed': number, 'tasks': number, 'kills': number, 'tracker-kills': number, 'client-kills': number, 'pauses': number, 'pause-max': number, 'links': number, 'peers': number, 'clients': number, 'slots': number, 'window': number, 'json': { type: 'boolean' }, 'quiet': { type: 'boolean' }, 'keep': { type: 'boolean' }, 'help': { type: 'boolean', short: 'h' } },
  });
  if (values.help === true) {
    console.log(usage);
    process.exit(0);
  }
  const read = (name: Exclude<keyof typeof values, 'json' | 'quiet' | 'keep' | 'help'>, otherwise: number) => {
    const value = values[name];
    if (value === undefined) return otherwise;
    if (!/^\d+(\.\d+)?$/.test(value)) throw new TypeError(`--${name} takes a number, not "${value}"`);
    return Number(value);
  };
  const options: ChaosOptions = {
    seed: read('seed', 1 + Math.floor(Math.random() * 1_000_000)),
    tasks: read('tasks', sizes.tasks),
    clients: read('clients', sizes.clients),
    peers: read('peers', sizes.peers),
    slots: read('slots', sizes.slots),
    peerKills: read('kills', sizes.peerKills),
    trackerKills: read('tracker-kills', sizes.trackerKills),
    clientKills: read('client-kills', sizes.clientKills),
    pauses: read('pauses', sizes.pauses),
    pauseMsMax: 1000 * read('pause-max', sizes.pauseMsMax / 1000),
    linkFaults: read('links', sizes.linkFaults),
    windowMs: 1000 * read('window', sizes.windowMs / 1000),
  };
  if (options.clients < 1 || options.clients > options.peers) throw new TypeError('there is at least one client, and each has a peer as its home');
  return { options, json: values.json === true, quiet: values.quiet === true, keep: values.keep === true };
}

function tell(report: Report): void {
  const listed = (counts: Record<string, number>) => Object.entries(counts).map(([name, count]) => `${count} ${name}`).join(', ');
  console.log(`seed ${report.seed}: ${report.tasks} tasks in ${seconds(report.tookMs)}; ${listed(report.outcomes)}`);
  console.log(`faults: ${listed(report.faults)}`);
  console.log(`${report.runs} runs of ${report.assigned} attempts, ${report.losses} losses, ${report.staleRefused} stale results refused`);
  console.log(`${report.lost} lost, ${report.twoOutcomes} with two outcomes, ${report.wrongResults} wrong results, ${report.ranTooOften} ran too often, ${report.onceTwice} ran twice that may run once`);
  console.log(`the last outcome came ${report.settledMs <= 0 ? 'before the last fault was over' : `${seconds(report.settledMs)} after the last fault (at most ${seconds(SETTLE_MS)})`}`);
  for (const line of report.broken.slice(0, 30)) console.log(`  ${line}`);
  if (report.broken.length > 30) console.log(`  and ${report.broken.length - 30} more`);
}

async function main(): Promise<void> {
  let asked;
  try {
    asked = optionsOf();
  } catch (error) {
    console.error(`error: ${(error as Error).message}\n  fix: see npm run chaos -- --help`);
    process.exit(2);
  }
  const { options, json, quiet, keep } = asked;
  if (!quiet) console.error(`seed ${options.seed}`);
  let told = false;
  const given = new Promise<never>((_, reject) => {
    for (const signal of ['SIGINT', 'SIGTERM'] as const) {
      process.once(signal, () => {
        told = true;
        reject(new Error('it was told to stop'));
      });
    }
  });
  let report: Report;
  try {
    report = await chaos(options, { keep, given, say: quiet ? () => {} : (line) => console.error(line) });
  } catch (error) {
    if (!told) throw error;
    console.error('stopped; nothing of it is left');
    process.exit(130);
  }
  if (json) console.log(JSON.stringify(report));
  else tell(report);
  const bit = report.staleRefused > 0;
  if (!bit && report.broken.length === 0) console.error('no stale result came: the run proves little; give it more faults or time');
  process.exitCode = report.broken.length === 0 && bit ? 0 : 1;
}

await main();
