/**
 * The `/etc` that code in a box sees: made by us, with what programs cannot do without. The machine's own has
 * secrets in it, and names of people.
 */
import { existsSync } from 'node:fs';
import { copyFile, mkdir, readdir, readlink, symlink, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { SYSTEM_FOLDERS } from './prefix.ts';

/** Where the loader finds libraries outside of its few own folders, such as /usr/local/lib. */
const LOADER_CACHE = '/etc/ld.so.cache';
/** Which of several packages provides a program or library; Debian's numpy finds its arithmetic by it. */
const ALTERNATIVES = '/etc/alternatives';

/** @param folder does not exist, or is one that this made before */
export async function makeSystemConfiguration(folder: string, user: number): Promise<void> {
  await mkdir(join(folder, 'alternatives'), { recursive: true, mode: 0o755 });
  const files: Record<string, string> = {
    passwd: `task:x:${user}:${user}:task:/scratch:/bin/sh\nnobody:x:65534:65534:nobody:/:/bin/false\n`,
    group: `task:x:${user}:\nnogroup:x:65534:\n`,
    hosts: '127.0.0.1 localhost potluck\n',
    'nsswitch.conf': 'passwd: files\ngroup: files\nhosts: files\n',
  };
  await Promise.all(Object.entries(files).map(([name, text]) => writeFile(join(folder, name), text, { mode: 0o644 })));
  if (existsSync(LOADER_CACHE)) await copyFile(LOADER_CACHE, join(folder, 'ld.so.cache'));
  await linkAlternatives(join(folder, 'alternatives'));
}

async function linkAlternatives(folder: string): Promise<void> {
  if (!existsSync(ALTERNATIVES)) return;
  const present = new Set(await readdir(folder));
  const links = (await readdir(ALTERNATIVES, { withFileTypes: true })).filter((entry) => entry.isSymbolicLink() && !present.has(entry.name));
  await Promise.all(
    links.map(async ({ name }) => {
      const target = await readlink(join(ALTERNATIVES, name));
      if (SYSTEM_FOLDERS.some((system) => target.startsWith(`${system}/`))) await symlink(target, join(folder, name));
    }),
  );
}
