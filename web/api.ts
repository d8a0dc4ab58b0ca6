/**
 * Requests to the peer: with the login, and errors as what, why and how to mend it.
 *
 * Owns: the header token, in localStorage (a new tab has it too). The cookie is the browser's.
 */
import type { ApiAuditLine, ApiBulkDone, ApiFilter, ApiInvitation, ApiKey, ApiMember, ApiOutput, ApiOverview, ApiProcess, ApiTask, ApiTaskList } from '../src/wire/api.ts';

const tokenKey = 'potluck-token';
const peerKey = 'potluck-peer';

export const storedToken = (): string | null => localStorage.getItem(tokenKey);
export const storedPeer = (): string => localStorage.getItem(peerKey) ?? 'this peer';

/** What went wrong, in the form that a person reads. */
export class ApiError extends Error {
  readonly code: string;
  readonly hint: string | null;
  readonly status: number;

  constructor(code: string, message: string, hint: string | null, status: number) {
    super(message);
    this.code = code;
    this.hint = hint;
    this.status = status;
  }
}

/** Told when the login is over. */
export const loggedOut = new EventTarget();

export async function request(path: string, init: RequestInit = {}): Promise<Response> {
  let answer: Response;
  try {
    answer = await fetch(path, { ...init, headers: { ...(init.headers as Record<string, string> | undefined), 'X-Potluck-Token': storedToken() ?? '' } });
  } catch (error) {
    if (error instanceof DOMException && error.name === 'AbortError') throw error;
    throw new ApiError('unreachable', 'the peer does not answer', 'is it still running? the page tries again by itself', 0);
  }
  if (answer.ok) return answer;
  const problem = await problemOf(answer);
  // A link that was used says nothing of the login that there is.
  if (answer.status === 401 && path !== '/login') {
    localStorage.removeItem(tokenKey);
    loggedOut.dispatchEvent(new Event('out'));
  }
  throw problem;
}

async function problemOf(answer: Response): Promise<ApiError> {
  try {
    const { error } = (await answer.json()) as { error: { code: string; message: string; hint: string | null } };
    return new ApiError(error.code, error.message, error.hint, answer.status);
  } catch {
    return new ApiError('internal', `the peer answered ${answer.status}`, null, answer.status);
  }
}

const get = async <T>(path: string, signal?: AbortSignal): Promise<T> => (await request(path, signal === undefined ? {} : { signal })).json() as Promise<T>;
const post = async <T>(path: string, body = '{}', method = 'POST'): Promise<T> => (await request(path, { method, ...(method === 'DELETE' ? {} : { body, headers: { 'Content-Type': 'application/json' } }) })).json() as Promise<T>;

export async function login(code: string): Promise<string> {
  const { token, peer } = await post<{ token: string; peer: string }>('/login', JSON.stringify({ code }));
  localStorage.setItem(tokenKey, token);
  localStorage.setItem(peerKey, peer);
  return peer;
}

export async function logout(): Promise<void> {
  await post('/api/v1/logout');
  localStorage.removeItem(tokenKey);
  loggedOut.dispatchEvent(new Event('out'));
}

const id = encodeURIComponent;

export const overview = (): Promise<ApiOverview> => get('/api/v1/overview');
export const processes = (): Promise<ApiProcess[]> => get('/api/v1/processes');
export const endProcess = (pid: number): Promise<{ done: boolean }> => post(`/api/v1/processes/${pid}/end`);
export const listTasks = (query: URLSearchParams, signal?: AbortSignal): Promise<ApiTaskList> => get(`/api/v1/tasks?${query}`, signal);
export const task = (of: string, signal?: AbortSignal): Promise<ApiTask> => get(`/api/v1/tasks/${id(of)}`, signal);
export const output = (of: string, stdoutFrom: number, stderrFrom: number, signal?: AbortSignal): Promise<ApiOutput> => get(`/api/v1/tasks/${id(of)}/output?stdout_from=${stdoutFrom}&stderr_from=${stderrFrom}`, signal);
export const cancel = (of: string): Promise<{ id: string; state: string }> => post(`/api/v1/tasks/${id(of)}/cancel`);
export const again = (of: string): Promise<{ id: string }> => post(`/api/v1/tasks/${id(of)}/again`);
export const bulk = (what: 'cancel' | 'again', filter: ApiFilter, asOf: number, count: number): Promise<ApiBulkDone> => post(`/api/v1/bulk/${what}`, JSON.stringify({ filter, as_of: asOf, count }));
export const members = (): Promise<ApiMember[]> => get('/api/v1/members');
export const invitations = (): Promise<ApiInvitation[]> => get('/api/v1/invitations');
export const audit = (): Promise<ApiAuditLine[]> => get('/api/v1/audit?limit=30');
export const invite = (role: string, name: string): Promise<{ id: string; command: string; expires_at: string }> => post('/api/v1/invitations', JSON.stringify({ role, ...(name === '' ? {} : { name, joins: 1 }) }));
export const revoke = (what: 'members' | 'invitations', of: string): Promise<{ done: boolean }> => post(`/api/v1/${what}/${id(of)}/revoke`);
export const logins = (): Promise<ApiKey[]> => get('/api/v1/logins');
export const endLogin = (kind: string, of: string): Promise<{ done: boolean }> => post(`/api/v1/logins/${kind}/${id(of)}`, '', 'DELETE');

/** A part of a task as the bytes that it is. */
export async function part(of: string, name: 'program' | 'args' | 'kwargs' | 'result'): Promise<Blob> {
  return (await request(`/api/v1/tasks/${id(of)}/${name}`)).blob();
}

/** `args` and `kwargs` are JSON texts and go out exactly as they are. */
export async function submit(task: { program: string; language: string; function: string; args: string; kwargs: string; options: Record<string, unknown> }): Promise<string> {
  const head = JSON.stringify({ program: task.program, language: task.language, function: task.function, options: task.options });
  const kwargs = task.kwargs.trim() === '' ? '' : `,"kwargs":${task.kwargs}`;
  const body = `${head.slice(0, -1)},"args":${task.args.trim() === '' ? '[]' : task.args}${kwargs}}`;
  return (await post<{ id: string }>('/api/v1/tasks', body)).id;
}
