/** The program as it is shipped, in a folder of its own, for tests that start whole processes. */
import { spawn, type ChildProcessWithoutNullStreams } from 'node:child_process';
import { cpSync, mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { build } from 'esbuild';

const root = fileURLToPath(new URL('../..', import.meta.url));

/** Below node_modules, so that what is not bundled is found. */
export async function buildProgram(): Promise<{ cli: string; remove: () => void }> {
  const cache = join(root, 'node_modules', '.cache');
  mkdirSync(cache, { recursive: true });
  const folder = mkdtempSync(join(cache, 'potluck-test-'));
  await build({
    absWorkingDir: root,
    entryPoints: { cli: 'src/cli/main.ts', 'index-worker': 'src/store/index-worker.ts' },
    outdir: folder,
    bundle: true,
    splitting: true,
    format: 'esm',
    platform: 'node',
    target: 'node20',
    external: ['libsql'],
    banner: { js: "import { createRequire as __makeRequire } from 'node:module'; const require = __makeRequire(import.meta.url);" },
    logLevel: 'error',
  });
  writeFileSync(join(folder, 'package.json'), '{"type": "module"}');
  cpSync(join(root, 'src/sandbox/guests'), join(folder, 'guests'), { recursive: true });
  // Built once for all, before any test.
  cpSync(join(root, 'dist/web'), join(folder, 'web'), { recursive: true });
  return { cli: join(folder, 'cli.js'), remove: () => rmSync(folder, { recursive: true, force: true }) };
}

export interface Ran {
  status: number | null;
  signal: NodeJS.Signals | null;
  out: string;
  err: string;
}

export class Program {
  readonly process: ChildProcessWithoutNullStreams;
  readonly ended: Promise<Ran>;
  out = '';
  err = '';
  #wake: () => void = () => undefined;

  constructor(cli: string, args: readonly string[], env: Record<string, string>) {
    const inherited = Object.fromEntries(Object.entries(process.env).filter(([name]) => !/^(?:POTLUCK_|NODE_|VITEST|NO_COLOR|COLUMNS)/.test(name)));
    this.process = spawn(process.execPath, [cli, ...args], { env: { ...inherited, ...env } });
    this.process.stdout.setEncoding('utf8').on('data', (text: string) => {
      this.out += text;
      this.#wake();
    });
    this.process.stderr.setEncoding('utf8').on('data', (text: string) => {
      this.err += text;
      this.#wake();
    });
    this.ended = new Promise((resolve) => {
      this.process.once('close', (status, signal) => {
        this.#wake();
        resolve({ status, signal, out: this.out, err: this.err });
      });
    });
  }

  /** Resolves when the output holds the text; rejects if the process ends before. */
  async said(text: string): Promise<void> {
    while (!this.out.includes(text) && !this.err.includes(text)) {
      if (this.process.exitCode !== null) throw new Error(`ended without saying ${JSON.stringify(text)}:\n${this.out}${this.err}`);
      await new Promise<void>((resolve) => {
        this.#wake = resolve;
      });
    }
  }
}
