/**
 * A pool of several keys on this machine: every member has a home folder of its own, as if it had joined
 * from a machine of its own.
 *
 * Owns: the folders and the processes started in them; `stop()` ends and removes all.
 */
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { openHomeFolder } from '../../src/identity/home-folder.ts';
import { writeRoster } from '../../src/identity/roster-files.ts';
import type { Role } from '../../src/identity/roster.ts';
import type { LinkIdentity } from '../../src/wire/key-id.ts';
import { connect, type Pool } from '../../src/sdk/index.ts';
import { freePorts, isAlive, processesOf, Started, type Ran, type StartOptions } from '../e2e/processes.ts';
import { until } from '../e2e/until.ts';
import { newAuthority, row, type TestAuthority } from '../helpers/rosters.ts';

const STOP_MS = 10_000;

export interface Member {
  readonly name: string;
  readonly folder: string;
  readonly identity: LinkIdentity;
}

export interface RunningPeer {
  readonly member: Member;
  readonly name: string;
  readonly port: number;
  readonly process: Started;
}

export interface RunOptions extends StartOptions {
  readonly env?: Readonly<Record<string, string>>;
}

export class PoolOfKeys {
  readonly root: string;
  readonly authority: TestAuthority;
  readonly members: Readonly<Record<string, Member>>;
  trackerPort = 0;
  readonly #started: Started[] = [];
  readonly #links: Pool[] = [];

  private constructor(root: string, authority: TestAuthority, members: Record<string, Member>) {
    this.root = root;
    this.authority = authority;
    this.members = members;
  }

  /** The first one named is the tracker's. `revoked` has a row that says so. */
  static async make(roles: Readonly<Record<string, Role | 'revoked'>>): Promise<PoolOfKeys> {
    const root = mkdtempSync(join(tmpdir(), 'potluck-attack-'));
    const authority = newAuthority();
    const members: Record<string, Member> = {};
    for (const name of Object.keys(roles)) {
      const folder = join(root, name);
      mkdirSync(folder, { mode: 0o700 });
      members[name] = { name, folder, identity: (await openHomeFolder(folder)).identity };
    }
    const [first] = Object.keys(roles);
    writeFileSync(join(members[first!]!.folder, 'pool.key'), authority.key.export({ type: 'pkcs8', format: 'pem' }), { mode: 0o600 });
    const rows = Object.entries(roles).map(([name, role]) =>
      row(members[name]!.identity.keyId, role === 'revoked' ? { name, state: 'revoked' } : { name, role }),
    );
    const sealed = authority.seal(1, rows);
    for (const { folder } of Object.values(members)) {
      writeFileSync(join(folder, 'pool.json'), JSON.stringify({ pool: authority.pool, name: 'attacked' }), { mode: 0o600 });
      await writeRoster(folder, sealed);
    }
    return new PoolOfKeys(root, authority, members);
  }

  member(name: string): Member {
    const found = this.members[name];
    if (found === undefined) throw new Error(`there is no member ${name}`);
    return found;
  }

  /** A command of a member, under way. */
  start(name: string, args: readonly string[], { env = {}, ...how }: RunOptions = {}): Started {
    const started = new Started(args, { POTLUCK_HOME: this.member(name).folder, POTLUCK_TRACKER_PORT: String(this.trackerPort), ...env }, { endsWithTest: true, ...how });
    this.#started.push(started);
    return started;
  }

  cli(name: string, args: readonly string[], options: RunOptions = {}): Promise<Ran> {
    return this.start(name, args, options).ended;
  }

  /** Resolves when it listens. */
  async startTracker(name: string): Promise<Started> {
    [this.trackerPort] = (await freePorts(1)) as [number];
    const tracker = this.start(name, ['tracker', '--host', '127.0.0.1', '--port', String(this.trackerPort)]);
    await tracker.said('listens on');
    return tracker;
  }

  /** Resolves when it is linked to the tracker. */
  async startPeer(name: string, args: readonly string[] = [], options: RunOptions = {}): Promise<RunningPeer> {
    const [port] = (await freePorts(1)) as [number];
    const peer = `${name}-${port}`;
    const process = this.start(name, ['peer', '--host', '127.0.0.1', '--port', String(port), '--name', peer, '--drain-seconds', '0', ...args], options);
    await process.said('joined the pool');
    return { member: this.member(name), name: peer, port, process };
  }

  /** A member's link to a peer; `stop()` closes it. */
  async client(name: string, { port }: Pick<RunningPeer, 'port'>): Promise<Pool> {
    const link = await connect({ host: '127.0.0.1', port, home: this.member(name).folder });
    this.#links.push(link);
    return link;
  }

  logs(): string {
    return this.#started.map((one) => `--- ${one.process.spawnargs.slice(2).join(' ')}\n${one.stdout}${one.stderr}`).join('\n');
  }

  /** @throws Error if a process was left behind */
  async stop(): Promise<void> {
    await Promise.all(this.#links.map((link) => link.close()));
    await Promise.all(
      this.#started.toReversed().map(async ({ process: child, ended }) => {
        if (child.exitCode !== null || child.signalCode !== null) return;
        const timer = setTimeout(() => child.kill('SIGKILL'), STOP_MS);
        child.kill('SIGTERM');
        await ended;
        clearTimeout(timer);
      }),
    );
    const left = () => processesOf(this.root).filter(({ pid }) => isAlive(pid));
    try {
      await until('no process is left', () => left().length === 0, STOP_MS);
    } catch {
      const found = left();
      for (const { pid } of found) process.kill(pid, 'SIGKILL');
      throw new Error(`processes were left behind:\n${found.map(({ pid, about }) => `${pid} ${about}`).join('\n')}`);
    } finally {
      rmSync(this.root, { recursive: true, force: true, maxRetries: 5 });
    }
  }
}
