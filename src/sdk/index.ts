/**
 * What programs import to give work to a pool.
 *
 * ```js
 * import { connect } from 'potluck';
 * const pool = await connect();
 * const task = pool.submit({ language: 'python', program: 'def main(x): return x * x', args: [5] });
 * console.log(await task); // 25
 * await pool.close();
 * ```
 */
import { homeFolderOf, loadConfig } from '../config.ts';
import { dialer } from './dial.ts';
import { Pool, type PoolOptions } from './pool.ts';

export interface ConnectOptions extends Omit<PoolOptions, 'dial'> {
  /** The peer to talk to; POTLUCK_HOST, config.json or 127.0.0.1 unless said. */
  host?: string | undefined;
  /** POTLUCK_PORT, config.json or 9000 unless said. */
  port?: number | undefined;
  /** The pool's folder; POTLUCK_HOME or ~/.potluck unless said. */
  home?: string | undefined;
}

/**
 * Connects to a peer, which becomes the home of the tasks submitted here. Tried once; a link that is
 * lost later comes back by itself.
 * @throws PotluckError `peer_unreachable`, `not_a_member`, `version_gap`, `home_exposed`, `config_invalid`
 */
export async function connect(options: ConnectOptions = {}): Promise<Pool> {
  const config = loadConfig(process.env, homeFolderOf(process.env, options.home));
  const host = config.get('host', options.host).value;
  const port = config.get('port', options.port).value;
  const pool = new Pool({ ...options, dial: await dialer({ host, port, homeFolder: config.homeFolder }) });
  await pool.start();
  return pool;
}

export { PotluckError, type ErrorCode } from '../errors.ts';
export type { Language, OutcomeState, Problem, Receipt, TaskState } from '../wire/messages.ts';
export type { ErrorRow, HistoryFilter, HistoryRow, KeptOutput, PeerRow, PoolStatus, TaskRow, TaskStory } from './answers.ts';
export type { JsonText } from './json.ts';
export { TaskError, type Outcome } from './outcome.ts';
export { historyQuestion, type LinkChange, type Pool } from './pool.ts';
export type { Question } from './questions.ts';
export type { StateChange, TaskOutput, TaskRequest } from './submission.ts';
export type { Task } from './task.ts';
