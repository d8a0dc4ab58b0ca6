/**
 * What a process counts about its links. Nothing here decides anything; status shows it.
 */
export const wireCounters = {
  /** Messages of a kind that only a newer potluck knows; ignored. */
  unknownKinds: 0,
  /** Links closed because what came was not a message. */
  malformed: 0,
  /** Incoming connections turned away before they were links: limits, plain text, no key, a stranger's key. */
  refused: 0,
  /** Chunks of content nobody waits for any more. */
  strayChunks: 0,
};
