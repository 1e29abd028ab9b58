const PORTION_ITEMS = 1_000;
const PORTION_LENGTH = 1 << 20;

/**
 * Gathers items for one statement: 1,000 of them, or fewer that are together 1,048,576 long.
 * @param length of an item, in UTF-16 units
 */
export async function* portions<T>(items: AsyncIterable<T>, length: (item: T) => number): AsyncGenerator<T[]> {
  let portion: T[] = [];
  let total = 0;
  for await (const item of items) {
    portion.push(item);
    total += length(item);
    if (total < PORTION_LENGTH && portion.length < PORTION_ITEMS) continue;
    yield portion;
    portion = [];
    total = 0;
  }
  if (portion.length > 0) yield portion;
}
