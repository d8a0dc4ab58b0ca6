/** What can be said of a program before it runs: its functions, and where JSON is wrong. */
import { findJsonMistake, pointAt } from '../../src/lib/json-mistake.ts';

/** Names of functions at the top level; a guess by eye, not a parser: any name may be typed. */
export function functionsOf(program: string, language: string): string[] {
  const patterns = language === 'python' ? [/^(?:async\s+)?def\s+([A-Za-z_]\w*)\s*\(/gm] : [/^(?:export\s+)?(?:default\s+)?(?:async\s+)?function\s*\*?\s*([A-Za-z_$][\w$]*)/gm, /^(?:export\s+)?(?:const|let|var)\s+([A-Za-z_$][\w$]*)\s*(?::[^=\n]+)?=\s*(?:async\s*)?(?:\(|function|[A-Za-z_$][\w$]*\s*=>)/gm];
  const names = patterns.flatMap((pattern) => [...program.matchAll(pattern)].map(([, name]) => name!));
  return [...new Set(names)].filter((name) => !name.startsWith('_'));
}

export interface Mistake {
  text: string;
  /** The line in which it is, and a mark below its place. */
  lines: string[];
}

/** What is wrong with a JSON text; undefined when nothing is. The text itself is never written anew. */
export function jsonMistake(text: string, shape: 'array' | 'object'): Mistake | undefined {
  let value: unknown;
  try {
    value = JSON.parse(text);
  } catch (error) {
    const mistake = findJsonMistake(text);
    if (mistake === undefined) return { text: String(error), lines: [] };
    return { text: `line ${mistake.line}, column ${mistake.column}: ${mistake.what}`, lines: pointAt(text, mistake) };
  }
  const found = Array.isArray(value) ? 'array' : value === null ? 'null' : typeof value;
  if (found === shape) return undefined;
  return { text: shape === 'array' ? `a list is wanted, such as [1, "two"]; this is ${found}` : `names and values are wanted, such as {"n": 1}; this is ${found}`, lines: [] };
}

export interface Example {
  name: string;
  language: string;
  program: string;
  args: string;
}

export const examples: readonly Example[] = [
  { name: 'A square', language: 'python', program: 'def main(x):\n    return x * x\n', args: '[5]' },
  { name: 'Prints as it goes', language: 'python', program: 'import time\n\ndef main(steps):\n    for step in range(1, steps + 1):\n        print(f"step {step} of {steps}", flush=True)\n        time.sleep(0.5)\n    return "done"\n', args: '[10]' },
  { name: 'Primes in a range', language: 'python', program: 'def main(start, end):\n    primes = []\n    for n in range(max(2, start), end):\n        if all(n % d for d in range(2, int(n ** 0.5) + 1)):\n            primes.append(n)\n    return primes\n', args: '[1000000, 1000200]' },
  { name: 'A large power', language: 'python', program: 'def main(base, exponent):\n    return base ** exponent\n', args: '[2, 200]' },
  { name: 'JavaScript', language: 'javascript', program: 'export function main(...numbers) {\n  return { largest: Math.max(...numbers), sum: numbers.reduce((a, b) => a + b, 0) };\n}\n', args: '[3, 14, 15]' },
];
