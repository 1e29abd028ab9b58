import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import type { z } from 'zod';
import { duration, size, wholeNumber } from '../../src/config/units.ts';

function refused(schema: z.ZodType<number, string>, texts: string[]): void {
  for (const text of texts) assert.equal(schema.safeParse(text).success, false, text);
}

describe('units', () => {
  it('reads durations', () => {
    const schema = duration('1ms', '7d');
    const cases = { '500ms': 500, '30s': 30_000, '1.5s': 1500, '10m': 600_000, '2h': 7_200_000, '7d': 604_800_000 };
    for (const [text, expected] of Object.entries(cases)) assert.equal(schema.parse(text), expected);
    refused(schema, ['30', '30 s', '-1s', '1S', '8d', '0ms', 's', '', '1e3s', '1constructor']);
  });

  it('reads sizes, decimal and binary', () => {
    const schema = size('1B', '1GiB');
    const cases = { '1B': 1, '64KiB': 65_536, '8MiB': 8_388_608, '1MB': 1_000_000, '10kB': 10_000, '0.5MiB': 524_288 };
    for (const [text, expected] of Object.entries(cases)) assert.equal(schema.parse(text), expected);
    refused(schema, ['8', '8M', '8mib', '2GiB', '0B', '1GB GB']);
  });

  it('reads whole numbers', () => {
    const schema = wholeNumber(1, 10);
    assert.equal(schema.parse('10'), 10);
    refused(schema, ['0', '11', '1.5', '1e1', '0x1', ' 1', '']);
  });
});
