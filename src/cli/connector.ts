/** Commands for those who write connectors. */
import type { Command } from 'commander';
import { loadConnectorsDir } from '../config/config.ts';

/** Adds `connector validate` and `connector schema`. */
export function addConnectorCommands(program: Command): void {
  const connector = program.command('connector').description('check connectors, and help editors with them');

  connector
    .command('validate')
    .description('read and compile every connector; all mistakes are listed with file, line and column')
    .argument('[folder]', 'folder of the connectors (default: CONNECTORS_DIR, else connectors)')
    .addHelpText('after', '\nExample:\n  siirays-sync connector validate connectors')
    .action(async (folder: string | undefined) => {
      const { loadConnectors } = await import('../connector/load.ts');
      for (const { name, tables, target } of loadConnectors(folder ?? loadConnectorsDir(process.env))) {
        const to = `${target.path}, db_tag ${target.tag}, adapter ${target.adapter}`;
        process.stdout.write(`${name}: right; ${tables.length} tables -> ${to}\n`);
      }
    });

  connector
    .command('schema')
    .description('print the JSON Schema of connector files, for editors')
    .addHelpText('after', '\nExample:\n  siirays-sync connector schema > connectors/connector.schema.json')
    .action(async () => {
      const { connectorJsonSchemaText } = await import('../connector/schema.ts');
      process.stdout.write(connectorJsonSchemaText());
    });
}
