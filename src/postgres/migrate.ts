import { readdir, readFile } from 'node:fs/promises';
import { join } from 'node:path';
import type pg from 'pg';
import { quoteIdentifier } from './identifier.ts';

/**
 * Brings a schema up to date: runs the files `NNN-name.sql` of a folder in order, each once and in a transaction of its
 * own, with `:schema` in them replaced by the quoted schema name. Several processes may call it at once: a session
 * advisory lock lets one of them work (PostgreSQL manual, 13.3.5).
 * @returns the names of the files that were run now
 * @throws where the schema holds a migration that the folder does not have: a newer version of the program wrote it
 */
export async function migrate(client: pg.ClientBase, folder: string, schema: string): Promise<string[]> {
  const quoted = quoteIdentifier(schema);
  const files = (await readdir(folder)).filter((name) => /^\d{3}-.*\.sql$/.test(name)).sort();
  await client.query(`SELECT pg_advisory_lock(hashtext('siirays-sync migrate'), hashtext($1))`, [schema]);
  try {
    await client.query(`CREATE SCHEMA IF NOT EXISTS ${quoted}`);
    await client.query(
      `CREATE TABLE IF NOT EXISTS ${quoted}.migration (name text PRIMARY KEY, applied_at timestamptz NOT NULL DEFAULT now())`,
    );
    const { rows } = await client.query<{ name: string }>(`SELECT name FROM ${quoted}.migration`);
    const done = new Set(rows.map((row) => row.name));
    const unknown = [...done].filter((name) => !files.includes(name));
    if (unknown.length > 0) {
      throw new Error(
        `schema ${schema} was migrated by a newer version (${unknown.join(', ')}): deploy that version or later`,
      );
    }
    const ran: string[] = [];
    for (const file of files.filter((name) => !done.has(name))) {
      const sql = (await readFile(join(folder, file), 'utf8')).replaceAll(':schema', quoted);
      await client.query('BEGIN');
      try {
        await client.query(sql);
        await client.query(`INSERT INTO ${quoted}.migration (name) VALUES ($1)`, [file]);
        await client.query('COMMIT');
      } catch (error) {
        await client.query('ROLLBACK');
        throw new Error(`migration ${file} of schema ${schema} failed`, { cause: error });
      }
      ran.push(file);
    }
    return ran;
  } finally {
    await client.query(`SELECT pg_advisory_unlock(hashtext('siirays-sync migrate'), hashtext($1))`, [schema]);
  }
}
