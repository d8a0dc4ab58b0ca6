import { expect, it } from 'vitest';
import { uuidv7 } from '../../src/lib/uuid.ts';

it('is a UUID of version 7, sorts in the order of making and never repeats', () => {
  const ids = Array.from({ length: 20_000 }, () => uuidv7());
  for (const id of ids.slice(0, 100)) expect(id).toMatch(/^[0-9a-f]{8}-[0-9a-f]{4}-7[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}$/);
  expect(new Set(ids).size).toBe(ids.length);
  expect(ids.toSorted()).toEqual(ids);
});

it('still sorts when the wall clock goes back', () => {
  const later = uuidv7(Date.now() + 5_000);
  expect(uuidv7(1_000) > later).toBe(true);
});
