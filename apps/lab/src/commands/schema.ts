/** `shootdown schema [name]`: the JSON Schema of a file that the command reads, or of a document that it prints. */
import { nearestName } from '@shootdown/explorer';
import { ModelError } from '@shootdown/machine';
import { parseArguments } from '../arguments.ts';
import { ExitCode } from '../exit-codes.ts';
import { printedHelp } from '../help.ts';
import { jsonSchemaOf, schemas, type SchemaName } from '../schemas.ts';

export const flags = { help: { type: 'boolean', help: 'this text' } } as const;

export function run(argv: readonly string[]): number {
  const names = Object.keys(schemas);
  if (printedHelp(argv, `schema <${names.join('|')}>: its JSON Schema`, flags)) return ExitCode.ok;
  const args = parseArguments('schema', argv, flags, 1);
  const name = args.positionals[0];
  if (name === undefined) {
    process.stdout.write(`${names.join('\n')}\n`);
    return ExitCode.ok;
  }
  if (!Object.hasOwn(schemas, name)) {
    const near = nearestName(name, names);
    throw new ModelError(
      `schema: no schema ${name}${near === undefined ? '' : `: did you mean ${near}?`} (have: ${names.join(', ')})`,
    );
  }
  process.stdout.write(jsonSchemaOf(name as SchemaName));
  return ExitCode.ok;
}
