/** The shape of the source: who may import whom, what deciders may touch, how long a file may get. */
import { existsSync, readdirSync, readFileSync } from 'node:fs';
import { dirname, join, relative } from 'node:path';
import { fileURLToPath } from 'node:url';
import { describe, expect, it } from 'vitest';

const root = fileURLToPath(new URL('..', import.meta.url));
const read = (path: string): string => readFileSync(join(root, path), 'utf8');

function filesUnder(folder: string, endings: readonly string[]): string[] {
  if (!existsSync(join(root, folder))) return [];
  return readdirSync(join(root, folder), { recursive: true, encoding: 'utf8' })
    .map((name) => join(folder, name))
    .filter((path) => endings.some((ending) => path.endsWith(ending)) && !path.includes('node_modules'))
    .toSorted();
}

const sources = filesUnder('src', ['.ts']);

interface Import {
  /** A path in the repository, or the name of a package. */
  to: string;
  /** Types alone: nothing of it is left when the program runs. */
  typeOnly: boolean;
}

function importsOf(path: string): Import[] {
  const text = withoutComments(read(path));
  const statements = text.matchAll(/(?:^|\n)\s*(?:import|export)\s+(type\s+)?(?:[^'"`;]*?\sfrom\s+)?'([^']+)'/g);
  const dynamic = text.matchAll(/\bimport\(\s*'([^']+)'\s*\)/g);
  const resolve = (name: string) => (name.startsWith('.') ? relative(root, join(root, dirname(path), name)) : name);
  return [
    ...[...statements].map(([, type, name]) => ({ to: resolve(name!), typeOnly: type !== undefined })),
    ...[...dynamic].map(([, name]) => ({ to: resolve(name!), typeOnly: false })),
  ];
}

/** Comments blanked out, strings left alone. */
function withoutComments(text: string): string {
  return text.replaceAll(/\/\*[\s\S]*?\*\/|(^|[^:'"`\\])\/\/[^\n]*|'(?:[^'\\\n]|\\.)*'|"(?:[^"\\\n]|\\.)*"|`(?:[^`\\]|\\.)*`/g, (found: string, before: string | undefined) =>
    found.startsWith('/*') || found.slice(before?.length ?? 0).startsWith('//') ? (before ?? '') : found,
  );
}

const withoutStrings = (text: string): string => withoutComments(text).replaceAll(/'(?:[^'\\\n]|\\.)*'|"(?:[^"\\\n]|\\.)*"|`(?:[^`\\]|\\.)*`/g, "''");

/** `src/home/home.ts` is in the room `home`; files of `src` itself are the ground that all stand on. */
const roomOf = (path: string): string => (path.split('/').length > 2 ? path.split('/')[1]! : 'ground');

/** What each room may import besides itself. */
const mayImport: Record<string, readonly string[]> = {
  lib: [],
  ground: ['lib'],
  wire: ['lib', 'ground'],
  identity: ['lib', 'ground', 'wire'],
  store: ['lib', 'ground'],
  sandbox: ['lib', 'ground'],
  probes: ['lib', 'ground', 'sandbox'],
  tracker: ['lib', 'ground', 'wire', 'identity'],
  home: ['lib', 'ground', 'wire', 'identity', 'store'],
  runner: ['lib', 'ground', 'wire', 'identity', 'sandbox'],
  page: ['lib', 'ground', 'wire'],
  sdk: ['lib', 'ground', 'wire', 'identity'],
  main: ['lib', 'ground', 'wire', 'identity', 'store', 'sandbox', 'probes', 'tracker', 'home', 'runner', 'page', 'sdk'],
  cli: ['lib', 'ground', 'wire', 'sdk', 'main'],
};

describe('the rooms', () => {
  it('are all known here', () => {
    expect([...new Set(sources.map(roomOf))].filter((room) => mayImport[room] === undefined)).toEqual([]);
  });

  it('import only from those before them; tracker, home and runner meet on the wire', () => {
    const wrong = sources.flatMap((path) =>
      importsOf(path)
        .filter(({ to }) => to.startsWith('src/') && roomOf(to) !== roomOf(path) && !mayImport[roomOf(path)]?.includes(roomOf(to)))
        .map(({ to }) => `${path} imports ${to}`),
    );
    expect(wrong).toEqual([]);
  });

  it('import files that exist', () => {
    const missing = sources.flatMap((path) => importsOf(path).filter(({ to }) => to.startsWith('src/') && !existsSync(join(root, to))).map(({ to }) => `${path} imports ${to}`));
    expect(missing).toEqual([]);
  });

  it('have no cycles of imports', () => {
    const next = new Map(sources.map((path) => [path, importsOf(path).filter(({ to, typeOnly }) => to.startsWith('src/') && !typeOnly).map(({ to }) => to)]));
    expect(cyclesIn(next)).toEqual([]);
  });

  it('of the page in the browser take types from the wire, of lib what needs no Node, and nothing else', () => {
    const wrong = filesUnder('web', ['.ts', '.tsx', '.js']).flatMap((path) =>
      importsOf(path)
        .filter(({ to, typeOnly }) => to.startsWith('src/') && !(roomOf(to) === 'wire' && typeOnly) && !(roomOf(to) === 'lib' && importsOf(to).length === 0))
        .map(({ to }) => `${path} imports ${to}`),
    );
    expect(wrong).toEqual([]);
  });
});

function cyclesIn(next: ReadonlyMap<string, readonly string[]>): string[] {
  const done = new Set<string>();
  const found: string[] = [];
  const walk = (path: string, trail: readonly string[]): void => {
    const at = trail.indexOf(path);
    if (at >= 0) found.push([...trail.slice(at), path].join(' -> '));
    if (at >= 0 || done.has(path)) return;
    for (const to of next.get(path) ?? []) walk(to, [...trail, path]);
    done.add(path);
  };
  for (const path of next.keys()) walk(path, []);
  return found;
}

const deciders = sources.filter((path) => path.endsWith('-state.ts'));

describe('deciders', () => {
  it('are found', () => {
    expect(deciders.map((path) => path.split('/').at(-1))).toEqual(expect.arrayContaining(['home-state.ts', 'tracker-state.ts', 'runner-state.ts']));
  });

  it('import only each other, their events and records, the messages, the limits, lib, and who is trusted with what', () => {
    const own = /-(?:state|events|records)\.ts$|\/records\.ts$/;
    const wrong = deciders.flatMap((path) =>
      importsOf(path)
        .filter(({ to, typeOnly }) => !(to.startsWith('src/lib/') || to === 'src/identity/acceptance.ts' || (typeOnly && to === 'src/identity/roster.ts') || to === 'src/limits.ts' || to === 'src/wire/messages.ts' || (roomOf(to) === roomOf(path) && own.test(to))))
        .map(({ to }) => `${path} imports ${to}`),
    );
    expect(wrong).toEqual([]);
  });

  it('know no clock, no chance, no timer, no process and no promise', () => {
    const impure = /\b(?:Date|performance|process|setTimeout|setInterval|setImmediate|queueMicrotask|fetch|crypto|console|Promise|async|await)\b|\bMath\.random\b/;
    const wrong = deciders.flatMap((path) =>
      withoutStrings(read(path))
        .split('\n')
        .flatMap((line, at) => (impure.test(line) ? [`${path}:${at + 1} ${line.trim()}`] : [])),
    );
    expect(wrong).toEqual([]);
  });
});

describe('lib', () => {
  /** `journal` is missing here on purpose: it is the driver's word for where records go. */
  const glossary = new Set('pool tracker peer home runner client task program attempt loss outcome slot grant load receipt worker member'.split(' '));

  it('has no word of the glossary in its code', () => {
    const wordsIn = (code: string) => code.replaceAll(/([a-z])([A-Z])/g, '$1 $2').toLowerCase().match(/[a-z]+/g) ?? [];
    const wrong = sources
      .filter((path) => path.startsWith('src/lib/'))
      .flatMap((path) => [...new Set(wordsIn(withoutStrings(read(path))))].filter((word) => glossary.has(word) || glossary.has(word.replace(/s$/, ''))).map((word) => `${path}: ${word}`));
    expect(wrong).toEqual([]);
  });
});

describe('files', () => {
  const written = [...sources, ...filesUnder('src', ['.mjs', '.py']), ...filesUnder('test', ['.ts']), ...filesUnder('bench', ['.ts'])];
  const lengthMax = 600;
  const lengthToThinkAbout = 450;

  it(`are no longer than ${lengthMax} lines`, () => {
    const lengths = written.map((path) => ({ path, lines: read(path).split('\n').length }));
    const long = lengths.filter(({ lines }) => lines > lengthToThinkAbout && lines <= lengthMax);
    if (long.length > 0) console.warn(`over ${lengthToThinkAbout} lines: ${long.map(({ path, lines }) => `${path} (${lines})`).join(', ')}`);
    expect(lengths.filter(({ lines }) => lines > lengthMax).map(({ path }) => path)).toEqual([]);
  });

  it('have no `any`', () => {
    const wrong = written
      .filter((path) => path.endsWith('.ts'))
      .flatMap((path) =>
        withoutStrings(read(path))
          .split('\n')
          .flatMap((line, at) => (/(?::|<|\bas|,|\|)\s*any\b(?!\s*[:(])/.test(line) ? [`${path}:${at + 1} ${line.trim()}`] : [])),
      );
    expect(wrong).toEqual([]);
  });
});

describe('the checks themselves', () => {
  it('see what is wrong', () => {
    expect(withoutComments("a // task\n/* peer */ const b = 'http://x'; // home")).toBe("a \n const b = 'http://x'; ");
    expect(cyclesIn(new Map([['a', ['b']], ['b', ['c']], ['c', ['a']]]))).toEqual(['a -> b -> c -> a']);
    expect(importsOf('test/architecture.test.ts').map(({ to }) => to)).toEqual(['node:fs', 'node:path', 'node:url', 'vitest']);
  });
});
