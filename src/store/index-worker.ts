/**
 * The history's thread: answers index.ts one request at a time. An entry of the
 * build of its own. Owns the connection to the database; a damaged file is dropped
 * here, so that the next start makes a new one.
 */
import { causeText } from '../errors.ts';
import { parentPort, workerData } from 'node:worker_threads';
import { IndexDatabase, isDamage } from './index-database.ts';
import type { Reply, Request } from './index-messages.ts';

const port = parentPort;
if (port === null) throw new Error('this file runs as a worker thread');
const database = new IndexDatabase((workerData as { path: string }).path);

/** Requests are answered in order, so each is short: index.ts drops in steps. */
function answer(request: Request): Reply {
  const { call } = request;
  switch (request.kind) {
    case 'apply':
      database.apply(request.batch);
      return { call, kind: 'applied' };
    case 'get':
      return { call, kind: 'got', row: database.get(request.id) };
    case 'query':
      return { call, kind: 'page', page: database.query(request.query) };
    case 'count':
      return { call, kind: 'counted', rows: database.count(request.filter) };
    case 'get_pruned':
      return { call, kind: 'got_pruned', entry: database.getPruned(request.id) };
    case 'drop':
      return { call, kind: 'dropped', rows: database.dropStep(request.beforeSeq) };
    case 'stop':
      database.close();
      return { call, kind: 'stopped' };
  }
}

function serve(call: number, work: () => Reply): void {
  try {
    port?.postMessage(work());
  } catch (error) {
    if (isDamage(error)) database.drop();
    else database.close();
    port?.postMessage({ call, kind: 'broken', message: causeText(error) } satisfies Reply);
    port?.close();
  }
}

serve(0, () => ({ call: 0, kind: 'opened', opened: database.open() }));
port.on('message', (request: Request) => {
  serve(request.call, () => answer(request));
  if (request.kind === 'stop') port.close();
});
