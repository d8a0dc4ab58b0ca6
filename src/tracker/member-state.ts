/**
 * A member of the pool as its tracker knows it: a runner with slots, and a home that may use some of others'.
 */
import { takes } from '../identity/acceptance.ts';
import type { MessageOf, Need, PeerInfo } from '../wire/messages.ts';

/** Tasks of equal needs that wait at a home. */
export type Wanted = MessageOf<'demand'>['waiting'][number];

export interface Member {
  info: PeerInfo;
  /** Its home may place tasks: its key is more than a runner's. */
  maySubmit: boolean;
  /** Undefined while its link is closed. */
  link: number | undefined;
  awaySince: number | undefined;
  /** Told to others since the last news. */
  dirty: boolean;
  machineKey: string;
  waiting: Wanted[];
  /** What it last waited for. */
  lastNeed: Need | undefined;
  demandAt: number;
  /** Rises with each slot it gets, so that of homes with equally few the one that waited longest is next. */
  servedAt: number;
  /** Slots by runner that this member, as a home, may use; and the grant that said so. */
  readonly allowed: Map<string, Allowance>;
}

export interface Allowance {
  slots: number;
  /** What the home last said that it occupies; more than `slots` while a recall is under way. */
  holding: number;
  /** Of those, what runs something. */
  used: number;
  seq: number;
  /** Since when, for taking turns when there are more homes than slots. */
  at: number;
}

/** Whether such a task of a home with that key could run there, were it free. */
export const fits = (info: PeerInfo, need: Need, homeKey: string): boolean =>
  info.state === 'up' && info.slots > 0 && info.languages[need.language] !== undefined && (need.memoryMb ?? 0) <= info.memoryMb && takes(info, homeKey, need.foreign === true);

/** Slots a home may use now. */
export const total = (home: Member): number => sum([...home.allowed.values()].map(({ slots }) => slots));

export const idle = ({ slots, used }: Allowance): number => slots - used;

/** Slots it may use that run something. */
export const used = (home: Member): number => sum([...home.allowed.values()].map(({ slots, used }) => Math.min(slots, used)));

export const sum = (numbers: readonly number[]): number => numbers.reduce((one, two) => one + two, 0);
