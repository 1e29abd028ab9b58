const PAGE = 4_096;
/** PostgreSQL's text cannot hold it, so no id does. */
const SEPARATOR = '\0';

/** Ids by their place in the array that was sent, packed: a whole set may have millions, and only few are asked for. */
export class IdList {
  private readonly pages: string[] = [];
  private last: string[] = [];

  get length(): number {
    return this.pages.length * PAGE + this.last.length;
  }

  push(id: string): void {
    this.last.push(id);
    if (this.last.length < PAGE) return;
    this.pages.push(this.last.join(SEPARATOR));
    this.last = [];
  }

  at(place: number): string | undefined {
    const page = Math.floor(place / PAGE);
    const ids = page === this.pages.length ? this.last : this.pages[page]?.split(SEPARATOR);
    return ids?.[place % PAGE];
  }
}
