/** What is asked of workers whatever they are held in: here in the box. */
import { describe } from 'vitest';
import { holdIn } from './harness.ts';

holdIn(2);
describe('python', async () => void (await import('./python-contract.ts')));
describe('javascript', async () => void (await import('./javascript-contract.ts')));
describe('jobs fed ahead', async () => void (await import('./ahead-contract.ts')));
describe('output', async () => void (await import('./pace-contract.ts')));
