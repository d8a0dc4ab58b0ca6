/**
 * A quick yes to the messages of which there are several for every task.
 *
 * Neighbour: messages.ts owns the shapes. What gets no yes here goes to its schema, which takes it, or says
 * what is wrong with it; so a check here may be stricter than the schema and never looser.
 *
 * Invariant: what passes, the schema would give back as it is (tested with values of all kinds).
 */
import { limits } from '../limits.ts';
import { attemptOutcomes, languages, type MessageKind, optionsSchema, outcomes, receiptReasons } from './messages.ts';

type Check = (value: unknown) => boolean;

interface Field {
  check: Check;
  isRequired: boolean;
}

/** An object with these fields and no others. */
class Shape {
  readonly #fields: ReadonlyMap<string, Field>;
  readonly #required: number;

  constructor(required: Record<string, Check>, optional: Record<string, Check> = {}) {
    const fields = (checks: Record<string, Check>, isRequired: boolean) => Object.entries(checks).map(([key, check]) => [key, { check, isRequired }] as const);
    this.#fields = new Map([...fields(required, true), ...fields(optional, false)]);
    this.#required = Object.keys(required).length;
  }

  readonly fits = (value: unknown): value is Record<string, unknown> => {
    if (!isObject(value)) return false;
    let found = 0;
    for (const key in value) {
      const field = this.#fields.get(key);
      if (field === undefined || !field.check(value[key])) return false;
      if (field.isRequired) found += 1;
    }
    return found === this.#required;
  };

  fieldFits(key: string, value: unknown): boolean {
    return this.#fields.get(key)?.check(value) === true;
  }
}

/** As it is read from a link: nothing else has this prototype and own names. */
const isObject = (value: unknown): value is Record<string, unknown> => typeof value === 'object' && value !== null && Object.getPrototypeOf(value) === Object.prototype;

const matches = (pattern: RegExp): Check => (value) => typeof value === 'string' && pattern.test(value);
const oneOf = (values: readonly string[]): Check => (value) => values.includes(value as string);
const listOf = (check: Check, lengthMax: number): Check => (value) => Array.isArray(value) && value.length <= lengthMax && value.every(check);
const nullOr = (check: Check): Check => (value) => value === null || check(value);

const isId = matches(/^[A-Za-z0-9_-]{1,64}$/);
const isHash = matches(/^[0-9a-f]{64}$/);
const isAttemptKey = matches(/^[0-9a-f]{16}$/);
const isText: Check = (value) => typeof value === 'string';
const isFunctionName: Check = (value) => typeof value === 'string' && value.length >= 1 && value.length <= limits.functionNameLengthMax;
const isSubmitter: Check = (value) => typeof value === 'string' && value.length <= 64;
const isBytes: Check = (value) => value instanceof Uint8Array;
const isFlag: Check = (value) => typeof value === 'boolean';
const isCount: Check = (value) => Number.isSafeInteger(value) && (value as number) >= 0;
const isAttemptNumber: Check = (value) => Number.isSafeInteger(value) && (value as number) >= 1;
const isMs: Check = (value) => Number.isFinite(value) && (value as number) >= 0;
const isLanguage = oneOf(languages);

function isOptions(value: unknown): boolean {
  if (!isObject(value)) return false;
  for (const _ in value) return optionsSchema.safeParse(value).success;
  return true;
}

function isCounts(value: unknown): boolean {
  if (!isObject(value)) return false;
  for (const key in value) if (!isCount(value[key])) return false;
  return true;
}

const candidate = new Shape({ peer: isText, load: Number.isFinite, cpu_load: Number.isFinite });
const receipt = new Shape({ peer: isText, decided: oneOf(receiptReasons), candidates: listOf(candidate.fits, limits.receiptCandidatesMax) }, { passed_over: isCounts });

const attemptRef = { id: isId, attempt: isAttemptNumber, key: isAttemptKey };
const call = { program: isHash, language: isLanguage, function: isFunctionName, args: isBytes };

const shapes: { readonly [K in MessageKind]?: Shape } = {
  submit: new Shape({ id: isId, ...call, options: isOptions }, { kwargs: isBytes, follow: isFlag }),
  accepted: new Shape({ ids: listOf(isId, limits.idsPartMax) }),
  attempt: new Shape({ ...attemptRef, ...call, submitter: isSubmitter }, { kwargs: isBytes, timeoutMs: isCount, memoryMb: isCount, fresh: isFlag, ahead: isFlag }),
  attempt_ended: new Shape({ ...attemptRef, outcome: oneOf(attemptOutcomes), runUs: isCount }, { result: isBytes, pid: isCount }),
  stored: new Shape({ attempts: listOf(new Shape(attemptRef).fits, limits.listPartMax) }),
  outcome: new Shape({ id: isId, state: oneOf(outcomes), peer: nullOr(isText), attempt: isCount, queued_ms: isMs, run_ms: nullOr(isMs), receipt: nullOr(receipt.fits) }, { result: isBytes }),
};

/** Whether these fields make a message of that kind, as they are. */
export const isQuickly = (kind: MessageKind, fields: unknown): fields is Record<string, unknown> => shapes[kind]?.fits(fields) === true;

/** Whether one field of such a message may have this value, whatever the others have. */
export const fieldIsQuickly = (kind: MessageKind, key: string, value: unknown): boolean => shapes[kind]?.fieldFits(key, value) === true;
