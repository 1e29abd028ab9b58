#!/usr/bin/env node
/** The command line: one subcommand per process, and commands for people. */
import { Command, CommanderError } from 'commander';
import { addConnectorCommands } from './cli/connector.ts';
import { addDeadLettersCommands } from './cli/dead-letters.ts';
import { EXIT, EXIT_CODES_HELP } from './cli/exit-codes.ts';
import { addReconcileCommand } from './cli/reconcile.ts';
import { isLastingMistake, runProcess } from './cli/run-process.ts';
import { loadConsumerConfig, loadProducerConfig, loadReconcilerConfig } from './config/config.ts';

const EXAMPLES = `
Examples:
  siirays-sync producer                     SIIRAyS -> Kafka, configured by the environment (.env.example lists all)
  CONNECTOR=epsa siirays-sync consumer      Kafka -> FASTAAPS for the connector epsa
  siirays-sync reconcile --mode verify      compare SIIRAyS with FASTAAPS once
  siirays-sync dead-letters list            documents that were refused, and why
  siirays-sync connector validate           check connectors/*.yaml

Configuration: environment variables only. Where none names an endpoint, .dev/endpoints.json of a running
npm start is used.`;

/** The exit code that the command's action leaves behind. */
let exitCode: number = EXIT.ok;

function buildProgram(): Command {
  const program = new Command('siirays-sync')
    .description('Keeps FASTAAPS equal to SIIRAyS: change data capture through Kafka.')
    .addHelpText('after', `${EXAMPLES}\n${EXIT_CODES_HELP}`)
    .showHelpAfterError('(--help shows what there is)')
    .exitOverride();

  program
    .command('producer')
    .description('read the changes of SIIRAyS and write them to Kafka')
    .addHelpText(
      'after',
      `\nExample:\n  SIIRAYS_URL_FILE=/run/secrets/siirays_url siirays-sync producer\n${EXIT_CODES_HELP}`,
    )
    .action(async () => {
      const load = async () => (await import('./producer/run.ts')).runProducer;
      exitCode = await runProcess('producer', loadProducerConfig, load);
    });

  program
    .command('consumer')
    .description('apply the changes from Kafka, build the documents and deliver them to FASTAAPS')
    .addHelpText('after', `\nExample:\n  CONNECTOR=epsa siirays-sync consumer\n${EXIT_CODES_HELP}`)
    .action(async () => {
      const load = async () => (await import('./consumer/run.ts')).runConsumer;
      exitCode = await runProcess('consumer', loadConsumerConfig, load);
    });

  program
    .command('reconciler')
    .description('prove by schedule and on demand that both sides are equal, and serve the HTTP API')
    .addHelpText(
      'after',
      `\nExample:\n  API_OPERATOR_PASSWORD_FILE=/run/secrets/operator siirays-sync reconciler\n${EXIT_CODES_HELP}`,
    )
    .action(async () => {
      const load = async () => (await import('./reconciler/run.ts')).runReconciler;
      exitCode = await runProcess('reconciler', loadReconcilerConfig, load);
    });

  program
    .command('hash-password')
    .description(
      'read a password from standard input and print its hash for API_OPERATOR_PASSWORD or API_VIEWER_PASSWORD',
    )
    .addHelpText('after', '\nExample:\n  siirays-sync hash-password < password.txt')
    .action(async () => {
      const { hashPassword } = await import('./reconciler/http/password.ts');
      const { text } = await import('node:stream/consumers');
      process.stdout.write(`${await hashPassword((await text(process.stdin)).replace(/\r?\n$/, ''))}\n`);
    });

  addReconcileCommand(program, (code) => {
    exitCode = code;
  });
  addDeadLettersCommands(program, (code) => {
    exitCode = code;
  });
  addConnectorCommands(program);
  return program;
}

/** Runs one command line and gives the exit code. */
async function main(arguments_: readonly string[]): Promise<number> {
  try {
    await buildProgram().parseAsync(arguments_, { from: 'user' });
    return exitCode;
  } catch (error) {
    // Commander has printed its message already, and help is no error.
    if (error instanceof CommanderError) return error.exitCode === 0 ? EXIT.ok : EXIT.usage;
    process.stderr.write(`${error instanceof Error ? error.message : error}\n`);
    return isLastingMistake(error) ? EXIT.configuration : EXIT.failed;
  }
}

// Ends also where a library left a timer or socket behind.
process.exit(await main(process.argv.slice(2)));
