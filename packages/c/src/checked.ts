/** What scenarios and callers hand over, looked at before any C is read: a name that means nothing is refused. */
import { checkedOnce, checkValues, is, ModelError, printable, unknownName } from '@shootdown/machine';
import type { OptionValues, ValueCheck } from '@shootdown/machine';
import type { CFile, ReplaceRequest } from './replace.ts';
import type { AnyOffer, ReplaceableRoutine } from './run/offer.ts';

/** An object whose keys are names of somebody's own. */
const recordOf =
  (one: ValueCheck): ValueCheck =>
  (where, value) => {
    if (typeof value !== 'object' || value === null || Array.isArray(value))
      throw new ModelError(`${where}: expected an object (${printable(value)})`);
    for (const [name, own] of Object.entries(value)) one(`${where}: ${name}`, own);
  };

const ROUTINE: OptionValues<ReplaceableRoutine<never>> = {
  enter: is.callable,
  around: is.callable,
  call: is.callable,
};

const OFFER: OptionValues<AnyOffer> = {
  header: is.callable,
  structs: recordOf(recordOf(is.callable)),
  objects: is.callable,
  functions: recordOf(is.callable),
  nullable: is.listOf(is.text),
  routines: recordOf(is.options(ROUTINE, ['enter', 'call'])),
  memories: is.callable,
};

/** The name in a prototype. */
export function nameIn(prototype: string): string {
  return /(\w+)\s*\(/.exec(prototype)?.[1] ?? prototype;
}

/** Throws ModelError on an offer with names that mean nothing. */
export const checkedOffer: <O extends object>(offer: O) => O = checkedOnce((given: object) => {
  const offer = given as AnyOffer;
  const where = 'c: offer';
  checkValues(where, offer, OFFER, ['header', 'objects', 'functions', 'routines', 'memories']);
  const functions = Object.keys({ ...offer.functions, ...offer.routines }).map(nameIn);
  for (const name of offer.nullable ?? [])
    if (!functions.includes(name))
      throw new ModelError(`${where}: nullable: no function ${unknownName(name, functions)}`);
}) as <O extends object>(offer: O) => O;

const FILE: OptionValues<CFile> = { name: is.text, text: is.text };

const PARAMETERS = recordOf(is.whole(Number.NEGATIVE_INFINITY));

const REQUEST: OptionValues<ReplaceRequest> = {
  offer: is.anything,
  files: is.listOf(is.options(FILE, ['name', 'text'])),
  parameters: PARAMETERS,
  own: recordOf(is.callable),
  optional: is.flag,
};

/** Throws ModelError on a request with names that mean nothing. */
export function checkRequest(request: ReplaceRequest): void {
  checkValues('c: replacements', request, REQUEST, ['offer', 'files', 'parameters', 'own']);
  checkedOffer(request.offer);
}

/** Throws ModelError on parameters that are no numbers. */
export function checkParameters(parameters: Readonly<Record<string, number>>): void {
  PARAMETERS('c: header: parameters', parameters);
}

/** Throws ModelError unless a text was given: of C, of a patch, or its name. */
export function checkTexts(where: string, texts: Readonly<Record<string, unknown>>): void {
  for (const [name, text] of Object.entries(texts)) is.text(`c: ${where}: ${name}`, text);
}
