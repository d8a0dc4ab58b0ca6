/**
 * The tracker's side of joining: one conversation with one newcomer.
 *
 * Owns: what a newcomer is told and when, and the slowing of who guesses. Neighbours: join-proofs.ts says
 * what is a proof, registry.ts lets it in, join.ts is the other side.
 *
 * Invariants
 * 1. Who has no right proof learns the pool's public key and one sentence, the same for every reason.
 * 2. Only wrong proofs are slowed, each address by itself; memory for that is bounded.
 */
import type { KeyObject } from 'node:crypto';
import { PotluckError } from '../errors.ts';
import { limits } from '../limits.ts';
import { JoinBroken, type JoinChannel } from '../wire/join-channel.ts';
import { peerNameSchema, type Address, type Problem } from '../wire/messages.ts';
import { provenNewcomer, trackerProof } from './join-proofs.ts';
import type { LiveRoster } from './live-roster.ts';
import type { Registry } from './registry.ts';

export interface JoiningOptions {
  poolKey: KeyObject;
  poolName: string;
  registry: Registry;
  roster: LiveRoster;
  /** Where this tracker can be reached. */
  addresses: () => Address[];
  /** Somebody was refused: from which address, and why in a few words. */
  onRefused: (address: string, why: string) => void;
  onJoined: (name: string, role: string, address: string) => void;
}

/** One sentence for a stranger, whatever is wrong with what it showed. */
const refusal: Problem = { code: 'invitation_refused', message: 'the tracker does not accept this invitation', hint: 'ask for a new one: potluck invite, on the machine of the tracker' };

export class Joining {
  readonly #o: JoiningOptions;
  readonly #wrong = new WrongProofs();

  constructor(options: JoiningOptions) {
    this.#o = options;
  }

  /** Talks to a newcomer until it is in or refused. Never throws. */
  async welcome(channel: JoinChannel): Promise<void> {
    try {
      await this.#talk(channel);
      channel.end();
    } catch (error) {
      if (error instanceof PotluckError && error.code === 'version_gap') {
        channel.send({ kind: 'join_refused', error: error.toProblem() });
        channel.end();
      } else {
        channel.destroy();
        if (!(error instanceof JoinBroken)) throw error;
      }
    }
  }

  async #talk(channel: JoinChannel): Promise<void> {
    const { poolKey, registry, onRefused } = this.#o;
    channel.send(trackerProof(poolKey, channel.exporter));
    const proof = await channel.next('join_proof');
    const invitation = registry.state.invitations.get(proof.invitation);
    const key = invitation === undefined ? undefined : provenNewcomer(proof, Buffer.from(invitation.publicKey, 'base64'), channel.exporter);
    if (key === undefined) {
      onRefused(channel.address, 'a wrong proof');
      await this.#wrong.slowDown(channel.address);
      channel.send({ kind: 'join_refused', error: refusal });
      return;
    }
    const answer = await registry.ask({ type: 'join_asked', invitation: proof.invitation, key, name: nameFrom(proof.machine), machine: nameFrom(proof.machine), address: channel.address });
    this.#reply(channel, proof.invitation, answer);
  }

  #reply(channel: JoinChannel, invitation: string, answer: Awaited<ReturnType<Registry['ask']>>): void {
    const { roster, poolName, addresses, onRefused, onJoined } = this.#o;
    const { sealed } = roster;
    if ('ok' in answer && answer.ok === 'joined' && sealed !== undefined) {
      channel.send({ kind: 'joined', roster: sealed, pool_name: poolName, addresses: addresses() });
      if (!answer.again) onJoined(answer.member.name, answer.member.role, channel.address);
      return;
    }
    const error = 'refused' in answer ? answer.refused : refusal;
    onRefused(channel.address, `${error.code}, invitation ${invitation}`);
    channel.send({ kind: 'join_refused', error });
  }
}

/** A name made of what the newcomer calls its machine. */
function nameFrom(machine: string): string {
  const name = machine.replaceAll(/[^A-Za-z0-9._-]/g, '-').replace(/^[^A-Za-z0-9]+/, '').slice(0, limits.nameLengthMax);
  return peerNameSchema.safeParse(name).success ? name : 'machine';
}

/** Remembers who showed wrong proofs; their answers wait, longer each time. */
export class WrongProofs {
  /** In the order of their last one. */
  readonly #byAddress = new Map<string, { count: number; at: number }>();

  /** The wait for one more wrong proof from that address, in ms. */
  delayOf(address: string, now: number): number {
    const before = this.#byAddress.get(address);
    const count = before === undefined || now - before.at > limits.wrongProofForgetMs ? 1 : before.count + 1;
    this.#byAddress.delete(address);
    this.#byAddress.set(address, { count, at: now });
    const [oldest] = this.#byAddress.keys();
    if (this.#byAddress.size > limits.wrongProofAddressesMax) this.#byAddress.delete(oldest!);
    return Math.min(limits.wrongProofMsMax, limits.wrongProofMsMin * 2 ** Math.min(count - 1, 16));
  }

  slowDown(address: string): Promise<void> {
    return new Promise((resolve) => setTimeout(resolve, this.delayOf(address, performance.now())).unref());
  }
}
