/**
 * A peer's process: one home and one runner, joined by a link in memory, and a port for everybody else.
 *
 * Order of the start: the port first (one that was typed and is taken must be found before the store is
 * opened), then the lock of the store (only its holder may end what an earlier process left running), then
 * the workers, then the home (which may take up work at once), then the tracker (which sends more), then the
 * page. The stop goes the other way round.
 */
import { randomBytes } from 'node:crypto';
import { homedir } from 'node:os';
import { join } from 'node:path';
import { PotluckError } from '../errors.ts';
import type { PeerOptions } from '../config.ts';
import { dialRunner } from '../home/dial-runner.ts';
import { Home } from '../home/home.ts';
import { type Identity, openHomeFolder, readPool } from '../identity/home-folder.ts';
import { LiveRoster } from '../identity/live-roster.ts';
import { cleanLine } from '../lib/clean-text.ts';
import { TickClock } from '../lib/clock.ts';
import { hostAndPort } from '../lib/hosts.ts';
import { portsTried } from '../lib/ports.ts';
import { limits } from '../limits.ts';
import { webCertificate } from '../identity/web-certificate.ts';
import { Assets } from '../page/assets.ts';
import { Logins } from '../page/logins.ts';
import { Page } from '../page/page.ts';
import { usableCores } from '../runner/load.ts';
import { Runner } from '../runner/runner.ts';
import { probeLevel } from '../sandbox/levels.ts';
import { aheadMax } from '../sandbox/worker.ts';
import { Workers } from '../sandbox/workers.ts';
import { version } from '../version.ts';
import { type Connection, connectInMemory, dial, type LinkMembership, listen, type Listener, type ListenOptions, type MessageBody, type PeerInfo, type PeerSelf } from '../wire/index.ts';
import { acceptanceFor, hasOthers, OnlyOwnNotice } from './acceptance.ts';
import { BoxProof } from './box-proof.ts';
import { withFreePort } from './free-ports.ts';
import { whenGreeted } from './incoming.ts';
import { hostLabel, reachableHosts, thisMachine } from './machine.ts';
import { memoryLimits } from './memory.ts';
import { findInterpreters } from './interpreters.ts';
import { exitWithParent } from './parent.ts';
import { PeerPageHome } from './page-home.ts';
import { pageFolder } from './page-login.ts';
import { guestsFolder, indexWorkerUrl, webFolder } from './paths.ts';
import { broken, untilTold } from './process.ts';
import { policyText, Reports } from './reports.ts';
import { processRows, statusOf } from './status.ts';
import { trackerAddresses } from './tracker-addresses.ts';
import { TrackerLink } from './tracker-link.ts';

const trackerMs = 10_000;
const trackerDialMs = 3_000;

export async function runPeer(options: PeerOptions): Promise<void> {
  exitWithParent();
  const { path, identity } = await openHomeFolder(options.homeFolder);
  const say = (line: string) => {
    // Some of it is what others said.
    if (!options.quiet) (options.json ? console.error : console.log)(cleanLine(line));
  };
  const roster = await new LiveRoster({ folder: path, ownKeyId: identity.keyId, log: say }).open();
  // Who comes before the store is open waits; what they send is kept by the link.
  const early: Connection[] = [];
  const incoming: { take: (connection: Connection) => void } = { take: (connection) => void early.push(connection) };
  const listener = await listenNear(options, {
    host: options.host,
    identity,
    members: roster,
    onConnection: (connection) => incoming.take(connection),
  });
  const name = options.name ?? `${hostLabel()}-${listener.port}`;
  const page = options.webUi ? await openPage(options, join(path, 'peers', name), say) : undefined;

  const { interpreters, without } = await findInterpreters(options);
  for (const { language, why } of without) say(`this peer runs no ${language}: ${why}`);
  const level = await probeLevel(true, { interpreters, guestsFolder, hidden: [homedir(), path] });
  for (const note of level.notes) say(`in the box of tasks: ${note}`);
  const onLevel: { tell: (level: number) => void } = { tell: () => {} };
  const proof = new BoxProof({
    found: level,
    wanted: () => options.accept === 'members' && hasOthers(roster, identity.keyId),
    homeFolder: path,
    guestsFolder,
    interpreters,
    port: listener.port,
    onLevel: (proven) => onLevel.tell(proven),
  });
  const acceptance = acceptanceFor(options, path, identity.keyId, level, proof.proven.level, roster.confirmedMsAgo());
  const incarnation = randomBytes(8).toString('hex');
  const machine = thisMachine();
  const slots = options.slots ?? usableCores();
  const addresses = () => (options.announce === null ? reachableHosts(options.host).map((host) => ({ host, port: listener.port })) : [options.announce]);
  const memory = memoryLimits(options.maxMemoryMb, slots);
  const self: PeerSelf = {
    peer: name,
    incarnation,
    addresses: addresses(),
    machine,
    ...(page === undefined ? {} : { web: page.url }),
    slots,
    languages: Object.fromEntries(interpreters.map(({ language, version: of }) => [language, of])),
    memoryMb: memory.most,
    isolation: proof.proven.level,
    version,
  };
  const folder = join(path, 'peers', name);

  const onWorkerEvent: { tell: Runner['onWorkerEvent'] } = { tell: () => {} };
  const workers = new Workers({
    scratchRoot: join(folder, 'scratch'),
    interpreters: Object.fromEntries(interpreters.map((interpreter) => [interpreter.language, interpreter])),
    guestsFolder,
    level,
    onEvent: (event) => onWorkerEvent.tell(event),
  });
  const runner = new Runner({
    peer: name,
    incarnation,
    version,
    slots,
    languages: interpreters.map(({ language }) => language),
    memoryMb: self.memoryMb,
    clock: new TickClock(limits.tickMsMax),
    aheadInPipe: (language) => aheadMax(language) - 1,
    confine: (foreign) => (foreign ? { isolation: 2, memoryMb: memory.foreign } : { isolation: options.isolation ?? 2, memoryMb: memory.own }),
    workers,
    acceptance,
    roster,
    report: (observation) => reports.add(observation),
    broken,
  });
  onWorkerEvent.tell = (event) => runner.onWorkerEvent(event);

  let known = await readPool(path);
  let pool = known?.pool ?? '';
  const nameTaken = failure();
  const reports = new Reports((message) => {
    if (tracker.connected) tracker.send(message);
    return tracker.connected;
  });
  reports.add({ what: 'policy', detail: policyText(options), count: 1 });
  const tracker = new TrackerLink({
    addresses: () => trackerAddresses(options.tracker, known),
    refresh: async () => {
      known = await readPool(path);
      await roster.refresh();
    },
    connect: (address) => dial({ ...address, identity, members: roster, expectKey: roster.trackerKey, timeoutMs: trackerDialMs, unreachable: 'tracker_unreachable' }),
    onConfirmed: () => roster.confirm(),
    hello: () => ({ version, incarnation, as: 'peer', name, self: { ...self, addresses: addresses(), isolation: proof.proven.level, ...runner.state.acceptance.standingOnceLinked() } }),
    load: () => ({ cpu_load: runner.state.cpuLoad, running: runner.state.running, slots, queued: home.state.waiting.count, draining: runner.state.draining, isolation: proof.proven.level, ...runner.standing() }),
    onUp: () => {
      say(`joined the pool of the tracker at ${tracker.address.host}:${tracker.address.port}`);
      runner.trackerUp();
      home.trackerUp();
      reports.flush();
    },
    onAway: () => {
      runner.trackerAway();
      home.trackerAway();
    },
    onMessage: (message) => home.fromTracker(message),
    onWelcome: (message) => (pool = message.pool),
    onNameTaken: (error) => nameTaken.fail(error),
    log: say,
  });
  const startedAt = performance.now();
  const status = () => statusOf(source);
  const home: Home = new Home({
    peer: name,
    key: identity.keyId,
    incarnation,
    version,
    roster,
    machine,
    folder,
    indexWorker: indexWorkerUrl,
    connect: (info) => connectTo(info, self, identity, roster, (connection, hello) => runner.accept(connection, hello.name)),
    about: () => ({ ...status(), processes: processRows(runner) }),
    toTracker: (message) => tracker.send(message),
    log: say,
    broken,
  });

  // A tracker has some time to be reached before its absence is told as the reason.
  const standing = () => (performance.now() - startedAt > trackerMs ? runner.standing() : runner.state.acceptance.standingOnceLinked());
  const source = { name, pool: () => pool, home, runner, tracker, level: () => proof.proven, interpreters, startedAt, roster, ownKey: identity.keyId, standing };
  const onlyOwn = new OnlyOwnNotice({ standing, proven: () => proof.proven, roster, ownKey: identity.keyId, say });
  const own: PeerInfo = { ...self, ...runner.standing(), key: identity.keyId, state: 'up', cpu_load: 0, running: 0, granted: 0, queued: 0 };
  const undo: (() => unknown)[] = [() => listener.close(), () => page?.close()];
  try {
    home.store.lock();
    await workers.start();
    undo.push(() => workers.stop());
    runner.start();
    undo.push(() => runner.stop());
    await home.start(own);
  } catch (error) {
    for (const step of undo.toReversed()) await step();
    throw error;
  }
  if (interpreters.some(({ language }) => language === 'python')) runner.warm('python');
  incoming.take = (connection) =>
    whenGreeted(connection, (hello) => {
      if (hello.as === 'client') home.accept(connection);
      else if (hello.as === 'home') runner.accept(connection, hello.name);
      else connection.close({ code: 'tracker_unreachable', message: `this is a peer; a ${hello.as} does not talk to it`, hint: 'the tracker is by default on port 8888' });
    });
  for (const connection of early.splice(0)) incoming.take(connection);
  tracker.start();
  page?.serve(new PeerPageHome({ peer: name, viewer: identity.keyId, home, runner, status, homeFolder: path, tracker: options.tracker }), new Logins(pageFolder(path, name)));
  announce(options, name, listener, page, slots, say);
  onLevel.tell = (proven) => {
    runner.levelProved(proven);
    tracker.tellLoad();
  };
  const forgetRoster = roster.onChange(() => void proof.look());
  void proof.look().then(() => onlyOwn.start());
  reports.start();

  const failed = await Promise.race([untilTold(), nameTaken.failed]);
  if (failed === undefined) say(`${name}: stopping; running tasks have ${options.drainSeconds} s to end (again to stop at once)`);
  home.drain();
  const drained = runner.drain(failed === undefined ? options.drainSeconds * 1000 : 0);
  tracker.tellLoad();
  forgetRoster();
  await Promise.all([drained, proof.stop()]);
  onlyOwn.stop();
  reports.stop();
  await page?.close();
  await listener.close();
  tracker.stop();
  await home.stop();
  runner.stop();
  await workers.stop();
  if (failed !== undefined) throw failed;
}

/** An error that ends the process in the order in which it always ends. */
function failure(): { failed: Promise<PotluckError>; fail: (error: PotluckError) => void } {
  let fail: (error: PotluckError) => void = () => {};
  const failed = new Promise<PotluckError>((resolve) => (fail = resolve));
  return { failed, fail };
}

/** On this machine only it speaks HTTP; elsewhere HTTPS with a certificate of its own. */
async function openPage({ webHost: host, webPort: port, webPortTyped: portTyped, webName }: PeerOptions, folder: string, say: (line: string) => void): Promise<Page> {
  const assets = Assets.read(webFolder);
  const hosts = () => [...reachableHosts(host), ...(webName === null ? [] : [webName])];
  if (['127.0.0.1', 'localhost', '::1'].includes(host)) return Page.listen({ host, port, portTyped, assets, hosts });
  const { key, cert, fingerprint } = await webCertificate(join(folder, 'web.pem'), ['localhost', ...hosts()]);
  const page = await Page.listen({ host, port, portTyped, assets, hosts, tls: { key, cert } });
  say(`browsers ask once whether to trust this page; its certificate is ${fingerprint}`);
  return page;
}

/** The port that was typed, or the first free one from the default on. */
async function listenNear(options: PeerOptions, how: Omit<ListenOptions, 'port'>): Promise<Listener> {
  for (let port = options.port; ; port += 1) {
    try {
      return await listen({ ...how, port });
    } catch (error) {
      const taken = error instanceof PotluckError && error.code === 'port_in_use';
      if (!taken || port >= options.port + portsTried) throw error;
      if (options.portTyped) throw await withFreePort(error, how.host, port, '--port');
    }
  }
}

/** The own runner by a link in memory, every other one by its addresses. */
async function connectTo(info: PeerInfo, self: PeerSelf, identity: Identity, members: LinkMembership, acceptOwn: (connection: Connection, hello: MessageBody<'hello'>) => void): Promise<Connection> {
  if (info.peer !== self.peer) return dialRunner(info, self.machine, identity, members);
  const [ours, theirs] = connectInMemory(identity.keyId, self.peer);
  whenGreeted(theirs, (hello) => acceptOwn(theirs, hello));
  return ours;
}

function announce(options: PeerOptions, name: string, listener: Listener, page: Page | undefined, slots: number, say: (line: string) => void): void {
  const hosts = reachableHosts(options.host);
  if (options.json) {
    console.log(JSON.stringify({ peer: name, host: hosts[0], port: listener.port, addresses: hosts.map((host) => hostAndPort(host, listener.port)), web: page?.url ?? null, slots, pid: process.pid }));
    return;
  }
  say(`peer ${name} listens on ${hosts.map((host) => hostAndPort(host, listener.port)).join(', ')}, ${slots} slots${options.announce === null ? '' : `, announced at ${hostAndPort(options.announce.host, options.announce.port)}`}${page === undefined ? '' : `, page ${page.url}`}`);
  // A code is for the eyes of who started it: not for a log.
  if (page !== undefined) say(process.stdout.isTTY ? `open the page by this link, once, within an hour: ${page.loginLink()}` : `open the page by the link that this prints: potluck page --port ${listener.port}`);
  say(`try: potluck cpu --port ${listener.port} --program "def main(x): return x * x" --args "[5]"`);
}
