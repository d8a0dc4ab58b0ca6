/** Where bytes of UTF-8 were cut within a character. What is no UTF-8 at all is left alone. */

const isContinuation = (byte: number | undefined): boolean => byte !== undefined && (byte & 0xc0) === 0x80;

/** Of a character whose beginning was cut off: how many of the first bytes belong to it. */
export function continuationBytes(bytes: Uint8Array): number {
  let count = 0;
  while (count < 4 && isContinuation(bytes[count])) count += 1;
  return count < 4 ? count : 0;
}

/** Of a character whose rest was cut off: how many of the last bytes belong to it. */
export function cutCharacterBytes(bytes: Uint8Array): number {
  for (let back = 1; back <= 3 && back <= bytes.length; back += 1) {
    const byte = bytes[bytes.length - back]!;
    if (isContinuation(byte)) continue;
    const length = byte >= 0xf0 && byte < 0xf8 ? 4 : byte >= 0xe0 ? 3 : byte >= 0xc0 ? 2 : 1;
    return byte < 0xf8 && length > back ? back : 0;
  }
  return 0;
}
