import { userInfo } from 'node:os';

/** Who is at the terminal, for the audit. A container's user may have no name. */
export function userName(): string {
  try {
    return userInfo().username;
  } catch {
    return process.env.USER ?? `user ${process.getuid?.()}`;
  }
}
