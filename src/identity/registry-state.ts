/**
 * The decider of the registry: who is a member, which invitations are open, who may change that.
 *
 * Neighbours: registry.ts has the log, the pool's key and the links; joining.ts checks signatures before
 * anything comes here, so that `proved` is a fact.
 *
 * Invariants
 * 1. An invitation is used at most as often as it says: the use and the row are one record.
 * 2. A revoked key never comes back, and neither the invitation that it came by nor one that it made lets
 *    anybody in any more.
 * 3. Only an admin changes anything, as the roster stands when the change is decided.
 * 4. Time is the wall clock of this one process: an invitation ends by it, and nobody else's clock counts.
 */
import type { Now } from '../lib/clock.ts';
import type { Decider, Decision } from '../lib/driver.ts';
import { limits } from '../limits.ts';
import type { Problem } from '../wire/messages.ts';
import type { RegistryRecord } from './registry-records.ts';

type Role = 'admin' | 'member' | 'runner';

export interface RegistryMember {
  readonly key: string;
  readonly name: string;
  readonly role: Role;
  state: 'active' | 'revoked';
  readonly machine: string;
  readonly joinedWall: number;
  /** The invitation it came by; undefined for the tracker itself. */
  readonly invitation: string | undefined;
}

export interface Invitation {
  readonly id: string;
  readonly publicKey: string;
  readonly role: Role;
  readonly name: string | undefined;
  readonly joins: number;
  used: number;
  readonly expiresWall: number;
  readonly by: string;
  readonly atWall: number;
  revoked: boolean;
}

export type RegistryEvent =
  | { type: 'tick' }
  /** At the start, and whenever a newer roster than the log's came from elsewhere. */
  | { type: 'started'; key: string; name: string; machine: string; roster: { number: number; members: { key: string; name: string; role: Role; state: 'active' | 'revoked' }[] } | undefined }
  | { type: 'invite_asked'; asker: number; by: string; id: string; publicKey: string; role: Role; joins: number; ttlMs: number; name?: string | undefined }
  | { type: 'join_asked'; asker: number; invitation: string; key: string; machine: string; address: string; name: string }
  | { type: 'invitation_revoke_asked'; asker: number; by: string; id: string }
  | { type: 'revoke_asked'; asker: number; by: string; member: string }
  | { type: 'commit_failed' };

/** What may be seen once the records are on disk. */
export type RegistryAfter =
  | { to: 'audit'; record: RegistryRecord }
  /** The members changed: sign and publish them. */
  | { to: 'publish' }
  | { to: 'asker'; asker: number; answer: RegistryAnswer };
export type RegistryAnswer =
  | { ok: 'invited'; invitation: Invitation }
  | { ok: 'joined'; member: RegistryMember; again: boolean }
  | { ok: 'invitation_revoked'; invitation: Invitation }
  | { ok: 'revoked'; member: RegistryMember; again: boolean; invitations: string[] }
  | { refused: Problem };

type Out = Decision<never, RegistryRecord, RegistryAfter>;

export class RegistryState implements Decider<RegistryEvent, never, RegistryRecord, RegistryAfter> {
  /** The number of the roster as it stands; 0 before the first. */
  number = 0;
  /** The tracker's key. */
  tracker = '';
  readonly members = new Map<string, RegistryMember>();
  readonly invitations = new Map<string, Invitation>();
  #failed = false;
  #out: Out = { send: [], journal: [], after: [], wakeAt: undefined };

  decide(event: RegistryEvent, now: Now): Out {
    this.#out = { send: [], journal: [], after: [], wakeAt: undefined };
    if (event.type === 'commit_failed') this.#failed = true;
    else if (event.type === 'started') this.#started(event, now);
    else if (event.type !== 'tick') {
      const answer = this.#failed ? storeFailed : this.#answerTo(event, now);
      this.#out.after.push({ to: 'asker', asker: event.asker, answer });
    }
    return this.#out;
  }

  /** What an invitation is worth at that time; undefined: it is open. */
  closedBecause(invitation: Invitation, wall: number): 'revoked' | 'used_up' | 'expired' | undefined {
    if (invitation.revoked) return 'revoked';
    if (invitation.used >= invitation.joins) return 'used_up';
    return wall >= invitation.expiresWall ? 'expired' : undefined;
  }

  #answerTo(event: Extract<RegistryEvent, { asker: number }>, now: Now): RegistryAnswer {
    if (event.type === 'join_asked') return this.#join(event, now);
    if (this.#active(event.by)?.role !== 'admin') return refuse('not_allowed', 'only an admin of the pool may do that', 'ask who runs the tracker');
    switch (event.type) {
      case 'invite_asked':
        return this.#invite(event, now);
      case 'invitation_revoke_asked':
        return this.#revokeInvitation(event, now);
      case 'revoke_asked':
        return this.#revoke(event, now);
    }
  }

  #started({ key, name, machine, roster }: Extract<RegistryEvent, { type: 'started' }>, now: Now): void {
    // A roster that we signed and that is newer than our log: the log is an old copy. The roster is the truth then.
    const outrun = roster !== undefined && roster.number > this.number;
    if (!outrun && this.tracker === key && this.#active(key)?.role === 'admin') {
      this.#out.after.push({ to: 'publish' });
      return;
    }
    const before = outrun ? roster.members : [...this.members.values()];
    const others = before.filter((member) => member.key !== key && member.key !== this.tracker);
    const known = before.find((member) => member.key === key);
    const own = { key, name: known?.name ?? this.#freeName(name, others), role: 'admin' as const, state: 'active' as const };
    const members = [own, ...others].map((member) => ({ key: member.key, name: member.name, role: member.role, state: member.state }));
    this.#record({ type: 'founded', atWall: now.wall, number: Math.max(this.number, roster?.number ?? 0) + 1, tracker: key, members, machine, ...(outrun && this.number > 0 ? { outrun } : {}) });
    this.#out.after.push({ to: 'publish' });
  }

  #invite(event: Extract<RegistryEvent, { type: 'invite_asked' }>, now: Now): RegistryAnswer {
    const open = [...this.invitations.values()].filter((invitation) => this.closedBecause(invitation, now.wall) === undefined);
    if (open.length >= limits.invitationsOpenMax) return refuse('too_many_invitations', `${open.length} invitations are open, and more than that are not kept`, 'end those that nobody needs: potluck invite --list, potluck invite --revoke ID');
    const { id, by, publicKey, role, joins, name } = event;
    this.#record({ type: 'invited', atWall: now.wall, by, id, publicKey, role, ...(name === undefined ? {} : { name }), joins, expiresWall: now.wall + event.ttlMs });
    return { ok: 'invited', invitation: this.invitations.get(id)! };
  }

  #join(event: Extract<RegistryEvent, { type: 'join_asked' }>, now: Now): RegistryAnswer {
    const { key, machine, address } = event;
    const invitation = this.invitations.get(event.invitation);
    if (invitation === undefined) return refuse('invitation_refused', 'the tracker does not accept this invitation', 'ask for a new one: potluck invite, on the machine of the tracker');
    const known = this.members.get(key);
    if (known?.state === 'revoked') return refuse('revoked', 'the key of this machine was revoked', 'to come back with a new invitation, remove member.key and pool.json in the folder of the pool (~/.potluck) first');
    // The answer to its first try may have been lost; that it is a member is on disk.
    if (known !== undefined) return { ok: 'joined', member: known, again: true };
    const closed = this.closedBecause(invitation, now.wall);
    if (closed !== undefined) return closedInvitation(closed, invitation);
    if (this.#activeCount() >= limits.membersMax) return refuse('pool_full', `the pool has ${limits.membersMax} members, and more do not fit into its roster`, 'revoke those that are gone: potluck members, potluck revoke NAME');
    const name = this.#freeName(invitation.name ?? event.name, this.members.values());
    this.#record({ type: 'joined', atWall: now.wall, number: this.number + 1, invitation: invitation.id, key, name, role: invitation.role, machine, address });
    this.#out.after.push({ to: 'publish' });
    return { ok: 'joined', member: this.members.get(key)!, again: false };
  }

  #revokeInvitation({ by, id }: Extract<RegistryEvent, { type: 'invitation_revoke_asked' }>, now: Now): RegistryAnswer {
    const invitation = this.invitations.get(id);
    if (invitation === undefined) return refuse('unknown_invitation', `there is no invitation ${id}`, 'see which there are: potluck invite --list');
    if (!invitation.revoked) this.#record({ type: 'invitation_revoked', atWall: now.wall, by, id });
    return { ok: 'invitation_revoked', invitation };
  }

  #revoke({ by, member: named }: Extract<RegistryEvent, { type: 'revoke_asked' }>, now: Now): RegistryAnswer {
    const member = this.#named(named);
    if (member === undefined) return refuse('unknown_member', `the pool has no member ${named}`, 'see who belongs to it: potluck members');
    if (member.key === this.tracker) return refuse('not_allowed', 'that is the key of the tracker itself, and without it there is no pool', 'to end the pool, stop the tracker and remove its folder');
    if (member.state === 'revoked') return { ok: 'revoked', member, again: true, invitations: [] };
    const invitations = [...this.invitations.values()].filter((each) => (each.id === member.invitation || each.by === member.key) && !each.revoked).map(({ id }) => id);
    this.#record({ type: 'revoked', atWall: now.wall, by, number: this.number + 1, key: member.key, name: member.name, invitations });
    this.#out.after.push({ to: 'publish' });
    return { ok: 'revoked', member, again: false, invitations };
  }

  // --- records -----------------------------------------------------------------------------

  #record(record: RegistryRecord): void {
    this.#out.journal.push(record);
    this.#out.after.push({ to: 'audit', record });
    this.replay(record);
  }

  /** Changes the state as the record says, when it is decided and when the log is read. */
  replay(record: RegistryRecord): void {
    switch (record.type) {
      case 'founded':
        return this.#found(record);
      case 'invited': {
        const { id, publicKey, role, name, joins, expiresWall, by, atWall } = record;
        this.invitations.set(id, { id, publicKey, role, name, joins, used: 0, expiresWall, by, atWall, revoked: false });
        this.#forgetOldest(atWall);
        return;
      }
      case 'joined': {
        const { key, name, role, machine, invitation, atWall } = record;
        const used = this.invitations.get(invitation);
        if (used !== undefined) used.used += 1;
        this.members.set(key, { key, name, role, state: 'active', machine, joinedWall: atWall, invitation });
        this.number = record.number;
        return;
      }
      case 'invitation_revoked':
        return this.#close(record.id);
      case 'revoked': {
        const member = this.members.get(record.key);
        if (member !== undefined) {
          // Set anew, so that the newest revoked one is the last of them.
          this.members.delete(record.key);
          this.members.set(record.key, { ...member, state: 'revoked' });
        }
        for (const id of record.invitations) this.#close(id);
        this.number = record.number;
      }
    }
  }

  #found({ tracker, members, number, machine, atWall, outrun }: Extract<RegistryRecord, { type: 'founded' }>): void {
    const before = new Map(this.members);
    this.members.clear();
    for (const { key, name, role, state } of members) {
      const known = before.get(key);
      this.members.set(key, { key, name, role, state, machine: key === tracker ? machine : (known?.machine ?? ''), joinedWall: known?.joinedWall ?? atWall, invitation: known?.invitation });
    }
    this.tracker = tracker;
    this.number = number;
    // Which of them were used up or revoked, the lost part of the log said.
    if (outrun === true) for (const id of this.invitations.keys()) this.#close(id);
  }

  #close(id: string): void {
    const invitation = this.invitations.get(id);
    if (invitation !== undefined) invitation.revoked = true;
  }

  /** Of closed invitations the newest are remembered. */
  #forgetOldest(wall: number): void {
    if (this.invitations.size <= limits.invitationsOpenMax + limits.invitationsClosedMax) return;
    for (const invitation of this.invitations.values()) {
      if (this.closedBecause(invitation, wall) === undefined) continue;
      this.invitations.delete(invitation.id);
      return;
    }
  }

  // --- looking up --------------------------------------------------------------------------

  #active(key: string): RegistryMember | undefined {
    const member = this.members.get(key);
    return member?.state === 'active' ? member : undefined;
  }

  #activeCount(): number {
    let count = 0;
    for (const member of this.members.values()) if (member.state === 'active') count += 1;
    return count;
  }

  /** An active member of that name comes before one that had it before; a key is taken too. */
  #named(name: string): RegistryMember | undefined {
    const all = [...this.members.values()].filter((member) => member.name === name || member.key === name);
    return all.find((member) => member.state === 'active') ?? all.at(-1);
  }

  /** The name, or the name with the first number that nobody has. */
  #freeName(wanted: string, members: Iterable<{ name: string; state: 'active' | 'revoked' }>): string {
    const taken = new Set([...members].filter((member) => member.state === 'active').map((member) => member.name));
    if (!taken.has(wanted)) return wanted;
    for (let number = 2; ; number += 1) {
      const suffix = `-${number}`;
      const name = `${wanted.slice(0, limits.nameLengthMax - suffix.length)}${suffix}`;
      if (!taken.has(name)) return name;
    }
  }
}

const refuse = (code: string, message: string, hint: string): { refused: Problem } => ({ refused: { code, message, hint } });

const storeFailed = refuse('store_failed', 'the tracker\'s disk failed to keep the registry; nothing can be changed', 'check the disk of the tracker, then start the tracker again');

/** Its holder has the seed, and so may know why it does not help any more. */
function closedInvitation(why: 'revoked' | 'used_up' | 'expired', { joins }: Invitation): RegistryAnswer {
  const hint = 'ask for a new one: potluck invite, on the machine of the tracker';
  switch (why) {
    case 'revoked':
      return refuse('invitation_revoked', 'this invitation was revoked', hint);
    case 'used_up':
      return refuse('invitation_used_up', `this invitation has been used ${joins === 1 ? 'once' : `${joins} times`}, as often as it may`, hint);
    case 'expired':
      return refuse('invitation_expired', 'this invitation has expired', hint);
  }
}
