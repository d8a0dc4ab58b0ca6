/** `potluck client`: the group of commands that talk to a peer, also reachable without it. */
import type { Command } from 'commander';
import type { Start } from '../context.ts';
import { addCancel } from './cancel.ts';
import { examples, withAddress } from './client-flags.ts';
import { addCpu } from './cpu.ts';
import { addHistory } from './history.ts';
import { addPeers } from './peers.ts';
import { addStatus } from './status.ts';
import { addTask } from './task.ts';
import { addWait } from './wait.ts';

export function addClient(parent: Command, start: Start): void {
  const group = withAddress(parent.command('client').description('talk to a peer (the commands below work without this word too)'));
  group.addHelpText('after', examples('potluck client --host 127.0.0.1 --port 9001 status', 'potluck client cpu --program "def main(x): return x * x" --args "[5]"'));
  addClientCommands(group, start);
}

export function addClientCommands(parent: Command, start: Start): void {
  addCpu(parent, start);
  addStatus(parent, start);
  addPeers(parent, start);
  addHistory(parent, start);
  addTask(parent, start);
  addWait(parent, start);
  addCancel(parent, start);
}
