import { request } from 'undici';
import type { Arena } from './arena.ts';

/** Empties the schema registry: every subject is deleted for good, as after the loss of its storage. */
export async function emptyRegistry({ stack }: Arena): Promise<void> {
  const root = `${stack.endpoints.registry}/apis/ccompat/v7/subjects`;
  const subjects = (await (await request(root)).body.json()) as string[];
  for (const subject of subjects) {
    for (const how of ['', '?permanent=true']) {
      const { body } = await request(`${root}/${encodeURIComponent(subject)}${how}`, { method: 'DELETE' });
      await body.dump();
    }
  }
}
