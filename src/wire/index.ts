/**
 * What the rest of the program needs of the wire.
 */
export * from './messages.ts';
export type { CloseReason, Connection } from './connection.ts';
export { ContentError, type ContentProvider } from './content.ts';
export { wireCounters } from './counters.ts';
export { errorFromProblem, errorOf, greet } from './hello.ts';
export { keyIdOf, type LinkIdentity } from './key-id.ts';
export { connectInMemory } from './memory-connection.ts';
export { dial, listen, MEMBER_PROTOCOL, type DialOptions, type Listener, type ListenOptions } from './tls-connection.ts';
export { isCompatible, protocol, protocolVersion, versionGap } from './version.ts';
