import { join } from 'node:path';
import { Part, type PartOptions } from './part.ts';
import { findTools } from './tools.ts';

export interface ApicurioOptions {
  name: string;
  logFile: string;
  port: number;
  managementPort: number;
  database: { host: string; port: number; name: string; username: string; password: string };
  onChange?: PartOptions['onChange'];
}

export interface SchemaRegistryServer {
  readonly name: string;
  /** The root of Confluent's API, as clients of a Confluent registry take it. */
  readonly url: string;
  readonly port: number;
  readonly part: Part;
  readonly pid: number | undefined;
  stop(): Promise<void>;
}

const JVM = ['-Xmx192m', '-XX:+UseSerialGC', '-XX:TieredStopAtLevel=1'];
const HOST = '127.0.0.1';

/** Starts Apicurio Registry, which keeps its schemas in a PostgreSQL database: that outlives a kill -9. */
export async function startApicurio(options: ApicurioOptions): Promise<SchemaRegistryServer> {
  const { name, port, managementPort, database } = options;
  const { java, registry } = findTools();
  const url = `http://${HOST}:${port}/apis/ccompat/v7`;
  const part = new Part({
    name,
    command: { file: java, args: [...JVM, '-jar', join(registry, 'quarkus-run.jar')] },
    cwd: registry,
    env: {
      APICURIO_STORAGE_KIND: 'sql',
      APICURIO_STORAGE_SQL_KIND: 'postgresql',
      APICURIO_DATASOURCE_URL: `jdbc:postgresql://${database.host}:${database.port}/${database.name}`,
      APICURIO_DATASOURCE_USERNAME: database.username,
      APICURIO_DATASOURCE_PASSWORD: database.password,
      QUARKUS_HTTP_HOST: HOST,
      QUARKUS_HTTP_PORT: String(port),
      // Its management interface would listen on every address.
      QUARKUS_MANAGEMENT_HOST: HOST,
      QUARKUS_MANAGEMENT_PORT: String(managementPort),
      QUARKUS_LOG_LEVEL: 'WARN',
    },
    deathSignal: 'KILL',
    logFile: options.logFile,
    ready: async () => (await fetch(`${url}/subjects`, { signal: AbortSignal.timeout(3000) })).ok,
    readyWithinMs: 60_000,
    stopSignal: 'SIGTERM',
    stopWithinMs: 2000,
    onChange: options.onChange,
  });
  await part.start();
  return {
    ...{ name, url, port, part },
    get pid() {
      return part.pid;
    },
    stop: () => part.stop(),
  };
}
