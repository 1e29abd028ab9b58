import { z } from 'zod';

/** Milliseconds of each unit of time. */
const TIME_UNITS: Record<string, number> = { ms: 1, s: 1000, m: 60_000, h: 3_600_000, d: 86_400_000 };

/** Bytes of each unit of size: decimal (kB, MB, GB) and binary (KiB, MiB, GiB; IEC 80000-13). */
const SIZE_UNITS: Record<string, number> = {
  B: 1,
  kB: 1000,
  MB: 1000 ** 2,
  GB: 1000 ** 3,
  KiB: 1024,
  MiB: 1024 ** 2,
  GiB: 1024 ** 3,
};

interface Unit {
  units: Record<string, number>;
  whatItIs: string;
  example: string;
}

const DURATION: Unit = { units: TIME_UNITS, whatItIs: 'a duration', example: '500ms, 30s, 10m, 2h or 7d' };
const SIZE: Unit = { units: SIZE_UNITS, whatItIs: 'a size', example: '64KiB, 8MiB or 1MB' };

/** Number and unit without a space, as one value: `1.5s` is 1500. Bounds are given in the same notation. */
function quantity(unit: Unit, least: string, most: string): z.ZodType<number, string> {
  const { units, whatItIs, example } = unit;
  const expected = `${whatItIs} such as ${example}, from ${least} to ${most}`;
  const [minimum, maximum] = [read(least, units), read(most, units)];
  return z.string().transform((text, context) => {
    const value = read(text, units);
    if (value !== undefined && value >= minimum! && value <= maximum!) return value;
    context.addIssue({ code: 'custom', message: expected });
    return z.NEVER;
  });
}

/** A value in the base unit, rounded to a whole number; undefined where the text is no quantity of these units. */
function read(text: string, units: Record<string, number>): number | undefined {
  const match = /^(\d+(?:\.\d+)?)([A-Za-z]+)$/.exec(text);
  const factor = match && Object.hasOwn(units, match[2]!) ? units[match[2]!] : undefined;
  return match && factor !== undefined ? Math.round(Number(match[1]) * factor) : undefined;
}

/** Text such as `30s` as milliseconds. A unit is asked for: a bare number would leave seconds or milliseconds open. */
export function duration(least: string, most: string): z.ZodType<number, string> {
  return quantity(DURATION, least, most);
}

/** Text such as `8MiB` as bytes. */
export function size(least: string, most: string): z.ZodType<number, string> {
  return quantity(SIZE, least, most);
}

/** A whole decimal number within bounds, both included. */
export function wholeNumber(least: number, most: number): z.ZodType<number, string> {
  return z.string().transform((text, context) => {
    const value = /^\d{1,15}$/.test(text) ? Number(text) : Number.NaN;
    if (value >= least && value <= most) return value;
    context.addIssue({ code: 'custom', message: `a whole number from ${least} to ${most}` });
    return z.NEVER;
  });
}
