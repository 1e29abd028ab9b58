import type { z } from 'zod';

/**
 * One environment variable, declared once: how its text becomes a value, its default and its meaning. The types of
 * the configuration, the checks and .env.example all come from these declarations.
 */
export interface Variable<T> {
  schema: z.ZodType<T, string>;
  /** Text, in the variable's own notation. */
  default?: string;
  required: boolean;
  /** May come from a file named by NAME_FILE; its value is never shown. */
  secret: boolean;
  /** One or more sentences, for .env.example. */
  meaning: string;
  /** A value to show in .env.example where there is no default. */
  example?: string;
}

type Words = Pick<Variable<unknown>, 'meaning' | 'example'> & { secret?: true };

/** A variable without which the process cannot start. */
export function required<T>(schema: z.ZodType<T, string>, words: Words): Variable<T> {
  return { schema, required: true, secret: false, ...words };
}

/** A variable whose absence means that something is not used. */
export function optional<T>(schema: z.ZodType<T, string>, words: Words): Variable<T | undefined> {
  return { schema, required: false, secret: false, ...words };
}

/** A variable with a default, written as one would write it in the environment. */
export function withDefault<T>(schema: z.ZodType<T, string>, text: string, meaning: string): Variable<T> {
  return { schema, default: text, required: false, secret: false, meaning };
}

export type Variables = Record<string, Variable<unknown>>;

/** The values of a set of variables. */
export type Values<V extends Variables> = { [Name in keyof V]: V[Name] extends Variable<infer T> ? T : never };

/** Where a secret's file is named. */
export function fileVariable(name: string): string {
  return `${name}_FILE`;
}
