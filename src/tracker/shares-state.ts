/**
 * Max-min fair shares (water filling): nobody gets more than wanted, and what one leaves is split evenly
 * among the others. Source: Bertsekas and Gallager, "Data Networks", 6.5.2.
 *
 * @param capacity what there is to share
 * @param wanted what each wants
 * @returns each one's share, in the order of `wanted`; their sum is min(capacity, sum of wanted)
 */
export function fairShares(capacity: number, wanted: readonly number[]): number[] {
  const shares = wanted.map(() => 0);
  const order = wanted.map((_, at) => at).sort((a, b) => wanted[a]! - wanted[b]!);
  let left = capacity;
  order.forEach((at, done) => {
    const share = Math.min(wanted[at]!, left / (order.length - done));
    shares[at] = share;
    left -= share;
  });
  return shares;
}
