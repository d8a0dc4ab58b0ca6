// Counts words. An ES module; any export can be called, and promises are awaited.
export async function main(text, { least = 1 } = {}) {
  const counts = {};
  for (const word of text.toLowerCase().match(/\p{L}+/gu) ?? []) counts[word] = (counts[word] ?? 0) + 1;
  console.log(`${Object.keys(counts).length} different words`);
  return Object.fromEntries(Object.entries(counts).filter(([, count]) => count >= least));
}
