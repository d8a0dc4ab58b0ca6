/** Bytes that ought to be JSON. */
const utf8 = new TextDecoder('utf-8', { fatal: true, ignoreBOM: true });

/** The text, if the bytes are exactly one JSON text in UTF-8. */
export function jsonTextOf(bytes: Uint8Array): string | undefined {
  try {
    const text = utf8.decode(bytes);
    JSON.parse(text);
    return text;
  } catch {
    // What others gave is no JSON: an answer, not an accident.
    return undefined;
  }
}

/** JSON text in which characters that steer a terminal are written as escapes; the value is the same. */
export const escapedJson = (text: string): string =>
  text.replaceAll(/[^\P{Cc}\t\n\r]|[\u200e\u200f\u2028-\u202e\u2066-\u2069]/gu, (char) => `\\u${char.charCodeAt(0).toString(16).padStart(4, '0')}`);
