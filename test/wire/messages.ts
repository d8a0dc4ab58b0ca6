/** One example of every kind of message that has something to it. */
import type { Message } from '../../src/wire/messages.ts';

const hash = 'ab'.repeat(32);
const id = '0190a1b2-c3d4-7e5f-8a9b-000000000001';
const attempt = { id, attempt: 1, key: '0123456789abcdef' };
const bytes = (text: string): Uint8Array => Uint8Array.from(Buffer.from(text));
const self = {
  peer: '127.0.0.1-9000',
  incarnation: 'x',
  addresses: [{ host: '127.0.0.1', port: 9000 }],
  machine: { boot: 'b', net: 'n' },
  slots: 4,
  languages: { python: '3.11.7' },
  memoryMb: 2000,
  isolation: 1,
  version: '0.1.0',
};

export const examples: Message[] = [
  { kind: 'hello', version: '0.1.0', incarnation: 'i', as: 'runner', name: 'n', held: [{ ...attempt, ended: true }], self },
  { kind: 'ping', t: 12.5 },
  { kind: 'bye', error: { code: 'draining', message: 'going', hint: 'wait' } },
  { kind: 'want', hash },
  { kind: 'chunk', hash, offset: 0, size: 3, data: bytes('abc') },
  { kind: 'submit', id, program: hash, language: 'python', function: 'main', args: bytes('[5]'), options: { timeoutMs: 500, once: true } },
  { kind: 'submit', id, program: hash, language: 'javascript', function: 'main', args: { hash, size: 70_000 }, options: {} },
  { kind: 'ask', ask: 1, what: 'history', limit: 20 },
  { kind: 'accepted', ids: [id, 'other'] },
  { kind: 'output', id, attempt: 1, peer: 'p', stream: 'stderr', data: bytes('grüße 👋') },
  {
    kind: 'outcome',
    id,
    state: 'done',
    peer: 'p',
    attempt: 1,
    queued_ms: 1.25,
    run_ms: null,
    receipt: { peer: 'p', decided: 'load', candidates: [{ peer: 'p', load: 0.5, cpu_load: 0 }], passed_over: { 'no python3': 2 } },
    result: bytes('25'),
  },
  { kind: 'demand', seen: 3, waiting: [{ need: { language: 'python' }, count: 100_000 }], held: [{ peer: 'p', slots: 2, used: 1 }] },
  { kind: 'attempt', ...attempt, program: hash, language: 'python', function: 'main', args: bytes('[]'), submitter: 's' },
  { kind: 'attempt_ended', ...attempt, outcome: 'failed', error: { code: 'exception', message: 'boom', traceback: 'line 1' }, runUs: 12 },
];
