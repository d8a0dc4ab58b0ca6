/**
 * The catalogue of everything that can go wrong and that a person gets to read.
 *
 * Each entry: who must act, the exit status of the command line, whether trying the same again can
 * help, and one sentence for the reference (docs/reference/errors.md is tested against this table,
 * both ways). The message of an error says what happened; `why` and `fix` are one line each.
 */

/** Exit statuses of the command line. */
export const exit = {
  done: 0,
  failed: 1,
  usage: 2,
  unreachable: 3,
  cancelled: 4,
  late: 5,
  refused: 6,
} as const;

/** 128 + SIGINT, as shells have it: ended by a second Ctrl+C, or by one while a task was waited for. */
export const interrupted = 130;
/** A tracker or peer whose state could no longer be trusted; EX_SOFTWARE of sysexits.h. */
export const faulty = 70;

interface Entry {
  who: 'user' | 'operator' | 'program' | 'bug';
  exit: number;
  retry: boolean;
  summary: string;
}

const entry = (who: Entry['who'], exitStatus: number, retry: boolean, summary: string): Entry => ({ who, exit: exitStatus, retry, summary });

export const catalogue = {
  // the program's own faults
  exception: entry('program', exit.failed, false, 'The function raised an exception; its traceback shows the program\'s own lines.'),
  syntax_error: entry('program', exit.failed, false, 'The program does not compile.'),
  function_missing: entry('program', exit.failed, false, 'The program has no function of that name; the error lists those it has.'),
  module_missing: entry('program', exit.failed, false, 'The program imports a module that the interpreter on that peer does not have.'),
  result_not_json: entry('program', exit.failed, false, 'The function returned something that JSON cannot hold; the error gives its type and its place.'),
  result_invalid: entry('operator', exit.failed, true, 'The peer that ran the task gave something else than JSON as its result: it is broken, or it lies.'),
  result_too_large: entry('program', exit.failed, false, 'The result is larger than a value may be.'),
  bad_arguments: entry('program', exit.failed, false, 'The function cannot be called with these arguments.'),
  worker_died: entry('program', exit.failed, false, 'The worker process ended during the call: an exit, a signal, or closed descriptors.'),
  exited: entry('program', exit.failed, false, 'The function ended its interpreter by sys.exit or process.exit.'),
  out_of_memory: entry('program', exit.failed, false, 'The task used more memory than it was allowed.'),
  quarantined: entry('operator', exit.failed, false, 'The task was running on five runners when each of them died; it is not tried again.'),
  unknown: entry('user', exit.failed, false, 'A task that may run only once had started, and nobody can say whether it finished.'),
  timed_out: entry('program', exit.late, false, 'The function ran longer than its timeout and was killed.'),
  expired: entry('user', exit.late, true, 'The task had not started within the time given by --wait.'),
  cancelled: entry('user', exit.cancelled, false, 'The task was cancelled.'),

  // wrong use
  usage: entry('user', exit.usage, false, 'A flag, its value, or a command is wrong.'),
  bad_json: entry('user', exit.usage, false, 'A value is not JSON; the error gives the place.'),
  config_invalid: entry('user', exit.usage, false, 'config.json or a POTLUCK_ variable holds an unknown key or a wrong value.'),
  name_taken: entry('user', exit.usage, false, 'Another member\'s peer of that name is up.'),
  port_in_use: entry('user', exit.usage, true, 'Another program listens on the port that was asked for.'),
  address_unusable: entry('user', exit.usage, false, 'The address to listen on does not belong to this machine or may not be used.'),
  invitation_mistyped: entry('user', exit.usage, false, 'What was given as an invitation is none as it was printed: letters are wrong or missing.'),
  already_joined: entry('user', exit.usage, false, 'The folder of this machine belongs to a pool already; one folder is in one pool.'),
  file_unreadable: entry('user', exit.usage, false, 'A file named on the command line cannot be read.'),

  // reaching the pool
  peer_unreachable: entry('operator', exit.unreachable, true, 'No peer answers at that address.'),
  tracker_unreachable: entry('operator', exit.unreachable, true, 'No tracker answers at that address.'),
  link_lost: entry('operator', exit.unreachable, true, 'The link to the peer was lost and did not come back in time; the task may still run.'),
  not_a_member: entry('operator', exit.unreachable, false, 'The other side does not know this key, or is not the one expected.'),
  not_the_tracker: entry('operator', exit.unreachable, false, 'Who answers at the address of an invitation cannot prove to be the tracker that was invited to.'),
  revoked: entry('operator', exit.unreachable, false, 'The key of this machine was a member of the pool and was revoked by an admin.'),
  version_gap: entry('operator', exit.unreachable, false, 'The two programs are more than one minor version apart.'),
  wait_timeout: entry('user', exit.late, true, 'The tasks waited for had not ended within --timeout.'),

  // refused
  unknown_task: entry('user', exit.refused, false, 'This home has no task of that id.'),
  no_longer_kept: entry('user', exit.refused, false, 'The task ended so long ago, or so many tasks ago, that its home keeps only how it ended.'),
  id_conflict: entry('user', exit.refused, false, 'The id belongs to another task: program, function, arguments or options differ.'),
  program_too_large: entry('user', exit.refused, false, 'The program is larger than a program may be.'),
  arguments_too_large: entry('user', exit.refused, false, 'The arguments are larger than a value may be.'),
  too_many_waiting: entry('user', exit.refused, true, 'The home holds as many waiting tasks as it may, by count or by bytes.'),
  bad_submission: entry('user', exit.refused, false, 'The submission breaks a rule, for example kwargs for JavaScript.'),
  impossible: entry('user', exit.refused, false, 'No peer of the pool could ever run the task: language, memory or confidentiality.'),
  invitation_refused: entry('user', exit.refused, false, 'The tracker does not accept the invitation; it says no more to strangers.'),
  invitation_expired: entry('user', exit.refused, false, 'The time of the invitation is over, by the clock of the tracker.'),
  invitation_used_up: entry('user', exit.refused, false, 'The invitation was used as often as it may be.'),
  invitation_revoked: entry('user', exit.refused, false, 'The invitation was revoked, by itself or with the member that made or used it.'),
  too_many_invitations: entry('operator', exit.refused, false, 'The pool has as many open invitations as it may.'),
  unknown_invitation: entry('user', exit.refused, false, 'The pool has no invitation of that id.'),
  unknown_member: entry('user', exit.refused, false, 'The pool has no member of that name or key.'),
  pool_full: entry('operator', exit.refused, false, 'The pool has as many members as its roster can hold.'),
  store_full: entry('operator', exit.refused, true, 'The disk under the home is full; nothing new is accepted.'),
  store_failed: entry('operator', exit.refused, true, 'The disk under the home failed to keep what it was given.'),
  history_unavailable: entry('operator', exit.refused, true, 'The index of history does not answer; the record itself is whole.'),
  draining: entry('operator', exit.refused, true, 'The peer is shutting down and accepts nothing new.'),

  not_allowed: entry('user', exit.refused, false, 'The role of this key in the pool, or a rule that protects the pool, does not allow it.'),
  // the page
  not_logged_in: entry('user', exit.refused, false, 'The request carries no valid login of this page, or one that has ended.'),
  login_used: entry('user', exit.refused, false, 'A login link was used already, is too old, or is not of this peer.'),
  foreign_page: entry('user', exit.refused, false, 'The request comes from a page of another address, or names another host.'),
  bad_request: entry('user', exit.usage, false, 'A request to the page has a part that will not do; the error names it.'),
  body_too_large: entry('user', exit.refused, false, 'A request to the page is larger than it may be.'),
  no_route: entry('user', exit.usage, false, 'The page has nothing at that path, or not for that method.'),
  too_many_streams: entry('operator', exit.refused, true, 'The page has as many event streams open as it may.'),
  no_page: entry('operator', exit.refused, false, 'The peer was started without a page.'),

  // a process that cannot start
  store_in_use: entry('operator', exit.refused, false, 'Another process works on the same store.'),
  store_damaged: entry('operator', exit.refused, false, 'The journal is damaged in its middle; nothing of it is served.'),
  store_too_new: entry('operator', exit.refused, false, 'The store was written by a newer potluck.'),
  home_exposed: entry('operator', exit.refused, false, 'Other users of this machine can read the pool\'s folder or keys.'),
  key_damaged: entry('operator', exit.refused, false, 'The file of a key is damaged, or is not the key that belongs there.'),
  interpreter_missing: entry('operator', exit.refused, false, 'The interpreter that was named does not run.'),
  not_built: entry('operator', exit.refused, false, 'The program was not built yet.'),
  pool_failed: entry('operator', exit.refused, false, 'A process that `potluck up` started ended, or did not come up in time.'),
  pool_running: entry('user', exit.refused, false, 'A pool started by `potluck up` is running already.'),
  pool_not_running: entry('user', exit.refused, false, 'No pool started by `potluck up --detach` is running.'),

  internal: entry('bug', exit.failed, false, 'A fault in potluck itself; please report it.'),
} as const satisfies Record<string, Entry>;

export type ErrorCode = keyof typeof catalogue;

/** An error that somebody will read: what happened, why, and what to do about it. */
export class PotluckError extends Error {
  override name = 'PotluckError';
  readonly code: ErrorCode;
  readonly why: string | undefined;
  readonly fix: string | undefined;

  constructor(code: ErrorCode, what: string, details: { why?: string | undefined; fix?: string | undefined; cause?: unknown } = {}) {
    super(what, details.cause === undefined ? undefined : { cause: details.cause });
    this.code = code;
    this.why = details.why;
    this.fix = details.fix;
  }

  /** The form in which an error travels: `code`, `message` (what and why), `hint` (the fix). */
  toProblem(): { code: string; message: string; hint?: string } {
    const message = this.why === undefined ? this.message : `${this.message}: ${this.why}`;
    return this.fix === undefined ? { code: this.code, message } : { code: this.code, message, hint: this.fix };
  }
}

export const isErrorCode = (code: string): code is ErrorCode => Object.hasOwn(catalogue, code);

/** For a result that no worker of ours can have made. */
export const invalidResult = (id: string, peer: string | null): PotluckError =>
  new PotluckError('result_invalid', `what came as the result of task ${id} is not JSON`, {
    why: `${peer ?? 'the peer that ran it'} gave something else: it is broken, or it lies`,
    fix: 'submit it again under a new id; if it goes on, have that peer revoked',
  });

/** The exit status for an error code, also one that a newer version made up. */
export const exitStatusOf = (code: string): number => (isErrorCode(code) ? catalogue[code].exit : exit.failed);

/** Makes a system error readable without losing it. */
export const causeText = (error: unknown): string => (error instanceof Error ? error.message : String(error));
