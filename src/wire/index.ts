/**
 * What the rest of the program needs of the wire.
 */
export * from './messages.ts';
export { type Connection, isSilent } from './connection.ts';
export { wireCounters } from './counters.ts';
export { errorOf, greet } from './hello.ts';
export type { LinkIdentity } from './key-id.ts';
export type { LinkMembership } from './membership.ts';
export { connectInMemory } from './memory-connection.ts';
export { dial, listen, type Listener, type ListenOptions } from './tls-connection.ts';
