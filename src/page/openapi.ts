/** The OpenAPI document of the page, made from the routes and the schemas that they check with. */
import * as z from 'zod';
import { problemDocument } from '../wire/api.ts';
import { version } from '../version.ts';
import type { Route } from './route.ts';

type Json = Record<string, unknown>;

export function openApi(routes: readonly Route[]): Json {
  const paths: Record<string, Json> = {};
  for (const each of routes) {
    const path = each.path.replaceAll(/:(\w+)/g, '{$1}');
    paths[path] = { ...paths[path], [each.method.toLowerCase()]: operation(each) };
  }
  return {
    openapi: '3.1.0',
    info: { title: 'potluck: a peer', version, description: 'Scripts send `Authorization: Bearer TOKEN`, made with `potluck page --token`.' },
    components: {
      schemas: { Problem: schemaOf(problemDocument, 'output') },
      securitySchemes: {
        token: { type: 'http', scheme: 'bearer' },
        session: { type: 'apiKey', in: 'header', name: 'X-Potluck-Token', description: 'Of a browser, together with its cookie.' },
      },
    },
    paths,
  };
}

function operation({ path, about, login, query, body, answer }: Route): Json {
  const inPath = [...path.matchAll(/:(\w+)/g)].map(([, name]) => ({ name, in: 'path', required: true, schema: { type: 'string' } }));
  const content = answer.schema === undefined ? { [answer.type ?? 'application/octet-stream']: {} } : { 'application/json': { schema: schemaOf(answer.schema, 'output') } };
  return {
    summary: about,
    security: login ? [{ token: [] }, { session: [] }] : [],
    parameters: [...inPath, ...queryParameters(query)],
    ...(body === undefined ? {} : { requestBody: { required: true, content: { 'application/json': { schema: schemaOf(body, 'input') } } } }),
    responses: {
      200: { description: 'done', content },
      default: { description: 'what went wrong, why, and how to mend it', content: { 'application/json': { schema: { $ref: '#/components/schemas/Problem' } } } },
    },
  };
}

function queryParameters(query: z.ZodObject | undefined): Json[] {
  if (query === undefined) return [];
  const { properties = {} } = schemaOf(query, 'input') as { properties?: Record<string, Json> };
  return Object.entries(properties).map(([name, schema]) => ({ name, in: 'query', required: false, schema, ...(schema.type === 'array' ? { style: 'form', explode: true } : {}) }));
}

function schemaOf(schema: z.ZodType, io: 'input' | 'output'): Json {
  const { $schema: _dialect, ...rest } = z.toJSONSchema(schema, { io, unrepresentable: 'any' });
  return rest;
}
