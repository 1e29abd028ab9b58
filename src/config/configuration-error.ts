/** One mistake in the configuration. `given` never holds a secret's value. */
export interface ConfigurationProblem {
  variable: string;
  /** What was found: `nothing`, `"5x"`, `a secret value`. */
  given: string;
  /** What would be right, with an example where that helps. */
  expected: string;
}

/** The exit code of a process with a wrong configuration: EX_CONFIG of sysexits.h. */
export const EXIT_CONFIGURATION = 78;

/** Everything that is wrong with the configuration, all at once. */
export class ConfigurationError extends Error {
  override readonly name = 'ConfigurationError';
  readonly problems: readonly ConfigurationProblem[];
  /** Misspelt names and the like, which may be the cause of a problem. */
  readonly warnings: readonly string[];

  constructor(problems: readonly ConfigurationProblem[], warnings: readonly string[] = []) {
    const lines = problems.map(
      (problem) => `  ${problem.variable}: got ${problem.given}; expected ${problem.expected}`,
    );
    const notes = warnings.map((warning) => `  note: ${warning}`);
    super(
      [`the configuration has ${problems.length} mistake${problems.length === 1 ? '' : 's'}:`, ...lines, ...notes].join(
        '\n',
      ),
    );
    this.problems = problems;
    this.warnings = warnings;
  }
}
