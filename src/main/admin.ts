/**
 * What a member asks of the tracker itself: who belongs to the pool, invitations, the audit.
 *
 * Owns: one link for one question. What may be asked and by whom, the tracker decides.
 */
import { generateKeyPairSync, randomUUID } from 'node:crypto';
import type { TrackerPlace } from '../config.ts';
import { PotluckError } from '../errors.ts';
import { openHomeFolder, readPool } from '../identity/home-folder.ts';
import { tokenText } from '../identity/invitation-token.ts';
import { LiveRoster } from '../identity/live-roster.ts';
import type { Role } from '../identity/roster.ts';
import { isLoopback } from '../lib/hosts.ts';
import { limits } from '../limits.ts';
import { errorOf as errorOfAnswer } from '../sdk/outcome.ts';
import { fetchContent } from '../sdk/questions.ts';
import { version } from '../version.ts';
import { type Address, type Connection, dial, greet, type Message, type MessageOf } from '../wire/index.ts';
import { trackerAddresses } from './tracker-addresses.ts';

type Question = Omit<MessageOf<'invite'>, 'ask'> | Omit<MessageOf<'revoke'>, 'ask'> | Omit<MessageOf<'registry'>, 'ask'>;

/**
 * The tracker's answer.
 * @throws PotluckError `tracker_unreachable`, `not_a_member`, `revoked`, or what the tracker says
 */
export async function askTracker(homeFolder: string, place: TrackerPlace, question: Question): Promise<unknown> {
  const connection = await linkToTracker(homeFolder, place);
  try {
    const answer = await answerTo(connection, { ...question, ask: 1 } as Message);
    if (answer.error !== undefined) throw errorOfAnswer(answer.error);
    if (answer.json === undefined) throw new PotluckError('internal', 'the tracker answered nothing');
    const json = answer.json instanceof Uint8Array ? answer.json : await fetchContent(connection, answer.json.hash);
    if (json === undefined) throw lost('the link ended while a long answer came');
    return JSON.parse(Buffer.from(json).toString()) as unknown;
  } finally {
    connection.close();
  }
}

async function linkToTracker(homeFolder: string, place: TrackerPlace): Promise<Connection> {
  const { identity } = await openHomeFolder(homeFolder);
  const members = await new LiveRoster({ folder: homeFolder, ownKeyId: identity.keyId }).open();
  let failure: unknown;
  const pool = await readPool(homeFolder);
  for (const { host, port } of trackerAddresses(place, pool)) {
    try {
      const connection = await dial({ host, port, identity, members, expectKey: members.trackerKey, timeoutMs: limits.helloMs, unreachable: 'tracker_unreachable' });
      const hello = await greet(connection, { version, incarnation: randomUUID(), as: 'client', name: `client-${process.pid}` });
      if (hello.as === 'tracker') return connection;
      connection.close();
      throw new PotluckError('tracker_unreachable', `what answers at ${host}:${port} is a ${hello.as}, not a tracker`, { why: 'members are kept by the tracker', fix: 'use the port of the tracker; its default is 8888' });
    } catch (error) {
      failure = error;
    }
  }
  if (pool === undefined && !place.host.typed && !place.port.typed) throw withoutPool(failure);
  throw failure;
}

/** Nobody said where the tracker is, neither when this machine joined nor now: it joined none. */
function withoutPool(failure: unknown): unknown {
  if (!(failure instanceof PotluckError) || failure.code !== 'tracker_unreachable') return failure;
  return new PotluckError(failure.code, failure.message, {
    why: 'this machine is in no pool yet, and has no tracker of its own running',
    fix: 'join a pool by its invitation: potluck join pl1-…; or start one here: potluck tracker',
    cause: failure,
  });
}

function answerTo(connection: Connection, question: Message): Promise<MessageOf<'answer'>> {
  return new Promise((resolve, reject) => {
    const timer = setTimeout(() => reject(lost(`nothing came within ${limits.silenceMs / 1000} s`)), limits.silenceMs);
    connection.onMessage = (message) => {
      if (message.kind !== 'answer') return;
      clearTimeout(timer);
      resolve(message);
    };
    connection.onClose = (reason) => {
      clearTimeout(timer);
      if (reason.kind === 'bye') reject(errorOfAnswer(reason.problem));
      else reject(lost('the link ended'));
    };
    connection.send(question);
  });
}

const lost = (why: string): PotluckError => new PotluckError('tracker_unreachable', 'the tracker did not answer', { why, fix: 'see whether it still runs, and ask again' });

export interface InviteOptions {
  role: Role;
  joins: number;
  ttlMs: number;
  name: string | undefined;
  /** In place of the addresses that the tracker knows of itself. */
  addresses: readonly Address[];
}

/** An invitation as it is handed out; `token` is the secret. */
export interface Invitation {
  id: string;
  token: string;
  role: Role;
  joins: number;
  name: string | null;
  expires_at: string;
  addresses: readonly Address[];
}

/** Makes an invitation. The seed is made here and goes nowhere but into the token. @throws as askTracker */
export async function invite(homeFolder: string, place: TrackerPlace, { role, joins, ttlMs, name, addresses }: InviteOptions): Promise<Invitation> {
  const { publicKey, privateKey } = generateKeyPairSync('ed25519');
  const answer = (await askTracker(homeFolder, place, {
    kind: 'invite',
    public_key: publicKey.export({ type: 'spki', format: 'der' }),
    role,
    joins,
    ttlMs,
    ...(name === undefined ? {} : { name }),
  })) as Omit<Invitation, 'token'>;
  const pool = await readPool(homeFolder);
  if (pool === undefined) throw new PotluckError('internal', 'the pool is not known in this folder, though its tracker answered');
  const reachable = (addresses.length > 0 ? addresses : lanFirst(answer.addresses)).slice(0, limits.invitationAddressesMax);
  const seed = privateKey.export({ format: 'der', type: 'pkcs8' }).subarray(-32);
  return { ...answer, addresses: reachable, token: tokenText({ pool: pool.pool, id: answer.id, seed, addresses: reachable }) };
}

/** Loopback leads nowhere from another machine, and is named only if there is nothing else. */
function lanFirst(addresses: readonly Address[]): readonly Address[] {
  const others = addresses.filter(({ host }) => !isLoopback(host));
  return others.length > 0 ? others : addresses;
}
