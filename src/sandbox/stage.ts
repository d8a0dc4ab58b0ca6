/**
 * A root peer's own view of the machine's folders, from which its boxes are built.
 *
 * What a box shows of an interpreter may lie where only root gets to (/root is closed to others), and who builds
 * the box is no longer root. So those folders are mounted, in a mount namespace that nobody else sees, where
 * everybody may enter. The namespace lives as long as the descriptor here is open; no process holds it, and
 * nothing of it has a name outside.
 */
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { closeSync, existsSync, openSync } from 'node:fs';
import { setTimeout as delay } from 'node:timers/promises';

/** $1 is where, the other arguments are what to show there, under their numbers. */
const SCRIPT = `
set -e
stage=$1; shift
mount -t tmpfs -o mode=0755,size=1m,nosuid,nodev potluck "$stage"
number=0
for source; do
  if [ -d "$source" ]; then mkdir "$stage/$number"; else : > "$stage/$number"; fi
  mount --rbind "$source" "$stage/$number"
  number=$((number + 1))
done
mount -o remount,ro "$stage"
echo ready
read -r _
`;

/** One that every system has; what it holds is hidden in the namespace alone. */
const PLACES = ['/mnt', '/media', '/srv', '/opt', '/var', '/tmp'] as const;
/** A dozen mounts take a few ms each, on a busy machine ten times that. */
const MAKE_TIMEOUT_MS = 10_000;
const SYSTEM_PATH = '/usr/sbin:/usr/bin:/sbin:/bin';

export class Stage {
  /** The namespace, as a path for nsenter; root may open it while the peer lives. */
  readonly namespace: string;
  private readonly fd: number;
  private readonly shown: ReadonlyMap<string, string>;

  private constructor(fd: number, shown: ReadonlyMap<string, string>) {
    this.fd = fd;
    this.namespace = `/proc/${process.pid}/fd/${fd}`;
    this.shown = shown;
  }

  /** @throws Error that says what the machine refused */
  static async make(unshare: string, sources: readonly string[]): Promise<Stage> {
    const place = PLACES.find((folder) => existsSync(folder) && !sources.some((source) => source === folder));
    if (place === undefined) throw new Error(`none of ${PLACES.join(', ')} is there to mount on`);
    const child = spawn(unshare, ['--mount', '--propagation', 'private', '/bin/sh', '-c', SCRIPT, 'potluck-stage', place, ...sources], {
      cwd: '/',
      env: { PATH: SYSTEM_PATH },
      stdio: ['pipe', 'pipe', 'pipe'],
    });
    let said = '';
    child.stderr.on('data', (chunk: Buffer) => (said += chunk.toString('utf8')));
    child.stdin.on('error', () => undefined); // it ended first, and its exit says so
    const exit = once(child, 'exit');
    exit.catch(() => undefined); // told by the race below
    const ready = once(child.stdout, 'data').then(() => true);
    try {
      const made = await Promise.race([ready, exit.then(() => false), delay(MAKE_TIMEOUT_MS, false, { ref: false })]);
      if (!made) throw new Error(said.trim().split('\n').at(-1) || 'the mounts were not made in time');
      const fd = openSync(`/proc/${child.pid}/ns/mnt`, 'r');
      return new Stage(fd, new Map(sources.map((source, number) => [source, `${place}/${number}`])));
    } finally {
      child.kill('SIGKILL');
      await exit.catch(() => undefined);
    }
  }

  /** Where a path is to be found in the namespace. */
  at(path: string): string {
    return this.shown.get(path) ?? path;
  }

  close(): void {
    closeSync(this.fd);
  }
}
