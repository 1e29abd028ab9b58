/** A paging token that this program did not make. */
export class InvalidPageToken extends Error {
  override readonly name = 'InvalidPageToken';

  constructor() {
    super('the paging token is none: take it from the answer before, or leave it out');
  }
}

/** An opaque token of the place after which the next page begins. */
export function encodePageToken(place: readonly string[]): string {
  return Buffer.from(JSON.stringify(place)).toString('base64url');
}

/** @param patterns what each part has to look like. @throws InvalidPageToken */
export function decodePageToken(token: string, patterns: readonly RegExp[]): string[] {
  let place: unknown;
  try {
    place = JSON.parse(Buffer.from(token, 'base64url').toString('utf8'));
  } catch {
    throw new InvalidPageToken();
  }
  const fits =
    Array.isArray(place) &&
    place.length === patterns.length &&
    place.every((part, i) => typeof part === 'string' && patterns[i]!.test(part));
  if (!fits) throw new InvalidPageToken();
  return place as string[];
}
