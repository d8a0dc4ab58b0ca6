/** The door of a tracker in this process: its keys, registry and port, as main/tracker.ts puts them together, without peers. */
import { generateKeyPairSync, type KeyObject } from 'node:crypto';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { openHomeFolder, openPool } from '../../src/identity/home-folder.ts';
import { tokenText, type InvitationToken } from '../../src/identity/invitation-token.ts';
import { LiveRoster } from '../../src/identity/live-roster.ts';
import type { RegistryAnswer } from '../../src/identity/registry-state.ts';
import { RegistryKeeper } from '../../src/main/registry.ts';
import type { LinkIdentity } from '../../src/wire/key-id.ts';
import { listen, type Listener } from '../../src/wire/tls-connection.ts';
import type { Address, Connection } from '../../src/wire/index.ts';

export interface InviteWish {
  joins?: number;
  ttlMs?: number;
  role?: 'admin' | 'member' | 'runner';
  name?: string;
  /** In place of this tracker's own. */
  addresses?: readonly Address[];
}

export class TrackerDoor {
  readonly parent: string;
  readonly folder: string;
  readonly identity: LinkIdentity;
  readonly pool: string;
  readonly poolKey: KeyObject;
  readonly roster: LiveRoster;
  readonly keeper: RegistryKeeper;
  /** What was said, refusals too. */
  readonly said: string[];
  readonly links: Connection[] = [];
  listener: Listener | undefined;

  private constructor(about: Pick<TrackerDoor, 'parent' | 'folder' | 'identity' | 'pool' | 'poolKey' | 'roster' | 'keeper' | 'said'>) {
    this.parent = about.parent;
    this.folder = about.folder;
    this.identity = about.identity;
    this.pool = about.pool;
    this.poolKey = about.poolKey;
    this.roster = about.roster;
    this.keeper = about.keeper;
    this.said = about.said;
  }

  /** @param parent where its folder is, and where `stop` leaves it if it was given */
  static async start(parent?: string): Promise<TrackerDoor> {
    const root = parent ?? (await mkdtemp(join(tmpdir(), 'potluck-door-')));
    const folder = join(root, 'tracker');
    const { identity } = await openHomeFolder(folder);
    const { pool, key } = await openPool(folder, 'pool of test');
    const said: string[] = [];
    const say = (line: string) => void said.push(line);
    const roster = await new LiveRoster({ folder, ownKeyId: identity.keyId, log: say, pushes: true }).open();
    const at: { door: TrackerDoor | undefined } = { door: undefined };
    const keeper = new RegistryKeeper({
      folder,
      pool,
      poolKey: key,
      own: { key: identity.keyId, name: 'den', machine: 'den' },
      roster,
      addresses: () => [at.door!.address],
      linkedNow: () => new Set(),
      say,
      onJoined: say,
      broken: (error) => say(`broken: ${String(error)}`),
    });
    await keeper.start();
    const door = new TrackerDoor({ parent: parent ?? root, folder, identity, pool: pool.pool, poolKey: key, roster, keeper, said });
    at.door = door;
    door.listener = await listen({
      host: '127.0.0.1',
      port: 0,
      identity,
      members: roster,
      onConnection: (link) => door.links.push(link),
      onNewcomer: (channel) => keeper.welcome(channel),
      onRefused: (remote, why) => {
        said.push(`refused: ${why}`);
        keeper.refused(remote, why);
      },
    });
    return door;
  }

  get address(): Address {
    return { host: '127.0.0.1', port: this.listener!.port };
  }

  async invite({ joins = 10, ttlMs = 60_000, role = 'member', name, addresses = [this.address] }: InviteWish = {}): Promise<{ token: InvitationToken; text: string }> {
    const { privateKey, publicKey } = generateKeyPairSync('ed25519');
    const answer = await this.keeper.registry.ask({
      type: 'invite_asked',
      by: this.identity.keyId,
      id: publicKey.export({ type: 'spki', format: 'der' }).toString('hex', 12, 20),
      publicKey: publicKey.export({ type: 'spki', format: 'der' }).toString('base64'),
      role,
      joins,
      ttlMs,
      name,
    });
    if (!('ok' in answer) || answer.ok !== 'invited') throw new Error(JSON.stringify(answer));
    const token: InvitationToken = { pool: this.pool, id: answer.invitation.id, seed: Uint8Array.from(privateKey.export({ format: 'der', type: 'pkcs8' }).subarray(-32)), addresses };
    return { token, text: tokenText(token) };
  }

  revoke(member: string): Promise<RegistryAnswer> {
    return this.keeper.registry.ask({ type: 'revoke_asked', by: this.identity.keyId, member });
  }

  /** A new folder for a newcomer. */
  newcomer(name: string): string {
    return join(this.parent, name);
  }

  async close(): Promise<void> {
    for (const link of this.links) link.close();
    await this.listener?.close();
    await this.keeper.stop();
  }

  async stop(): Promise<void> {
    await this.close();
    await rm(this.parent, { recursive: true, force: true });
  }
}
