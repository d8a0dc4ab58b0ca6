/** Who may have a link, and who is what, for tests that have no signed roster. */
import type { Role, Roster } from '../../src/identity/roster.ts';
import type { LinkMembership } from '../../src/wire/membership.ts';

export const trusting = (trusts: (keyId: string) => boolean): LinkMembership => ({
  trusts,
  problemOf: (keyId) => (trusts(keyId) ? undefined : { code: 'not_a_member', message: 'the other side does not know this key' }),
  number: 0,
  sealed: undefined,
  pushes: false,
  offered: async () => true,
  onChange: () => () => undefined,
});

/** Everybody's name is `name of KEY`. A revoked key is revoked for all who ask from then on. */
export class TestRoster implements Roster {
  readonly number = 1;
  readonly trackerKey = 'tracker';
  readonly #roles: Map<string, Role>;
  readonly #revoked = new Set<string>();
  readonly #listeners = new Set<() => void>();

  constructor(roles: Record<string, Role>) {
    this.#roles = new Map(Object.entries(roles));
  }

  roleOf(keyId: string): Role | undefined {
    return this.#revoked.has(keyId) ? undefined : this.#roles.get(keyId);
  }

  nameOf(keyId: string): string | undefined {
    return this.roleOf(keyId) === undefined ? undefined : `name of ${keyId}`;
  }

  isRevoked(keyId: string): boolean {
    return this.#revoked.has(keyId);
  }

  confirmedMsAgo(): number {
    return 0;
  }

  onChange(listener: () => void): () => void {
    this.#listeners.add(listener);
    return () => this.#listeners.delete(listener);
  }

  revoke(keyId: string): void {
    this.#revoked.add(keyId);
    for (const listener of this.#listeners) listener();
  }
}
