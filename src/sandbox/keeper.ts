/**
 * The keeper: a shell that does nothing but wait for the peer to end, however it ends, and
 * then kills what the peer's workers left running. It holds one end of a pipe; the kernel
 * closes the other with the peer.
 */
import { spawn } from 'node:child_process';
import type { ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import type { Writable } from 'node:stream';

/**
 * $1 is the peer's marker, the other arguments are its cgroups. On the pipe come `+ PID`
 * and `- PID`: the sessions of workers, for machines with neither cgroups nor /proc.
 */
const SCRIPT = `
trap '' HUP INT TERM
marker=$1; shift
sessions=' '
while read -r sign pid; do
  case $sign in
    +) sessions="$sessions$pid " ;;
    -) case $sessions in *" $pid "*) sessions="\${sessions%% $pid *} \${sessions#* $pid }" ;; esac ;;
  esac
done
for pid in $sessions; do kill -9 -- "-$pid"; done
round=0
while [ $round -lt 100 ]; do
  round=$((round + 1)); left=
  for group in "$@"; do
    for worker in "$group"/*/; do
      [ -d "$worker" ] || continue
      if [ -e "$worker/pids.max" ]; then echo 0 > "$worker/pids.max"; fi
      while read -r pid; do kill -9 "$pid"; left=1; done < "$worker/cgroup.procs"
      rmdir "$worker"
    done
    [ ! -d "$group" ] || rmdir "$group" || left=1
  done
  if [ -d /proc/self ] && [ $# -eq 0 ]; then
    for environ in $(grep -l "$marker" /proc/[0-9]*/environ); do
      pid=\${environ#/proc/}; pid=\${pid%/environ}
      kill -9 "$pid"; left=1
    done
  fi
  [ -n "$left" ] || break
  sleep 0.02
done
`;

export class Keeper {
  private readonly marker: string;
  private readonly groups: string[];
  private child: ChildProcess | null = null;

  /** @param groups the cgroups whose children are workers' groups */
  constructor(marker: string, groups: string[]) {
    this.marker = marker;
    this.groups = groups;
  }

  start(): void {
    const child = spawn('/bin/sh', ['-c', SCRIPT, 'potluck-keeper', this.marker, ...this.groups], {
      // Out of reach of what is sent to the peer's terminal or group.
      detached: true,
      cwd: '/',
      env: { PATH: '/usr/bin:/bin' },
      stdio: ['pipe', 'ignore', 'ignore'],
    });
    // Without a keeper, or when somebody killed it, workers are as safe as the next start makes them.
    child.on('error', () => undefined);
    child.stdin?.on('error', () => undefined);
    // It must not keep a peer alive that is done.
    child.unref();
    unrefStream(child.stdin);
    this.child = child;
  }

  add(session: number): void {
    this.child?.stdin?.write(`+ ${session}\n`);
  }

  remove(session: number): void {
    this.child?.stdin?.write(`- ${session}\n`);
  }

  /** Ends it; it first removes the groups, which must be empty by now. */
  async stop(): Promise<void> {
    const { child } = this;
    if (child?.pid === undefined || child.exitCode !== null || child.signalCode !== null) return;
    const exit = once(child, 'exit');
    child.ref();
    child.stdin?.end();
    await exit;
  }
}

function unrefStream(stream: Writable | null): void {
  if (stream !== null && 'unref' in stream && typeof stream.unref === 'function') stream.unref();
}
