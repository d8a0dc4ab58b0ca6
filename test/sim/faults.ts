/** How each step of a script is carried out in a pool. */
import type { SimPool } from './pool.ts';
import type { Step } from './scenario.ts';

type Do<K extends Step['do']> = Extract<Step, { do: K }>;

export function carryOut(pool: SimPool, step: Step): void {
  const { world, network } = pool;
  const later = (forMs: number, act: () => void) => world.later(forMs, undefined, act);
  pool.struck(step.do);
  switch (step.do) {
    case 'submit':
      return pool.clients[step.client]!.submit(step.plan);
    case 'cancel':
      return clientOf(pool, step.id)?.cancel(step.id);
    case 'submit again':
      return submitAgain(pool, step);
    case 'submit another under its id':
      return submitAnother(pool, step);
    case 'kill client':
      pool.clients[step.client]!.crash();
      return void later(step.forMs, () => pool.clients[step.client]!.start());
    case 'kill peer':
      return killPeer(pool, step);
    case 'lose peer':
      return pool.peer(step.peer).lose();
    case 'kill tracker':
      pool.crashTracker(step.withMachine);
      return void later(step.forMs, () => pool.tracker.start());
    case 'stop peer': {
      const peer = pool.peer(step.peer);
      return peer.stop(() => later(step.forMs, () => peer.start()));
    }
    case 'break link':
      return network.breakOne(step.which, step.noticeMs);
    case 'block':
      network.block(step.from, step.to, step.forMs);
      if (step.both) network.block(step.to, step.from, step.forMs);
      return;
    case 'slow':
      network.slow(step.from, step.to, step.delayMs);
      return void later(step.forMs, () => network.slow(step.from, step.to, 0));
    case 'freeze':
      return pool.freeze(step.machine === 'tracker' ? pool.tracker.life : pool.peer(step.machine).life, step.forMs);
    case 'kill worker':
      return pool.peer(step.peer).workers?.dieOne(step.which);
    case 'fill disk': {
      const { disk } = pool.peer(step.peer);
      disk.full = true;
      return void later(step.forMs, () => (disk.full = false));
    }
    case 'fail flush':
      return pool.peer(step.peer).disk.failNextSync();
    case 'slow disk': {
      const { disk } = pool.peer(step.peer);
      disk.slowMs = step.delayMs;
      return void later(step.forMs, () => (disk.slowMs = 0));
    }
    case 'flip bit':
      return flipBit(pool, step);
    case 'lose index': {
      const peer = pool.peer(step.peer);
      if (peer.crash(false) !== undefined) peer.index.lose();
      return void later(step.forMs, () => peer.start());
    }
    case 'turn wall clock': {
      const machine = pool.machines().find(({ name }) => name === step.machine);
      if (machine !== undefined) machine.wallAheadMs = step.aheadMs;
      return;
    }
    case 'compact':
      return pool.peer(step.peer).compact();
  }
}

const clientOf = (pool: SimPool, id: string) => pool.clients.find((client) => client.planOf(id) !== undefined);

/** The same submission by a program that was not there before. */
function submitAgain(pool: SimPool, { id }: Do<'submit again'>): void {
  const first = clientOf(pool, id);
  const plan = first?.planOf(id);
  if (first === undefined || plan === undefined) return;
  pool.addClient(first.home).submit(plan);
}

/** Refused, once the first was accepted; so only then. */
function submitAnother(pool: SimPool, { id }: Do<'submit another under its id'>): void {
  const first = clientOf(pool, id);
  const plan = first?.planOf(id);
  if (first === undefined || plan === undefined || !pool.ledger.entry(id).accepted) return;
  pool.addClient(first.home).submitConflicting({ ...plan, program: 'another' });
}

function killPeer(pool: SimPool, { peer: name, forMs, withMachine, compacting, inFlush }: Do<'kill peer'>): void {
  const { world } = pool;
  const peer = pool.peer(name);
  // Some die in a compaction or just after it.
  if (compacting) peer.compact();
  const die = () => {
    if (peer.crash(withMachine) !== undefined) world.later(5 + forMs, undefined, () => peer.start());
  };
  // Others in the midst of a flush: what was sent has been sent, what was to be recorded is not.
  if (inFlush) peer.disk.duringFlush(die);
  else world.later(compacting ? 5 * (forMs / 4_000) : 0, undefined, die);
}

/**
 * A journal is damaged while nobody uses it. It must not be opened, not even started to be; then somebody puts
 * the right bytes back.
 */
function flipBit(pool: SimPool, { peer: name, which, forMs }: Do<'flip bit'>): void {
  const { world } = pool;
  const peer = pool.peer(name);
  if (peer.crash(false) === undefined) return;
  const place = peer.disk.placeIn(`/${name}/journal`, which);
  world.later(forMs, undefined, () => {
    if (place === undefined) return peer.start();
    const flip = () => peer.disk.files.flip(place.path, place.byte, place.bit);
    flip();
    peer.onDamage = () => {
      pool.struck('damage found');
      flip();
      peer.onDamage = undefined;
      world.later(forMs, undefined, () => peer.start());
      return true;
    };
    peer.start();
  });
}
