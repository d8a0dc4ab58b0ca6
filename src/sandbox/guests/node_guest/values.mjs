// @ts-check
/**
 * Arguments from the host's bytes, and results to them.
 */
import { Misfit, readExact, typeName, writeExact } from './exact-json.mjs';
import { failure } from './failures.mjs';

const RESULT_BYTES_MAX = 64 * 1024 * 1024;

/** @param {Buffer} text */
export function parseArguments(text) {
  let args;
  try {
    args = readExact(text.toString('utf8'));
  } catch (error) {
    throw failure('bad_arguments', 'SyntaxError', `the arguments are not JSON: ${error instanceof Error ? error.message : error}`);
  }
  if (Array.isArray(args)) return args;
  throw failure('bad_arguments', 'TypeError', `the arguments are ${typeName(args)}, not a JSON array`);
}

/** @param {unknown} value */
export function encodeResult(value) {
  let text;
  try {
    text = value === undefined ? 'null' : writeExact(value);
  } catch (error) {
    if (error instanceof Misfit) throw failure('result_not_json', error.type, `${error.path} is ${error.type}, which JSON cannot hold`, error.hint);
    if (error instanceof RangeError) throw failure('result_not_json', 'RangeError', `the result cannot be written as JSON: ${error.message}`);
    throw error;
  }
  const body = Buffer.from(text);
  if (body.length <= RESULT_BYTES_MAX) return body;
  throw failure('result_too_large', 'RangeError', `the result is ${body.length} bytes of JSON; at most ${RESULT_BYTES_MAX} may be returned`);
}
