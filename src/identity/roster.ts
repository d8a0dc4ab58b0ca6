/**
 * Who belongs to the pool, and as what.
 *
 * Owns: the words. What is signed of it is in sealed-roster.ts; the roster that a process goes by,
 * which changes while it runs, in live-roster.ts; who may change it, in registry-state.ts.
 */
import * as z from 'zod';
import { limits } from '../limits.ts';
import { hashSchema, peerNameSchema } from '../wire/messages.ts';

export const roles = ['admin', 'member', 'runner'] as const;
/** `admin`: everything; `member`: may submit; `runner`: may only run what others submit. */
export type Role = (typeof roles)[number];

const rosterRowSchema = z.object({
  /** SHA-256 (hex) of the member's public key. */
  key: hashSchema,
  /** No other active row has it. */
  name: peerNameSchema,
  role: z.enum(roles),
  /** A revoked row is kept so that its holder can be told why; to everybody else it is as none. */
  state: z.enum(['active', 'revoked']),
});
export type RosterRow = z.infer<typeof rosterRowSchema>;

/** All of one roster: what the pool's key signs. */
export const rosterBodySchema = z.object({
  pool: hashSchema,
  /** Counts the changes; of two rosters the higher number is true. */
  number: z.number().int().min(1),
  /** The key that the pool's tracker shows. */
  tracker: hashSchema,
  members: z.array(rosterRowSchema).max(limits.membersMax + limits.revokedRowsMax),
});
export type RosterBody = z.infer<typeof rosterBodySchema>;

/** What others ask of the roster. The answers change when a newer one comes. */
export interface Roster {
  /** The role of the holder of a key (64 hex digits); undefined for a stranger and a revoked one. */
  roleOf(keyId: string): Role | undefined;
  /** The name under which the key is a member; undefined as above, and for the own key before the first roster. */
  nameOf(keyId: string): string | undefined;
  /** The key was a member once. */
  isRevoked(keyId: string): boolean;
  /** The number of the roster that is in force; 0: none yet. */
  readonly number: number;
  /** The key that the tracker must show; before the first roster the own one. */
  readonly trackerKey: string;
  /** How long ago the tracker last said that this roster is the newest, in ms; Infinity: never. Before the first roster 0. */
  confirmedMsAgo(): number;
  /** Calls back after every change. Returns how to stop that. */
  onChange(listener: () => void): () => void;
}
