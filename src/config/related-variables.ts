/** Rules between variables. Each looks only at values that are right by themselves, so that one slip is told once. */
import { createPrivateKey, X509Certificate } from 'node:crypto';
import type { ConfigurationProblem } from './configuration-error.ts';
import type { Values } from './variable.ts';
import type { CONSUMER, FASTAAPS, KAFKA, PROCESS, REGISTRY } from './variables.ts';

export type PartialValues = Partial<
  Values<typeof KAFKA & typeof REGISTRY & typeof FASTAAPS & typeof CONSUMER & typeof PROCESS>
>;

type Check = (values: PartialValues, problems: ConfigurationProblem[]) => void;

/** TLS files without TLS, half a client certificate, half a SASL login. */
export const checkKafka: Check = (values, problems) => {
  together(values, problems, ['KAFKA_SASL_MECHANISM', 'KAFKA_SASL_USERNAME', 'KAFKA_SASL_PASSWORD']);
  together(values, problems, ['KAFKA_SSL_CERT_FILE', 'KAFKA_SSL_KEY_FILE']);
  const { KAFKA_SSL_CA_FILE: ca, KAFKA_SSL_CERT_FILE: cert, KAFKA_SSL_KEY_FILE: key } = values;
  if (values.KAFKA_SSL === false && (ca ?? cert ?? key)) {
    const expected = 'true, since a file for TLS is named, or none of KAFKA_SSL_*_FILE';
    problems.push({ variable: 'KAFKA_SSL', given: '"false"', expected });
  }
  if (cert && key && !new X509Certificate(cert).checkPrivateKey(createPrivateKey(key))) {
    const expected = 'the private key that belongs to the certificate of KAFKA_SSL_CERT_FILE';
    problems.push({ variable: 'KAFKA_SSL_KEY_FILE', given: 'the key of another certificate', expected });
  }
};

export const checkRegistry: Check = (values, problems) => {
  together(values, problems, ['REGISTRY_USERNAME', 'REGISTRY_PASSWORD']);
};

/** HTTP Basic or Bearer, not both. */
export const checkFastaaps: Check = (values, problems) => {
  together(values, problems, ['FASTAAPS_USERNAME', 'FASTAAPS_PASSWORD']);
  if (values.FASTAAPS_TOKEN && values.FASTAAPS_USERNAME) {
    const expected = 'either FASTAAPS_TOKEN or FASTAAPS_USERNAME with FASTAAPS_PASSWORD';
    problems.push({ variable: 'FASTAAPS_TOKEN', given: 'a secret value beside FASTAAPS_USERNAME', expected });
  }
};

/** A standby must not take over from one that merely missed one renewal. */
export const checkLease: Check = ({ LEASE_RENEW: renew, LEASE_TIMEOUT: timeout }, problems) => {
  if (renew === undefined || timeout === undefined || timeout >= 2 * renew) return;
  const expected = `at least twice LEASE_RENEW (${renew}ms)`;
  problems.push({ variable: 'LEASE_TIMEOUT', given: `${timeout}ms`, expected });
};

export const checkRetry: Check = ({ RETRY_MIN: least, RETRY_MAX: most }, problems) => {
  if (least === undefined || most === undefined || least <= most) return;
  problems.push({ variable: 'RETRY_MAX', given: `${most}ms`, expected: `at least RETRY_MIN (${least}ms)` });
};

/** All of the variables or none. A variable that has a problem already counts as given. */
function together(
  values: PartialValues,
  problems: ConfigurationProblem[],
  names: readonly (keyof PartialValues)[],
): void {
  const faulty = (name: string) => problems.some(({ variable }) => variable === name || variable === `${name}_FILE`);
  const missing = names.filter((name) => values[name] === undefined && !faulty(name));
  const given = names.filter((name) => !missing.includes(name));
  if (given.length === 0) return;
  for (const name of missing) {
    problems.push({ variable: name, given: 'nothing', expected: `a value, since ${given.join(' and ')} is set` });
  }
}
