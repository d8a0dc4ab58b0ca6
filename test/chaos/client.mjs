/**
 * One client of a chaos run, a process of its own: submits its plan and writes down what it is told.
 *
 * Started with one argument, a JSON object: { port, home, plan, records, effects, programs, startWall }. Killed and
 * started again, it submits everything again of which its own records tell no end, under the same ids. Ends
 * with status 0 when all of its tasks have ended.
 */
import { appendFileSync, existsSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { connect } from '../../dist/sdk.js';

const { port, home, plan, records, effects, programs, startWall } = JSON.parse(process.argv[2]);
const tasks = JSON.parse(readFileSync(plan, 'utf8'));

const note = (what, id, more = {}) => appendFileSync(records, `${JSON.stringify({ at: Date.now() - startWall, what, id, ...more })}\n`);
const ended = new Set();
if (existsSync(records)) {
  for (const line of readFileSync(records, 'utf8').split('\n').filter((text) => text !== '')) {
    const { what, id } = JSON.parse(line);
    if (what === 'outcome') ended.add(id);
  }
}

async function connectAtLast() {
  for (;;) {
    try {
      return await connect({ host: '127.0.0.1', port, home });
    } catch (error) {
      // Its home may be away for now.
      if (error.code === 'not_a_member' || error.code === 'revoked') throw error;
      await sleep(100);
    }
  }
}

const pool = await connectAtLast();
const open = [];
for (const { id, atMs, x, seconds, pad, once, cancelAfterMs, program } of tasks) {
  if (ended.has(id)) continue;
  const waitMs = startWall + atMs - Date.now();
  if (waitMs > 0) await sleep(waitMs);
  note('submit', id);
  const args = { json: JSON.stringify([join(effects, id), id, 0, seconds, pad]).replace(',0,', `,${x},`) };
  const task = pool.submit({ language: 'python', program: programs[program], args, id, once });
  void task.accepted.then(
    () => note('accepted', id),
    (error) => note('refused', id, { code: error.code, message: error.message }),
  );
  if (cancelAfterMs !== null) setTimeout(() => void task.cancel().catch(() => undefined), cancelAfterMs);
  open.push(
    task.outcome().then(
      ({ state, attempt, peer, resultJson, error }) => note('outcome', id, { state, attempt, peer, resultJson, code: error?.code }),
      (error) => note('error', id, { code: error.code, message: error.message }),
    ),
  );
}
await Promise.all(open);
await pool.close();
