/**
 * The roster of a simulated pool: who is a member, as the folders of its users know it. What passes it from one
 * to the next, and ends the links of who is none any more, is the production code (src/wire/membership.ts).
 *
 * Nothing is signed here: what a roster must be to count is the business of src/identity and its tests.
 */
import type { Role, Roster } from '../../src/identity/roster.ts';
import type { LinkMembership } from '../../src/wire/membership.ts';
import type { MessageBody, Problem } from '../../src/wire/messages.ts';

/** One key, of all processes of a folder. */
export interface Member {
  readonly key: string;
  readonly role: Role;
}

interface Body {
  number: number;
  members: (Member & { isRevoked: boolean })[];
}

export const owner: Member = { key: 'a'.repeat(64), role: 'admin' };

/** What a folder holds; it goes on over the starts of its processes. */
export class Folder {
  readonly member: Member;
  /** Undefined before there is another user in the pool. */
  body: Body | undefined;

  constructor(member: Member, body?: Body) {
    this.member = member;
    this.body = body;
  }
}

/** The roster as one process goes by it. */
export class SimRoster implements Roster, LinkMembership {
  readonly pushes: boolean;
  readonly trackerKey: string;
  readonly #folder: Folder;
  readonly #listeners = new Set<() => void>();
  #body: Body | undefined;

  constructor(folder: Folder, trackerKey: string, pushes = false) {
    this.#folder = folder;
    this.#body = folder.body;
    this.trackerKey = trackerKey;
    this.pushes = pushes;
  }

  get number(): number {
    return this.#body?.number ?? 0;
  }

  get sealed(): MessageBody<'roster'> | undefined {
    return this.#body === undefined ? undefined : { number: this.#body.number, body: encoder.encode(JSON.stringify(this.#body)), pool_key: nothing, signature: nothing };
  }

  roleOf(key: string): Role | undefined {
    if (this.#body === undefined) return key === this.#folder.member.key ? 'admin' : undefined;
    return this.#body.members.find((member) => member.key === key && !member.isRevoked)?.role;
  }

  nameOf(key: string): string | undefined {
    return this.roleOf(key) === undefined ? undefined : key.slice(0, 8);
  }

  isRevoked(key: string): boolean {
    return this.#body?.members.some((member) => member.key === key && member.isRevoked) === true;
  }

  confirmedMsAgo(): number {
    return 0;
  }

  trusts(key: string): boolean {
    return this.roleOf(key) !== undefined;
  }

  problemOf(key: string): Problem | undefined {
    return this.trusts(key) ? undefined : { code: 'not_a_member', message: 'this key is not a member' };
  }

  onChange(listener: () => void): () => void {
    this.#listeners.add(listener);
    return () => this.#listeners.delete(listener);
  }

  async offered(sealed: MessageBody<'roster'>): Promise<boolean> {
    this.#use(JSON.parse(new TextDecoder().decode(sealed.body)) as Body);
    return true;
  }

  /** The tracker's only. */
  revoke(key: string): void {
    const { number, members } = this.#body!;
    this.#use({ number: number + 1, members: members.map((member) => (member.key === key ? { ...member, isRevoked: true } : member)) });
  }

  #use(body: Body): void {
    if (body.number <= this.number) return;
    this.#body = body;
    if (body.number > (this.#folder.body?.number ?? 0)) this.#folder.body = body;
    for (const listener of this.#listeners) listener();
  }
}

const encoder = new TextEncoder();
const nothing = new Uint8Array(0);

/** The first roster of a pool with these users. */
export const rosterOf = (members: readonly Member[]): Body => ({ number: 1, members: members.map((member) => ({ ...member, isRevoked: false })) });
