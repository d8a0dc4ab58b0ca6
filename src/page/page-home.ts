/** What the page needs of the peer that it belongs to; main/page-home.ts fills it. */
import type { ApiAuditLine, ApiCounts, ApiFailure, ApiInvitation, ApiMember, ApiPeer, ApiProcess, ApiStatus, ApiTask, ApiTaskRow } from '../wire/api.ts';
import type { Connection } from '../wire/index.ts';

export interface TaskQuery {
  states?: readonly string[] | undefined;
  retried?: boolean | undefined;
  peer?: string | undefined;
  program?: string | undefined;
  text?: string | undefined;
  ids?: readonly string[] | undefined;
  since?: number | undefined;
  until?: number | undefined;
}

export interface TaskPage {
  rows: ApiTaskRow[];
  total: number;
  offset: number;
  as_of: number;
  newer: number;
}

/** A piece of a stream and where it begins. */
export interface OutputPiece {
  offset: number;
  data: Uint8Array;
}

export interface TaskOutput {
  attempt: number;
  peer: string | null;
  ended: boolean;
  stdout: { size: number; from(offset: number): OutputPiece[] } | undefined;
  stderr: { size: number; from(offset: number): OutputPiece[] } | undefined;
}

export const taskParts = ['program', 'args', 'kwargs', 'result'] as const;
export type TaskPart = (typeof taskParts)[number];

/** Everything that is needed to run a task once more. */
export interface TaskContent {
  program: string;
  language: 'python' | 'javascript';
  function: string;
  args: Uint8Array;
  kwargs: Uint8Array | undefined;
  options: Record<string, unknown>;
}

/** Methods that look for a task throw PotluckError `unknown_task`. */
export interface PageHome {
  readonly peer: string;
  status(): ApiStatus;
  peers(): ApiPeer[];
  counts(): ApiCounts;
  failures(): ApiFailure[];
  processes(): ApiProcess[];
  /** False when it is no worker of this peer. */
  endProcess(pid: number): boolean;
  /** A client's link to this home. */
  connect(): Connection;
  list(query: TaskQuery & { limit: number; offset: number; asOf?: number | undefined }): Promise<TaskPage>;
  matching(query: TaskQuery & { asOf: number }, which: 'open' | 'ended', limit: number): Promise<{ ids: string[]; total: number }>;
  task(id: string): Promise<ApiTask>;
  /** Undefined when the task has none. */
  part(id: string, part: TaskPart): Promise<Uint8Array | undefined>;
  content(id: string): Promise<TaskContent>;
  output(id: string): Promise<TaskOutput>;
  /** Who belongs to the pool; what is asked of the tracker, which decides who may. Throw what it says. */
  members(): Promise<ApiMember[]>;
  invitations(): Promise<ApiInvitation[]>;
  audit(limit: number): Promise<ApiAuditLine[]>;
  invite(invitation: { role: 'admin' | 'member' | 'runner'; joins: number; ttlMs: number; name: string | undefined }): Promise<{ id: string; command: string; expires_at: string }>;
  revoke(what: { member: string } | { invitation: string }): Promise<void>;
}
