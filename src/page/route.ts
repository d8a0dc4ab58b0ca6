/**
 * What a route of the page is, and how a request reaches its handler: login, query and body checked first.
 *
 * Owns: reading bodies within a bound, and errors as documents. The routes: routes.ts.
 */
import type { Context } from 'hono';
import * as z from 'zod';
import { PotluckError, type ErrorCode } from '../errors.ts';
import { limits } from '../limits.ts';
import type { Login } from './logins.ts';

export interface Answer {
  /** A schema of JSON, or the media type of bytes. */
  schema?: z.ZodType;
  type?: string;
}

export interface Route {
  readonly method: 'GET' | 'POST' | 'DELETE';
  /** With parameters as `:id`. */
  readonly path: string;
  readonly about: string;
  /** False: for who has no login yet. */
  readonly login: boolean;
  readonly query?: z.ZodObject;
  readonly body?: z.ZodType;
  readonly bodyBytesMax?: number;
  readonly answer: Answer;
  handle(asked: RouteRequest): Promise<Response> | Response;
}

export interface RouteRequest {
  readonly c: Context;
  readonly query: unknown;
  readonly body: unknown;
  /** The body as it came, for values that are passed on as they are. */
  readonly bodyText: string;
  readonly login: Login | undefined;
}

/** A route whose handler knows the types of its query and body. */
export function route<Q extends z.ZodObject = z.ZodObject, B extends z.ZodType = z.ZodType>(about: Omit<Route, 'handle' | 'query' | 'body'> & { query?: Q; body?: B }, handle: (asked: RouteRequest & { query: z.output<Q>; body: z.output<B> }) => Promise<Response> | Response): Route {
  return { ...about, handle: (asked) => handle(asked as RouteRequest & { query: z.output<Q>; body: z.output<B> }) };
}

export async function carryOut(each: Route, c: Context, login: Login | undefined): Promise<Response> {
  const query = each.query === undefined ? refuseQuery(c) : check(each.query, queryOf(c, each.query), 'the query');
  const bodyText = each.body === undefined ? '' : await readBody(c.req.raw, each.bodyBytesMax ?? limits.pageBodyBytesMax);
  const body = each.body === undefined ? undefined : check(each.body, parse(bodyText), 'the body');
  return each.handle({ c, query, body, bodyText, login });
}

/** A value that stands there once is a text, except where the schema wants a list. */
function queryOf(c: Context, schema: z.ZodObject): Record<string, unknown> {
  const given: Record<string, unknown> = {};
  for (const [name, values] of Object.entries(c.req.queries())) {
    const wanted = Object.hasOwn(schema.shape, name) ? schema.shape[name] : undefined;
    const isList = wanted instanceof z.ZodOptional && wanted.unwrap() instanceof z.ZodArray;
    if (values.length > 1 && !isList) throw new PotluckError('bad_request', `the query has ${name} ${values.length} times`, { fix: 'write it once' });
    Object.defineProperty(given, name, { value: isList ? values : values[0], enumerable: true });
  }
  return given;
}

function refuseQuery(c: Context): undefined {
  const [name] = Object.keys(c.req.queries());
  if (name !== undefined) throw new PotluckError('bad_request', `this takes no query, and was given ${JSON.stringify(name.slice(0, 50))}`, { fix: 'leave it out' });
  return undefined;
}

function check(schema: z.ZodType, value: unknown, what: string): unknown {
  const checked = schema.safeParse(value);
  if (checked.success) return checked.data;
  const issue = checked.error.issues[0];
  const place = issue === undefined || issue.path.length === 0 ? what : `${what}, ${issue.path.map(String).join('.')}`;
  throw new PotluckError('bad_request', `${place} will not do`, { why: issue?.message ?? 'it has another shape', fix: 'see /api/v1/openapi.json' });
}

function parse(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch (error) {
    throw new PotluckError('bad_json', 'the body is not JSON', { why: (error as Error).message, fix: 'send one JSON document', cause: error });
  }
}

async function readBody(request: Request, bytesMax: number): Promise<string> {
  const tooLarge = () => new PotluckError('body_too_large', 'the body is too large', { why: `at most ${bytesMax} bytes are taken here`, fix: 'send less, or put the data where the task can read it' });
  if (Number(request.headers.get('content-length') ?? 0) > bytesMax) throw tooLarge();
  const parts: Uint8Array[] = [];
  let size = 0;
  for await (const part of request.body ?? []) {
    size += part.length;
    if (size > bytesMax) throw tooLarge();
    parts.push(part);
  }
  try {
    return new TextDecoder('utf-8', { fatal: true }).decode(Buffer.concat(parts));
  } catch (error) {
    throw new PotluckError('bad_request', 'the body is not UTF-8', { fix: 'send UTF-8', cause: error });
  }
}

// --- errors ----------------------------------------------------------------------------------

const statuses: Partial<Record<ErrorCode, number>> = {
  unknown_task: 404,
  no_route: 404,
  no_longer_kept: 410,
  id_conflict: 409,
  program_too_large: 413,
  arguments_too_large: 413,
  body_too_large: 413,
  bad_submission: 422,
  impossible: 422,
  bad_request: 400,
  bad_json: 400,
  not_allowed: 403,
  tracker_unreachable: 503,
  not_logged_in: 401,
  login_used: 401,
  foreign_page: 403,
  too_many_waiting: 503,
  store_full: 503,
  store_failed: 503,
  draining: 503,
  history_unavailable: 503,
  link_lost: 503,
  too_many_streams: 503,
};

/** The same document as the command line prints. */
export function errorResponse(error: PotluckError, status = statuses[error.code] ?? 500): Response {
  const { code, message, hint } = error.toProblem();
  return json({ error: { code, message, hint: hint ?? null } }, status);
}

export const json = (document: unknown, status = 200): Response => new Response(`${JSON.stringify(document)}\n`, { status, headers: { 'Content-Type': 'application/json; charset=utf-8' } });

/** Bytes that a browser saves and never shows. */
export function attachment(bytes: Uint8Array, type: string, name: string): Response {
  return new Response(new Uint8Array(bytes), { headers: { 'Content-Type': type, 'Content-Disposition': `attachment; filename="${name.replaceAll(/[^A-Za-z0-9._-]/g, '_')}"` } });
}
