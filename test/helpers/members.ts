/** Who may have a link, for tests that have no roster. */
import type { LinkMembership } from '../../src/wire/membership.ts';

export const trusting = (trusts: (keyId: string) => boolean): LinkMembership => ({
  trusts,
  problemOf: (keyId) => (trusts(keyId) ? undefined : { code: 'not_a_member', message: 'the other side does not know this key' }),
  number: 0,
  sealed: undefined,
  pushes: false,
  offered: () => undefined,
  onChange: () => () => undefined,
});
