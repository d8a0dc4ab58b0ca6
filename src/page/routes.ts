/**
 * The routes of the API: what each takes and gives. Neighbours: route.ts checks what comes before a handler is
 * called, page-home.ts is who answers, wire/api.ts has the shapes.
 *
 * Invariant: arguments and results pass through as the bytes that they are.
 */
import * as z from 'zod';
import { PotluckError } from '../errors.ts';
import { fieldTexts } from '../lib/json-fields.ts';
import { limits } from '../limits.ts';
import {
  apiAuditLine,
  apiBulk,
  apiBulkDone,
  apiCancelled,
  apiFilter,
  apiInvitation,
  apiInvite,
  apiInvited,
  type ApiKey,
  apiKey,
  apiLogin,
  apiLoggedIn,
  apiMember,
  apiOutput,
  apiOverview,
  apiPeer,
  apiProcess,
  apiStatus,
  apiSubmission,
  apiSubmitted,
  apiTask,
  apiTaskList,
} from '../wire/api.ts';
import { cancelAll, runAllAgain, taskQueryOf } from './bulk.ts';
import type { Feed } from './feed.ts';
import type { HomeClient } from './home-client.ts';
import type { LoginKind, Logins, SessionSecrets } from './logins.ts';
import { openApi } from './openapi.ts';
import { type PageHome, type TaskOutput, type TaskPart, taskParts } from './page-home.ts';
import { attachment, json, type Route, route, type RouteRequest } from './route.ts';

/** What the routes are about. */
export interface PageParts {
  readonly home: PageHome;
  readonly client: HomeClient;
  readonly feed: Feed;
  readonly logins: Logins;
  /** The headers that give a browser its session, or take it away. */
  cookie(session: SessionSecrets | undefined): Record<string, string>;
  /** Whether the login of this request still holds. */
  holds(asked: RouteRequest): boolean;
}

const nothing = z.object({});
const done = z.object({ done: z.boolean() });
const bytes = { type: 'application/octet-stream' };
const jsonBytes = { type: 'application/json' };
const digits = z.string().regex(/^\d{1,15}$/, 'a whole number is wanted').transform(Number);
const flag = z.enum(['true', 'false']).transform((value) => value === 'true');

const listQuery = z.strictObject({
  ...apiFilter.shape,
  retried: flag.optional(),
  id: z.array(z.string().max(limits.idLengthMax)).max(limits.pageRowsMax).optional(),
  limit: digits.optional(),
  offset: digits.optional(),
  as_of: digits.optional(),
  /** `next` of the part before; it stands for the offset and the moment of the list. */
  cursor: z.string().regex(/^\d{1,15}-\d{1,15}$/).optional(),
});

export function makeRoutes(parts: PageParts): Route[] {
  const routes: Route[] = [...poolRoutes(parts), ...taskRoutes(parts), ...memberRoutes(parts), ...loginRoutes(parts)];
  routes.push(route({ method: 'GET', path: '/api/v1/openapi.json', about: 'This description.', login: true, answer: jsonBytes }, () => json(openApi(routes))));
  return routes;
}

function poolRoutes({ home, feed, holds }: PageParts): Route[] {
  const status = () => ({ ...home.status() });
  return [
    route({ method: 'GET', path: '/api/v1/overview', about: 'The peer, the pool, what waits and fails here, and the last minutes.', login: true, answer: { schema: apiOverview } }, () =>
      json({ status: status(), peers: home.peers(), counts: home.counts(), failures: home.failures(), samples: feed.samples }),
    ),
    route({ method: 'GET', path: '/api/v1/status', about: 'The peer itself.', login: true, answer: { schema: apiStatus } }, () => json(status())),
    route({ method: 'GET', path: '/api/v1/peers', about: 'All peers of the pool that this one knows.', login: true, answer: { schema: z.array(apiPeer) } }, () => json(home.peers())),
    route(
      {
        method: 'GET',
        path: '/api/v1/events',
        about: 'What changes, as server-sent events: status, peers, counts, failures (each whole), sample, reset. Goes on after the event named by the header Last-Event-ID.',
        login: true,
        answer: { type: 'text/event-stream' },
      },
      (asked) => {
        // Nobody would read, nor end, the stream of a HEAD.
        const body = asked.c.req.method === 'HEAD' ? null : feed.stream(asked.c.req.header('last-event-id'), () => holds(asked));
        return new Response(body, { headers: { 'Content-Type': 'text/event-stream', 'X-Accel-Buffering': 'no' } });
      },
    ),
    route({ method: 'GET', path: '/api/v1/processes', about: 'The workers of this peer.', login: true, answer: { schema: z.array(apiProcess) } }, () => json(home.processes())),
    route({ method: 'POST', path: '/api/v1/processes/:pid/end', about: 'Kills a worker; a task that it runs fails.', login: true, body: nothing, answer: { schema: done } }, ({ c }) =>
      json({ done: home.endProcess(Number(c.req.param('pid'))) }),
    ),
  ];
}

function taskRoutes({ home, client }: PageParts): Route[] {
  return [
    route({ method: 'GET', path: '/api/v1/tasks', about: 'Tasks of this home, the newest first, filtered over all of them.', login: true, query: listQuery, answer: { schema: apiTaskList } }, async ({ query }) => {
      const { limit = 50, cursor, id: ids, offset, as_of: asOf, ...filter } = query;
      const [place, moment] = cursor === undefined ? [offset ?? 0, asOf] : (cursor.split('-').map(Number) as [number, number]);
      const page = await home.list({ ...taskQueryOf(filter), ids, limit: Math.min(limit, limits.pageRowsMax), offset: place, asOf: moment });
      const end = page.offset + page.rows.length;
      return json({ ...page, next: page.rows.length > 0 && end < page.total ? `${end}-${page.as_of}` : null });
    }),
    route({ method: 'POST', path: '/api/v1/tasks', about: 'Submits a task; the answer comes when it is on disk.', login: true, body: apiSubmission, bodyBytesMax: limits.pageSubmissionBytesMax, answer: { schema: apiSubmitted } }, async ({ body, bodyText }) => {
      const texts = fieldTexts(bodyText);
      const source = Buffer.from(body.program);
      if (source.length > limits.programBytesMax) throw new PotluckError('program_too_large', `the program has ${source.length} bytes, and the limit is ${limits.programBytesMax}`, { fix: 'put data into a file that the task can read' });
      const value = (name: 'args' | 'kwargs') => (body[name] === undefined ? undefined : Buffer.from(texts.get(name) ?? ''));
      const id = await client.submit({ id: body.id, program: source, language: body.language, function: body.function, args: value('args') ?? Buffer.from('[]'), kwargs: value('kwargs'), options: body.options });
      return json({ id });
    }),
    route({ method: 'POST', path: '/api/v1/bulk/cancel', about: 'Cancels all tasks that match and have not ended.', login: true, body: apiBulk, answer: { schema: apiBulkDone } }, async ({ body }) => json(await cancelAll(home, client, body))),
    route({ method: 'POST', path: '/api/v1/bulk/again', about: 'Submits all tasks that match and have ended once more, under new ids.', login: true, body: apiBulk, answer: { schema: apiBulkDone } }, async ({ body }) => json(await runAllAgain(home, client, body))),
    route({ method: 'GET', path: '/api/v1/tasks/:id', about: 'One task, without its values and output.', login: true, answer: { schema: apiTask } }, async ({ c }) => json(await home.task(c.req.param('id') ?? ''))),
    route({ method: 'POST', path: '/api/v1/tasks/:id/cancel', about: 'Cancels a task; the answer tells its outcome, which is another if it had ended before.', login: true, body: nothing, answer: { schema: apiCancelled } }, async ({ c }) => {
      const id = c.req.param('id') ?? '';
      return json({ id, state: await client.cancel(id) });
    }),
    route({ method: 'POST', path: '/api/v1/tasks/:id/again', about: 'Submits it once more, under a new id.', login: true, body: nothing, answer: { schema: apiSubmitted } }, async ({ c }) =>
      json({ id: await client.submit({ id: undefined, ...(await home.content(c.req.param('id') ?? '')) }) }),
    ),
    route(
      { method: 'GET', path: '/api/v1/tasks/:id/output', about: 'What it printed and is kept, from these bytes on.', login: true, query: z.strictObject({ stdout_from: digits.optional(), stderr_from: digits.optional() }), answer: { schema: apiOutput } },
      async ({ c, query }) => json(outputDocument(await home.output(c.req.param('id') ?? ''), { stdout: query.stdout_from ?? 0, stderr: query.stderr_from ?? 0 })),
    ),
    ...taskParts.map((part) => partRoute(home, part)),
    ...(['stdout', 'stderr'] as const).map((stream) =>
      route({ method: 'GET', path: `/api/v1/tasks/:id/${stream}`, about: `What it wrote to ${stream} and is kept, as bytes.`, login: true, answer: bytes }, async ({ c }) => {
        const id = c.req.param('id') ?? '';
        return attachment(whole(await home.output(id), stream), 'application/octet-stream', `${id}.${stream}.txt`);
      }),
    ),
  ];
}

const partTypes: Record<TaskPart, string> = { program: 'text/plain; charset=utf-8', args: 'application/json', kwargs: 'application/json', result: 'application/json' };

function partRoute(home: PageHome, part: TaskPart): Route {
  return route({ method: 'GET', path: `/api/v1/tasks/:id/${part}`, about: `Its ${part}, as the bytes that it is.`, login: true, answer: { type: partTypes[part] } }, async ({ c }) => {
    const id = c.req.param('id') ?? '';
    const found = await home.part(id, part);
    if (found === undefined) throw new PotluckError('unknown_task', `task ${id} has no ${part}`, { fix: part === 'result' ? 'a task has a result when it is done' : 'look at the task itself' });
    return attachment(found, partTypes[part], `${id}.${part}.${part === 'program' ? 'txt' : 'json'}`);
  });
}

function outputDocument(output: TaskOutput, from: Record<'stdout' | 'stderr', number>) {
  const of = (stream: 'stdout' | 'stderr') => ({
    size: output[stream]?.size ?? 0,
    pieces: output[stream]?.from(from[stream]).map(({ offset, data }) => ({ offset, base64: Buffer.from(data).toString('base64') })) ?? [],
  });
  return { attempt: output.attempt, peer: output.peer, ended: output.ended, streams: { stdout: of('stdout'), stderr: of('stderr') } };
}

/** What was dropped is said in its place. */
function whole(output: TaskOutput, stream: 'stdout' | 'stderr'): Buffer {
  let at = 0;
  const parts = (output[stream]?.from(0) ?? []).flatMap(({ offset, data }) => {
    const gap = offset > at ? [Buffer.from(`\n[${offset - at} bytes were not kept]\n`)] : [];
    at = offset + data.length;
    return [...gap, data];
  });
  return Buffer.concat(parts);
}

/** What only an admin may; the tracker decides that. */
function memberRoutes({ home }: PageParts): Route[] {
  return [
    route({ method: 'GET', path: '/api/v1/members', about: 'Who belongs to the pool.', login: true, answer: { schema: z.array(apiMember) } }, async () => json(await home.members())),
    route({ method: 'GET', path: '/api/v1/invitations', about: 'Invitations, those that have ended too.', login: true, answer: { schema: z.array(apiInvitation) } }, async () => json(await home.invitations())),
    route({ method: 'GET', path: '/api/v1/audit', about: 'What happened to members and invitations, the last first.', login: true, query: z.strictObject({ limit: digits.optional() }), answer: { schema: z.array(apiAuditLine) } }, async ({ query }) =>
      json(await home.audit(Math.min(query.limit ?? 50, limits.auditRowsMax))),
    ),
    route({ method: 'POST', path: '/api/v1/invitations', about: 'Makes an invitation; the command that it gives is a secret, and is shown this once.', login: true, body: apiInvite, answer: { schema: apiInvited } }, async ({ body }) =>
      json(await home.invite({ role: body.role, joins: body.joins, ttlMs: body.ttl_ms, name: body.name })),
    ),
    route({ method: 'POST', path: '/api/v1/invitations/:id/revoke', about: 'Ends an invitation.', login: true, body: nothing, answer: { schema: done } }, async ({ c }) => {
      await home.revoke({ invitation: c.req.param('id') ?? '' });
      return json({ done: true });
    }),
    route({ method: 'POST', path: '/api/v1/members/:name/revoke', about: 'Revokes a member: its links are cut, its tasks end, its invitations too.', login: true, body: nothing, answer: { schema: done } }, async ({ c }) => {
      await home.revoke({ member: c.req.param('name') ?? '' });
      return json({ done: true });
    }),
  ];
}

function loginRoutes({ home, logins, cookie }: PageParts): Route[] {
  return [
    route({ method: 'POST', path: '/login', about: 'Trades the code of a login link for a session: a cookie, and a token for the header X-Potluck-Token.', login: false, body: apiLogin, answer: { schema: apiLoggedIn } }, ({ c, body }) => {
      const session = logins.login(body.code, c.req.header('user-agent') ?? 'a browser');
      if (session === undefined) throw new PotluckError('login_used', 'this login link does not count any more', { why: 'it was used, or is too old', fix: 'on the machine of the peer, type: potluck page' });
      const answer = json({ token: session.header, peer: home.peer, expires_at: new Date(session.expires).toISOString() });
      for (const [name, value] of Object.entries(cookie(session))) answer.headers.append(name, value);
      return answer;
    }),
    route({ method: 'POST', path: '/api/v1/logout', about: 'Ends this session.', login: true, body: nothing, answer: { schema: done } }, ({ login }) => {
      const ended = login !== undefined && logins.end(login.kind, login.id);
      const answer = json({ done: ended });
      for (const [name, value] of Object.entries(cookie(undefined))) answer.headers.append(name, value);
      return answer;
    }),
    route({ method: 'GET', path: '/api/v1/logins', about: 'Sessions and tokens of this page.', login: true, answer: { schema: z.array(apiKey) } }, ({ login }) => json(keys(logins, login?.id))),
    route({ method: 'DELETE', path: '/api/v1/logins/:kind/:id', about: 'Ends a session or a token at once.', login: true, answer: { schema: done } }, (asked) => {
      const kind = asked.c.req.param('kind') as LoginKind;
      const ended = (kind === 'session' || kind === 'token') && logins.end(kind, asked.c.req.param('id') ?? '');
      return json({ done: ended });
    }),
  ];
}

const keys = (logins: Logins, current: string | undefined): ApiKey[] =>
  logins.list().flatMap(({ kind, id, name, created, expires }) => (kind === 'code' ? [] : [{ kind, id, name, created_at: new Date(created).toISOString(), expires_at: new Date(expires).toISOString(), current: id === current }]));
