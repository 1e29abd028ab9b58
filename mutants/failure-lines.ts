import type { TestEvent } from 'node:test/reporters';

/** A test that failed. */
export interface Failure {
  test: string;
  /** Whether an assertion failed, and not something else. */
  assertion: boolean;
  message: string;
}

/** A reporter for node:test that writes each failed test as a line of JSON, suites apart. */
export default async function* failureLines(source: AsyncIterable<TestEvent>): AsyncGenerator<string> {
  for await (const { type, data } of source) {
    if (type !== 'test:fail') continue;
    const { error, type: kind } = data.details as { error: Error & { failureType?: string }; type?: string };
    // A suite fails because of its tests, and a file because of what is in it.
    if (kind === 'suite' || error.failureType === 'subtestsFailed') continue;
    const cause = (error.cause ?? error) as Error & { code?: string };
    const failure: Failure = {
      test: data.name,
      assertion: cause.code === 'ERR_ASSERTION',
      message: String(cause.message ?? cause)
        .split('\n', 1)[0]!
        .slice(0, 200),
    };
    yield `${JSON.stringify(failure)}\n`;
  }
}
