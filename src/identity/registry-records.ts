/**
 * What the registry writes down: one record is one change, whole or not at all, and at the same time the
 * line of the audit that tells of it.
 *
 * Invariant: a record that changes the roster carries the roster's new number, and numbers rise by one.
 */
import * as z from 'zod';
import { hashSchema, idSchema, peerNameSchema } from '../wire/messages.ts';

const role = z.enum(['admin', 'member', 'runner']);
const wall = z.number();
const number = z.number().int().min(1);

export const registryRecordSchema = z.discriminatedUnion('type', [
  /** The tracker's key is an admin from here on; rows that a roster already had are taken over. */
  z.object({
    type: z.literal('founded'),
    atWall: wall,
    number,
    tracker: hashSchema,
    members: z.array(z.object({ key: hashSchema, name: peerNameSchema, role, state: z.enum(['active', 'revoked']) })),
    machine: z.string(),
    /** The log was older than the roster: an old copy. Open invitations end with it. */
    outrun: z.boolean().optional(),
  }),
  z.object({
    type: z.literal('invited'),
    atWall: wall,
    by: hashSchema,
    id: idSchema,
    /** SPKI of the seed's public half, base64. */
    publicKey: z.string().max(200),
    role,
    name: peerNameSchema.optional(),
    joins: z.number().int().min(1),
    expiresWall: wall,
  }),
  /** One use of the invitation and one row of the roster. */
  z.object({ type: z.literal('joined'), atWall: wall, number, invitation: idSchema, key: hashSchema, name: peerNameSchema, role, machine: z.string(), address: z.string() }),
  z.object({ type: z.literal('invitation_revoked'), atWall: wall, by: hashSchema, id: idSchema }),
  /** With the invitations that end with it: the one it came by and those it made. */
  z.object({ type: z.literal('revoked'), atWall: wall, by: hashSchema, number, key: hashSchema, name: peerNameSchema, invitations: z.array(idSchema) }),
]);
export type RegistryRecord = z.infer<typeof registryRecordSchema>;
