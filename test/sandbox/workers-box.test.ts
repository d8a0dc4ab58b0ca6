/** What is asked of workers whatever they are held in: here in the box. */
import { describe } from 'vitest';
import { canBox, holdIn } from './harness.ts';

holdIn(2);
describe.runIf(canBox)('python', async () => void (await import('./python-contract.ts')));
describe.runIf(canBox)('javascript', async () => void (await import('./javascript-contract.ts')));
describe.runIf(canBox)('jobs fed ahead', async () => void (await import('./ahead-contract.ts')));
describe.runIf(canBox)('output', async () => void (await import('./pace-contract.ts')));
