import type pg from 'pg';
import { type Reason, Refusal } from './answer.ts';

/** More reasons than these are counted, not listed: the answer stays bounded. */
const MOST_REASONS = 1_000;

/** Collects why a request is refused, while the rest of it is still read: all reasons are told at once. */
export class Reasons {
  private readonly list: Reason[] = [];
  private documents = 0;

  get any(): boolean {
    return this.documents > 0;
  }

  /** Takes the reasons of one document; none are fine. */
  add(reasons: readonly Reason[]): void {
    if (reasons.length === 0) return;
    this.documents += 1;
    this.list.push(...reasons.slice(0, Math.max(0, MOST_REASONS - this.list.length)));
  }

  /** Throws the 422 where there are reasons. */
  refuse(): void {
    if (this.any) throw new Refusal(422, this.list);
  }
}

/** Whether an error of PostgreSQL is about a document's content: JSON that jsonb does not take (\u0000, numbers too big). */
export function isContentError(error: unknown): boolean {
  const code = (error as { code?: unknown }).code;
  return typeof code === 'string' && code.startsWith('22');
}

/** Which of the texts PostgreSQL does not take as jsonb, with its own words (PostgreSQL manual, 9.26.2, since 16). */
export async function notJsonb(client: pg.ClientBase, texts: (string | null)[]): Promise<Map<number, string>> {
  const { rows } = await client.query<{ place: string; message: string }>(
    `SELECT t.place - 1 AS place, e.message
       FROM unnest($1::text[]) WITH ORDINALITY AS t (text, place), pg_input_error_info(t.text, 'jsonb') AS e
      WHERE e.message IS NOT NULL`,
    [texts],
  );
  return new Map(rows.map(({ place, message }) => [Number(place), message]));
}
