/** A list in parts of at most `sizeMax`, in order; none for an empty list. */
export function* inParts<T>(list: readonly T[], sizeMax: number): Generator<T[]> {
  for (let at = 0; at < list.length; at += sizeMax) yield list.slice(at, at + sizeMax);
}
