/**
 * The fields of a JSON object as the texts that they are, for values that must pass through digit by digit.
 *
 * Invariant: of a text that JSON.parse accepts as an object, each field's text is exactly its part of it;
 * of a name that stands there twice, the last counts, as for JSON.parse.
 */

/** @param text an object that JSON.parse has accepted */
export function fieldTexts(text: string): Map<string, string> {
  const fields = new Map<string, string>();
  let at = skip(text, text.indexOf('{') + 1);
  while (text[at] === '"') {
    const nameEnd = valueEnd(text, at);
    const start = skip(text, skip(text, nameEnd) + 1);
    const end = valueEnd(text, start);
    fields.set(JSON.parse(text.slice(at, nameEnd)) as string, text.slice(start, end));
    at = skip(text, end);
    if (text[at] === ',') at = skip(text, at + 1);
  }
  return fields;
}

function skip(text: string, at: number): number {
  let next = at;
  while (next < text.length && ' \t\n\r'.includes(text[next]!)) next += 1;
  return next;
}

/** Where the value that begins at `start` ends. Never recursive, so that nesting cannot exhaust the stack. */
function valueEnd(text: string, start: number): number {
  let depth = 0;
  for (let at = start; at < text.length; at += 1) {
    const char = text[at]!;
    if (char === '"') at = stringEnd(text, at) - 1;
    else if (char === '{' || char === '[') depth += 1;
    else if ((char === '}' || char === ']') && depth > 0) depth -= 1;
    else if (depth === 0 && ',}] \t\n\r'.includes(char)) return at;
    else continue;
    if (depth === 0) return at + 1;
  }
  return text.length;
}

function stringEnd(text: string, start: number): number {
  let at = start + 1;
  while (text[at] !== '"') at += text[at] === '\\' ? 2 : 1;
  return at + 1;
}
