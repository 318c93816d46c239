/**
 * `shootdown hazards [routine or module ...]`: which sections break which rule of lazy MMU mode, on which architecture.
 */
import { lazy } from '@shootdown/mm';
import { renderTrace, textTable, type Table } from '@shootdown/report';
import {
  findHazards,
  hazardSubjects,
  hazardTrace,
  hazardSystem,
  type HazardFinding,
  type HazardSubject,
} from '@shootdown/scenarios';
import { explore } from '@shootdown/explorer';
import { ModelError } from '@shootdown/machine';
import { parseArguments } from '../arguments.ts';
import { ExitCode } from '../exit-codes.ts';
import { printedHelp } from '../help.ts';
import { rowsUntilInterrupted } from '../interrupt.ts';
import { Pulse } from '../progress.ts';
import { importedModule, namesModule } from '../modules.ts';

const GENERATIONS = ['old', 'current'] as const;

export const flags = {
  arch: { type: 'string', help: `architectures, separated by commas (default: all of ${archNames().join(', ')})` },
  generation: { type: 'string', help: 'old or current: of the sections and of the architectures (default: both)' },
  json: { type: 'boolean', help: 'print one JSON document' },
  help: { type: 'boolean', help: 'this text' },
} as const;

const POSITIONALS_MAX = 64;
const WIDTH = 100;

function archNames(): string[] {
  return Object.values(lazy.lazyGenerations).flatMap((generations) => generations.map(({ name }) => name));
}

export async function run(argv: readonly string[]): Promise<number> {
  if (printedHelp(argv, 'hazards [routine or module.js ...] [flags]', flags)) return ExitCode.ok;
  const args = parseArguments('hazards', argv, flags, POSITIONALS_MAX);
  const generation = args.oneOf('generation', GENERATIONS);
  const archs = archsOf(args.text('arch'), generation);
  const subjects = (await subjectsOf(args.positionals)).filter(
    (subject) => generation === undefined || subject.generation === generation,
  );
  if (subjects.length === 0)
    throw new ModelError(`hazards: no section of generation ${generation ?? ''} among those named`);
  const pairs = subjects.flatMap((subject) => archs.map((arch) => ({ subject, arch })));
  const pulse = new Pulse();
  let at = 0;
  pulse.repeat(() => `hazards: ${at} of ${pairs.length}`);
  const { each, signal, ignore } = rowsUntilInterrupted((row) => {
    at = row;
    pulse.beat(() => `hazards: ${at} of ${pairs.length}`);
  });
  const found = await each(pairs, ({ subject, arch }) => findHazards(subject, arch));
  pulse.end();
  ignore();
  if (args.has('json')) process.stdout.write(`${JSON.stringify(found)}\n`);
  else {
    process.stdout.write(`${textTable(matrixOf(found), { width: WIDTH })}\n${legendOf(found)}`);
    const [only] = pairs;
    if (pairs.length === 1 && only && found[0]?.step) process.stdout.write(`\n${await counterexampleOf(only)}`);
  }
  if (signal.aborted) return ExitCode.interrupted;
  return found.some(({ hazards }) => hazards.length > 0) ? ExitCode.violation : ExitCode.ok;
}

async function counterexampleOf({ subject, arch }: { subject: HazardSubject; arch: lazy.LazyArch }): Promise<string> {
  const trace = hazardTrace(subject, arch, await explore(hazardSystem(subject, arch), { interleavingsStatesMax: 0 }));
  return trace === null ? '' : renderTrace('text', trace, {});
}

/** Rows: sections; columns: architectures. `.` is clean. */
function matrixOf(found: readonly HazardFinding[]): Table {
  const archs = [...new Set(found.map(({ arch }) => arch))];
  const keyOf = (row: HazardFinding): string =>
    `${row.section} (${[row.generation, row.version].filter(Boolean).join(': ')})`;
  const sections = [...new Set(found.map(keyOf))];
  const cell = (section: string, arch: string): string => {
    const finding = found.find((row) => keyOf(row) === section && row.arch === arch);
    if (!finding) return '';
    return finding.hazards.length === 0 ? (finding.complete ? '.' : '?') : finding.hazards.join(' ');
  };
  return {
    columns: [{ heading: 'section', key: 'section' }, ...archs.map((name) => ({ heading: name, key: name }))],
    rows: sections.map((section) => ({
      section,
      ...Object.fromEntries(archs.map((name) => [name, cell(section, name)])),
    })),
  };
}

function legendOf(found: readonly HazardFinding[]): string {
  const kinds = lazy.hazardClasses.filter((kind) => found.some(({ hazards }) => hazards.includes(kind)));
  const examples = kinds.map((kind) => {
    const first =
      found.find(({ hazards }) => hazards[0] === kind) ?? found.find(({ hazards }) => hazards.includes(kind));
    const where = first?.routine ? `${first.routine}(): ${first.step ?? ''}` : '';
    const named = first && namesModule(first.version) ? first.version : (first?.section ?? '');
    const command = `npx shootdown hazards ${named} --generation ${first?.generation ?? ''} --arch ${first?.arch ?? ''}`;
    return `${lazy.HAZARDS[kind]}\n    first in ${where}\n    ${command}\n`;
  });
  return kinds.length === 0 ? 'No rule is broken.\n' : examples.join('');
}

function archsOf(text: string | undefined, generation: (typeof GENERATIONS)[number] | undefined): lazy.LazyArch[] {
  const all = Object.values(lazy.lazyGenerations).flatMap((generations) =>
    generations.map((arch, i) => ({ arch, current: i === generations.length - 1 })),
  );
  const chosen = all.filter(({ current }) => generation !== 'current' || current).map(({ arch }) => arch);
  if (text === undefined) return chosen;
  return text.split(',').map((name) => {
    const arch = all.find((known) => known.arch.name === name.trim())?.arch;
    if (!arch) throw new ModelError(`hazards: --arch: no architecture ${name} (have: ${archNames().join(', ')})`);
    return arch;
  });
}

async function subjectsOf(names: readonly string[]): Promise<readonly HazardSubject[]> {
  if (names.length === 0) return hazardSubjects;
  const lists = await Promise.all(
    names.map(async (name) => (namesModule(name) ? await subjectsIn(name) : shipped(name))),
  );
  return lists.flat();
}

function shipped(name: string): readonly HazardSubject[] {
  const found = hazardSubjects.filter((subject) => subject.name === name);
  if (found.length > 0) return found;
  const known = [...new Set(hazardSubjects.map((subject) => subject.name))].join(', ');
  throw new ModelError(`hazards: no section ${name} (have: ${known}; or a module)`);
}

/** Every routine that a module exports is looked at as a section. */
async function subjectsIn(path: string): Promise<readonly HazardSubject[]> {
  const exported = await importedModule('hazards', path);
  const sections = Object.values(exported).filter((value) => typeof value === 'function' && 'routineName' in value);
  if (sections.length === 0) {
    const has = Object.keys(exported).join(', ') || 'nothing';
    throw new ModelError(`hazards: ${path}: exports no routine of a section (has: ${has})`);
  }
  return sections.map((section) => {
    const routine = section as lazy.SectionRoutine;
    return { name: routine.routineName, generation: 'current', version: path, section: routine };
  });
}
