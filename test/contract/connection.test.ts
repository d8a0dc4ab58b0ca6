import { memoryPair, tlsPair } from './connection-ends.ts';
import { connectionContract } from './connection-contract.ts';

connectionContract('over TLS', tlsPair);
connectionContract('in memory', memoryPair);
