/** The address of a view in the studio: what stands behind the `#`. */
import { formatSchedule, type MemoryModel } from '@shootdown/machine';

/** A system and a walk through it, as a link says them. */
export interface StudioView {
  /** The screen. */
  readonly tab: string;
  readonly scenario: string;
  readonly variant: string;
  readonly memoryModel: MemoryModel;
  readonly parameters: Readonly<Record<string, number>>;
  /** Lines of the code that are changed, as `shootdown mutate` names them. */
  readonly mutations: readonly string[];
  /** Null: the counterexample. */
  readonly schedule: readonly number[] | null;
  /** Steps done; null: all. */
  readonly at: number | null;
  /** Code that the system is made of: the name of its file, and its text, deflated and in base64url. */
  readonly code: { readonly name: string; readonly packed: string } | null;
}

/** `#/explore/<scenario>/<variant>?mm=sc&set=cpus:3&m=<mutation>&s=<schedule>&at=45`. */
export function studioFragment(view: StudioView): string {
  const { tab, scenario, variant, memoryModel, parameters, mutations, schedule, at, code } = view;
  const words = [`mm=${memoryModel}`];
  const set = Object.entries(parameters).map(([name, value]) => `${name}:${value}`);
  if (set.length > 0) words.push(`set=${set.join(',')}`);
  for (const mutation of mutations) words.push(`m=${encodeURIComponent(mutation)}`);
  if (schedule !== null) words.push(`s=${formatSchedule(schedule)}`);
  if (at !== null) words.push(`at=${at}`);
  if (code !== null) words.push(`file=${encodeURIComponent(code.name)}`, `code=${code.packed}`);
  const path = [scenario, ...variant.split('/')].map(encodeURIComponent).join('/');
  return `#/${tab}/${path}?${words.join('&')}`;
}
