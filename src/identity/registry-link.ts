/**
 * A member's client at the tracker: what may be asked of the registry, and the answers as JSON.
 *
 * Owns: who may ask what. Changes are checked once more where they are decided (registry-state.ts).
 */
import { createHash, randomBytes } from 'node:crypto';
import { limits } from '../limits.ts';
import type { Address, Connection, Message, MessageOf, Problem, Value } from '../wire/index.ts';
import type { Audit } from './audit.ts';
import { ed25519FromSpki } from './sealed-roster.ts';
import type { Registry } from './registry.ts';
import type { RegistryAnswer } from './registry-state.ts';
import type { Roster } from './roster.ts';

export interface RegistryLinkOptions {
  registry: Registry;
  roster: Roster;
  audit: Audit;
  /** Where this tracker can be reached. */
  addresses: () => Address[];
  /** Keys that are linked to the tracker now. */
  linkedNow: () => ReadonlySet<string>;
  /** Milliseconds since 1970. */
  lastSeen: (key: string) => number | undefined;
  /** A member asked for what its role does not allow. */
  onRefused: (key: string, what: string) => void;
  broken: (error: unknown) => void;
}

type Question = MessageOf<'invite'> | MessageOf<'revoke'> | MessageOf<'registry'>;
type Answer = Record<string, unknown> | readonly unknown[] | { error: Problem };

const iso = (wall: number | undefined): string | null => (wall === undefined ? null : new Date(wall).toISOString());
/** The part of a key's id that people compare. */
export const fingerprintOf = (key: string): string => (key.slice(0, 16).match(/.{4}/g) ?? []).join('-');

export class RegistryLink {
  readonly #o: RegistryLinkOptions;
  readonly #connection: Connection;
  #long: { hash: string; json: Uint8Array } | undefined;

  constructor(connection: Connection, options: RegistryLinkOptions) {
    this.#connection = connection;
    this.#o = options;
  }

  start(): void {
    this.#connection.onClose = () => undefined;
    this.#connection.serve(async (hash) => (this.#long?.hash === hash ? this.#long.json : undefined));
    this.#connection.onMessage = (message) => this.#heard(message);
  }

  #heard(message: Message): void {
    if (message.kind === 'invite' || message.kind === 'revoke' || message.kind === 'registry') {
      this.#answer(message).catch(this.#o.broken);
    } else if (message.kind !== 'bye') {
      this.#connection.close({ code: 'peer_unreachable', message: 'this is a tracker; tasks are given to a peer', hint: 'use the port of a peer, by default 9000' });
    }
  }

  async #answer(question: Question): Promise<void> {
    const answer = await this.#answerTo(question);
    const { ask } = question;
    if ('error' in answer) this.#connection.send({ kind: 'answer', ask, error: answer.error as Problem });
    else this.#connection.send({ kind: 'answer', ask, json: this.#valueOf(Buffer.from(JSON.stringify(answer))) });
  }

  /** A long answer is fetched by its hash; who asks has one link for one question, so one is kept. */
  #valueOf(json: Uint8Array): Value {
    if (json.length <= limits.inlineBytesMax) return json;
    const hash = createHash('sha256').update(json).digest('hex');
    this.#long = { hash, json };
    return { hash, size: json.length };
  }

  async #answerTo(question: Question): Promise<Answer> {
    const by = this.#connection.peerKey;
    const role = this.#o.roster.roleOf(by);
    // Who belongs to the pool is no secret among members: each has the roster.
    const open = question.kind === 'registry' && question.what === 'members';
    if (role !== 'admin' && !open) {
      this.#o.onRefused(by, question.kind === 'registry' ? question.what : question.kind);
      return { error: { code: 'not_allowed', message: `only an admin of the pool may do that, and this key is ${role === undefined ? 'no member' : `a ${role}`}`, hint: 'type it on the machine of the tracker, or ask an admin' } };
    }
    if (question.kind === 'invite') return this.#invite(question, by);
    if (question.kind === 'revoke') return this.#revoke(question, by);
    return this.#read(question);
  }

  async #invite({ public_key: publicKey, role, joins, ttlMs, name }: MessageOf<'invite'>, by: string): Promise<Answer> {
    if (ed25519FromSpki(publicKey) === undefined) return { error: { code: 'usage', message: 'an invitation needs an Ed25519 key' } };
    const { registry, addresses } = this.#o;
    const answer = await registry.ask({ type: 'invite_asked', by, id: randomBytes(8).toString('hex'), publicKey: Buffer.from(publicKey).toString('base64'), role, joins, ttlMs, name });
    if (!('ok' in answer) || answer.ok !== 'invited') return refusedOf(answer);
    const { id, expiresWall } = answer.invitation;
    return { id, role, joins, name: name ?? null, expires_at: iso(expiresWall), addresses: addresses() };
  }

  async #revoke({ member, invitation }: MessageOf<'revoke'>, by: string): Promise<Answer> {
    const { registry } = this.#o;
    if (invitation !== undefined) {
      const answer = await registry.ask({ type: 'invitation_revoke_asked', by, id: invitation });
      return 'ok' in answer && answer.ok === 'invitation_revoked' ? { invitation, used: answer.invitation.used } : refusedOf(answer);
    }
    const answer = await registry.ask({ type: 'revoke_asked', by, member: member ?? '' });
    if (!('ok' in answer) || answer.ok !== 'revoked') return refusedOf(answer);
    return { name: answer.member.name, fingerprint: fingerprintOf(answer.member.key), already: answer.again, invitations: answer.invitations };
  }

  #read({ what, limit = limits.auditRowsMax }: MessageOf<'registry'>): Answer {
    if (what === 'members') return this.#members();
    return what === 'invitations' ? this.#invitations() : this.#audit(limit);
  }

  #members(): Answer {
    const { registry, linkedNow, lastSeen } = this.#o;
    // The tracker is there, for it answers.
    const now = new Set([...linkedNow(), registry.state.tracker]);
    return [...registry.state.members.values()].map(({ key, name, role, state, machine, joinedWall }) => ({
      name,
      role,
      state,
      machine,
      connected: now.has(key),
      last_seen: iso(now.has(key) ? Date.now() : lastSeen(key)),
      joined_at: iso(joinedWall),
      fingerprint: fingerprintOf(key),
      key,
      tracker: key === registry.state.tracker,
    }));
  }

  #invitations(): Answer {
    const { state } = this.#o.registry;
    const wall = Date.now();
    return [...state.invitations.values()].toReversed().map((invitation) => ({
      id: invitation.id,
      state: state.closedBecause(invitation, wall) ?? 'open',
      role: invitation.role,
      name: invitation.name ?? null,
      used: invitation.used,
      joins: invitation.joins,
      expires_at: iso(invitation.expiresWall),
      by: this.#nameOf(invitation.by),
    }));
  }

  #audit(limit: number): Answer {
    return this.#o.audit.rows(limit).map(({ atWall, what, key, detail, count }) => ({ at: iso(atWall), what, who: key === undefined ? null : this.#nameOf(key), detail, count }));
  }

  #nameOf(key: string): string {
    return this.#o.registry.state.members.get(key)?.name ?? fingerprintOf(key);
  }
}

function refusedOf(answer: RegistryAnswer): { error: Problem } {
  if ('refused' in answer) return { error: answer.refused };
  return { error: { code: 'internal', message: 'the registry answered something else', hint: 'please report it' } };
}
