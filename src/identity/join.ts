/**
 * The newcomer's side of joining a pool.
 *
 * Owns: the order in which things happen. Neighbours: join-proofs.ts says what proves what; joining.ts is
 * the other side.
 *
 * Invariants
 * 1. Nothing is sent, and no key is made, before the other end has proved to hold the key of the pool that
 *    the invitation names. The connection itself is made with a key that is thrown away.
 * 2. The folder is in the pool only once its roster is on disk. Until then everything can be done again:
 *    the tracker knows the key and lets it in without counting the invitation once more.
 */
import { createPrivateKey, generateKeyPairSync } from 'node:crypto';
import { isErrorCode, PotluckError } from '../errors.ts';
import { hostAndPort, isLoopback } from '../lib/hosts.ts';
import { limits } from '../limits.ts';
import { dialToJoin, JoinBroken, type JoinChannel } from '../wire/join-channel.ts';
import type { Address, JoinMessageOf, Problem } from '../wire/messages.ts';
import { hasPoolKey, identityOf, openHomeFolder, readPool, rememberPool, type Identity } from './home-folder.ts';
import type { InvitationToken } from './invitation-token.ts';
import { isTrackerOf, newcomerProof } from './join-proofs.ts';
import { keyRevoked, LiveRoster } from './live-roster.ts';
import type { Role } from './roster.ts';

export interface JoinOptions {
  token: InvitationToken;
  /** The home folder; made if need be. */
  folder: string;
  /** What this machine is called. */
  machine: string;
  /** For each address: to reach it, and for each answer of it. */
  timeoutMs?: number;
}

export interface Joined {
  pool: string;
  poolName: string;
  /** Under which this machine is a member, and as what. */
  name: string;
  role: Role;
  tracker: Address;
  /** It was a member before; nothing was changed. */
  already: boolean;
}

/**
 * Throws PotluckError `already_joined`, `tracker_unreachable`, `not_the_tracker`, `revoked`, or what the tracker
 * said: `invitation_refused`, `invitation_expired`, `invitation_used_up`, `invitation_revoked`, `pool_full`.
 */
export async function join(options: JoinOptions): Promise<Joined> {
  const before = await standing(options);
  if (before !== undefined) return before;
  const { channel, address } = await reachTracker(options);
  try {
    return await becomeMember(options, channel, address);
  } catch (error) {
    throw error instanceof JoinBroken ? brokenOff(address, error) : error;
  } finally {
    channel.end();
  }
}

/** What the folder is already; undefined: it may join. */
async function standing({ token, folder }: JoinOptions): Promise<Joined | undefined> {
  const pool = await readPool(folder);
  if (await hasPoolKey(folder)) throw ownPool(pool?.pool === token.pool);
  if (pool === undefined) return undefined;
  if (pool.pool !== token.pool) {
    throw new PotluckError('already_joined', `this machine is in another pool already: ${pool.name}`, {
      why: 'one folder is in one pool',
      fix: 'give the other pool a folder of its own, for all commands there: export POTLUCK_HOME=~/.potluck-2',
    });
  }
  const { identity } = await openHomeFolder(folder);
  const roster = await new LiveRoster({ folder, ownKeyId: identity.keyId }).open();
  if (roster.isRevoked(identity.keyId)) throw keyRevoked(folder);
  return memberAs(identity, roster, pool.name, pool.trackers?.[0], true);
}

function ownPool(isThis: boolean): PotluckError {
  if (isThis) return new PotluckError('already_joined', 'this is the machine of the pool\'s own tracker', { why: 'it need not join what it keeps', fix: 'type the line on the other machine; here start a peer: potluck peer' });
  return new PotluckError('already_joined', 'this machine has a pool of its own', {
    why: 'a tracker was started here, by potluck tracker or potluck up, and one folder is in one pool',
    fix: 'give the other pool a folder of its own, for all commands there: export POTLUCK_HOME=~/.potluck-2',
  });
}

/** The first of the invitation's addresses where somebody proves to be the tracker. */
async function reachTracker(options: JoinOptions): Promise<{ channel: JoinChannel; address: Address }> {
  const { token, timeoutMs = limits.helloMs } = options;
  // Who is in the middle learns nothing of who comes, not even a public key.
  const passing = identityOf(generateKeyPairSync('ed25519').privateKey);
  let failure: PotluckError | undefined;
  for (const address of token.addresses) {
    try {
      return { channel: await reach(address, token.pool, passing, timeoutMs), address };
    } catch (error) {
      if (!(error instanceof PotluckError)) throw error;
      // Of several reasons, that somebody else answers is the one to be told.
      if (failure === undefined || error.code === 'not_the_tracker') failure = error;
    }
  }
  throw failure ?? new PotluckError('tracker_unreachable', 'the invitation names no address');
}

/** Throws PotluckError `tracker_unreachable`, `not_the_tracker`, `version_gap`. */
async function reach(address: Address, pool: string, passing: Identity, timeoutMs: number): Promise<JoinChannel> {
  const channel = await dialToJoin(address, passing, timeoutMs).catch((error: unknown) => {
    throw error instanceof PotluckError ? notReached(address, error) : error;
  });
  let proof: JoinMessageOf<'join_hello'>;
  try {
    proof = await within(channel, timeoutMs, channel.next('join_hello'));
  } catch (error) {
    throw error instanceof JoinBroken ? brokenOff(address, error) : error;
  }
  if (isTrackerOf(pool, proof, channel.exporter)) return channel;
  channel.destroy();
  throw new PotluckError('not_the_tracker', `this is not the invited tracker: what answers at ${placeOf(address)} cannot prove it`, {
    why: 'it does not hold the key of the pool, or somebody sits between it and this machine; nothing secret was sent',
    fix: 'check the address and the network with who invited you, and do not type the invitation anywhere else',
  });
}

async function becomeMember({ token, folder, machine, timeoutMs = limits.helloMs }: JoinOptions, channel: JoinChannel, address: Address): Promise<Joined> {
  const { identity } = await openHomeFolder(folder);
  channel.send(newcomerProof(token, createPrivateKey(identity.keyPem), machine, channel.exporter));
  const answer = await within(channel, timeoutMs, channel.next('joined', 'join_refused'));
  if (answer.kind === 'join_refused') throw refusedBy(answer.error, folder);
  const trackers = placesFrom(address, answer.addresses);
  const roster = await new LiveRoster({ folder, ownKeyId: identity.keyId }).openFor(token.pool);
  await roster.take(answer.roster);
  const joined = memberAs(identity, roster, answer.pool_name, address, false);
  if (joined === undefined) throw new PotluckError('internal', 'the tracker let this machine in, but its roster does not say so', { fix: 'please report it' });
  await rememberPool(folder, { pool: token.pool, name: answer.pool_name, trackers });
  return joined;
}

/** Where it was found, then where else it says to be. Its loopback is not ours, unless it was found there. */
function placesFrom(found: Address, told: readonly Address[]): Address[] {
  const others = told.filter(({ host, port }) => (host !== found.host || port !== found.port) && (isLoopback(found.host) || !isLoopback(host)));
  return [found, ...others].slice(0, limits.addressesMax);
}

/** Undefined if the roster does not have the key. */
function memberAs({ keyId }: Identity, roster: LiveRoster, poolName: string, tracker: Address | undefined, already: boolean): Joined | undefined {
  const { body } = roster;
  const [role, name] = [roster.roleOf(keyId), roster.nameOf(keyId)];
  if (body === undefined || role === undefined || name === undefined || tracker === undefined) return undefined;
  return { pool: body.pool, poolName, name, role, tracker, already };
}

/** What the tracker said, with what is known here of how to mend it. */
function refusedBy({ code, message, hint }: Problem, folder: string): PotluckError {
  if (code === 'revoked') return keyRevoked(folder);
  return new PotluckError(isErrorCode(code) ? code : 'invitation_refused', message, { why: code === 'invitation_refused' ? 'it says no more to whom it does not know' : undefined, fix: hint });
}

async function within<T>(channel: JoinChannel, timeoutMs: number, work: Promise<T>): Promise<T> {
  const timer = setTimeout(() => channel.destroy(`no answer within ${timeoutMs / 1000} s`), timeoutMs);
  try {
    return await work;
  } finally {
    clearTimeout(timer);
  }
}

const placeOf = ({ host, port }: Address): string => hostAndPort(host, port);

const brokenOff = (address: Address, cause: JoinBroken): PotluckError =>
  new PotluckError('tracker_unreachable', `the tracker at ${placeOf(address)} broke off`, { why: cause.message, fix: 'type the same command again: an invitation is not used up by that', cause });

const notReached = (address: Address, cause: PotluckError): PotluckError =>
  new PotluckError(cause.code, cause.message, { why: cause.why, fix: `check that potluck tracker runs there and that this machine may reach port ${address.port} of it`, cause });
