import { existsSync, rmSync, writeFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { cacheDir, cached } from './cache.js';
import { findProgram } from './debian.js';
import { mustRun, step } from './step.js';

const KAFKA = '4.3.1';
const LOG4J = '2.25.4';
const APICURIO = '3.3.3';
const DEPENDENCY_PLUGIN = 'org.apache.maven.plugins:maven-dependency-plugin:2.8';

// It names no repository: Maven's own settings say where artifacts come from.
const KAFKA_POM = `<project xmlns="http://maven.apache.org/POM/4.0.0">
  <modelVersion>4.0.0</modelVersion>
  <groupId>siirays-sync</groupId>
  <artifactId>kafka-broker</artifactId>
  <version>${KAFKA}</version>
  <packaging>pom</packaging>
  <dependencies>
    <dependency>
      <groupId>org.apache.kafka</groupId>
      <artifactId>kafka_2.13</artifactId>
      <version>${KAFKA}</version>
    </dependency>
    <!-- Without it the broker logs nothing. -->
    <dependency>
      <groupId>org.apache.logging.log4j</groupId>
      <artifactId>log4j-slf4j-impl</artifactId>
      <version>${LOG4J}</version>
    </dependency>
  </dependencies>
</project>
`;

const KAFKA_FOLDER = `kafka-${KAFKA}-log4j-${LOG4J}`;
const APICURIO_FOLDER = `apicurio-registry-${APICURIO}`;

/** Whether something is still to be fetched. */
export function isMavenNeeded() {
  return [KAFKA_FOLDER, APICURIO_FOLDER].some((folder) => !existsSync(join(cacheDir(), folder)));
}

/** @returns {Promise<string>} the folder with the broker's jars */
export function kafkaLibraries(java) {
  return cached(KAFKA_FOLDER, (folder) =>
    step(`Kafka ${KAFKA} through Maven`, async () => {
      const pom = join(folder, 'pom.xml');
      writeFileSync(pom, KAFKA_POM);
      const goal = [`${DEPENDENCY_PLUGIN}:copy-dependencies`, '-DincludeScope=runtime', `-DoutputDirectory=${folder}`];
      await maven(java, `org.apache.kafka:kafka_2.13:${KAFKA}`, ['-f', pom, ...goal], folder);
    }),
  );
}

/** @returns {Promise<string>} the folder with quarkus-run.jar */
export function apicurioRegistry(java) {
  return cached(APICURIO_FOLDER, (folder) =>
    step(`Apicurio Registry ${APICURIO} through Maven`, async () => {
      const artifact = `io.apicurio:apicurio-registry-app:${APICURIO}:tar.gz:all`;
      const goal = [`${DEPENDENCY_PLUGIN}:copy`, `-Dartifact=${artifact}`, `-DoutputDirectory=${folder}`];
      await maven(java, artifact, goal, folder);
      const archive = join(folder, `apicurio-registry-app-${APICURIO}-all.tar.gz`);
      await mustRun('The archive cannot be unpacked', `tar -tzf ${archive}`, 'tar', ['-xzf', archive, '-C', folder]);
      rmSync(archive);
    }),
  );
}

/**
 * Runs Maven on the Java that the machine gives it: it knows the machine's certificate authorities, which one from PyPI
 * does not. Only where there is none it gets ours.
 */
function maven(java, artifact, goal, cwd) {
  const env = { ...process.env };
  if (!env.JAVA_HOME && !findProgram('java')) env.JAVA_HOME = dirname(dirname(java));
  const args = ['--quiet', '--batch-mode', ...goal];
  // Into Maven's local repository, from which the next set-up takes it.
  const command = `mvn ${DEPENDENCY_PLUGIN}:get -Dartifact=${artifact}`;
  return mustRun(`${artifact} could not be fetched`, command, findProgram('mvn'), args, { cwd, env });
}
