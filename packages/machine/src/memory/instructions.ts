/**
 * Operations that say all they order: the instructions of the Arm architecture, for routines made from litmus tests and
 * for the kernel's `_relaxed`, `_acquire` and `_release` forms. On `sc` and `tso` they are what x86 makes of them:
 * loads and stores are plain, atomics and full barriers wait for the store buffer, all other barriers order nothing
 * new.
 */
import {
  BLOCKED,
  defineOperation,
  operation,
  type Operation,
  type OperationContext,
  type OperationDefinition,
  type Saying,
  type Steps,
  type Weaker,
} from '../routine/operation.ts';
import { noteSite } from '../routine/sites.ts';
import { stepOf, voidStepOf } from '../routine/unbegun.ts';
import { ModelError } from '../state/errors.ts';
import type { Access, BarrierKind, Dependencies, Request, Tlbi } from './requests.ts';

const requestOf = (op: Operation): Request => op.data as Request;

/** What a machine of words makes of an access. */
function performPlainly(cx: OperationContext, op: Operation): number {
  const access = op.data as Access;
  if (access.exclusive) throw new ModelError('arm: access: exclusives are modelled on arm only');
  if (access.translated) throw new ModelError('arm: access: translations are modelled on arm only');
  switch (access.kind) {
    case 'load':
      return cx.load(access.address);
    case 'store':
      return cx.storeBuffered(access.address, access.value) ? 0 : BLOCKED;
    case 'update': {
      if (!cx.drained()) return BLOCKED;
      const old = cx.read(access.address);
      const value = access.modify?.apply(old) ?? null;
      if (value !== null) cx.write(access.address, value);
      return old;
    }
  }
}

const accessing = (cost: string): OperationDefinition =>
  defineOperation({
    name: 'access',
    cost,
    perform: performPlainly,
    weak: (_cx, memory, op) => memory.access(op.data as Access),
    weaker: (op, memoryModel) => {
      const access = op.data as Access;
      if (memoryModel !== 'arm' || (access.acquire === 'none' && !access.release)) return [];
      return [instead(op, 'relaxed-instead', { ...access, acquire: 'none', release: false })];
    },
  });

/** The same operation with another request. */
function instead(op: Operation, change: string, request: Request, definition = op.definition): Weaker {
  const { a, b, c, label, fact, source } = op;
  return { change, operation: operation(definition, a, b, c, request, { label, fact, source }) };
}

/** A full DMB or DSB, one step weaker: for stores, or for loads. */
const forLess =
  (names: Readonly<Record<string, 'store' | 'load'>>): NonNullable<OperationDefinition['weaker']> =>
  (op, memoryModel) =>
    memoryModel === 'arm'
      ? Object.entries(names).map(([change, type]) =>
          instead(op, change, { ...(op.data as Barrier), type } satisfies Request, FENCE),
        )
      : [];

type Barrier = Extract<Request, { readonly kind: 'dmb' | 'dsb' }>;

const ACCESS = { load: accessing('load'), store: accessing('store'), update: accessing('xchg') } as const;

const FULL = defineOperation({
  name: 'smp_mb',
  ordering: 'full',
  role: 'barrier',
  weaker: forLess({ 'smp_wmb-instead': 'store', 'smp_rmb-instead': 'load' }),
  perform: (cx) => (cx.drained() ? 0 : BLOCKED),
  weak: (_cx, memory, op) => memory.request(requestOf(op)),
  footprint: () => ({ reads: [], writes: [] }),
});

const COMPLETE = defineOperation({
  name: 'dsb',
  ordering: 'full',
  architecture: 'arm64',
  cost: 'smp_mb',
  role: 'barrier',
  weaker: forLess({ 'dsb-ishst-instead': 'store' }),
  perform: (cx) => (cx.drained() ? 0 : BLOCKED),
  weak: (_cx, memory, op) => memory.request(requestOf(op)),
});

const COMPLETE_STORES = defineOperation({
  name: 'dsb',
  ordering: 'write',
  architecture: 'arm64',
  role: 'barrier',
  perform: () => 0,
  weak: (_cx, memory, op) => memory.request(requestOf(op)),
  footprint: () => ({ reads: [], writes: [] }),
});

const ARM_ONLY = defineOperation({
  name: 'tlbi',
  role: 'barrier',
  leftOut: () => 0,
  perform: () => {
    throw new ModelError('arm: tlbi: translations are modelled on arm only');
  },
  weak: (_cx, memory, op) => memory.request(requestOf(op)),
});

const FENCE = defineOperation({
  name: 'smp_rmb',
  role: 'barrier',
  perform: () => 0,
  weak: (_cx, memory, op) => memory.request(requestOf(op)),
  // A barrier that waits for nothing changes what its own processor may do, and nothing else.
  footprint: () => ({ reads: [], writes: [] }),
});

/** Whenever it likes: that it does not happen is no deadlock. */
const ACCESS_FLAG = defineOperation({
  name: 'set_access_flag',
  rests: true,
  perform: () => BLOCKED,
  weak: (_cx, memory, op) => memory.request(requestOf(op)),
});

/** Completes an access: what is not said is plain. */
export function accessOf(access: Partial<Access> & Pick<Access, 'kind' | 'address'>): Access {
  return {
    kind: access.kind,
    address: access.address,
    translated: access.translated ?? false,
    value: access.value ?? 0,
    modify: access.modify ?? null,
    acquire: access.acquire ?? 'none',
    acquiresOnFailure: access.acquiresOnFailure ?? false,
    release: access.release ?? false,
    discards: access.discards ?? false,
    exclusive: access.exclusive ?? false,
    newest: access.newest ?? false,
    dependencies: access.dependencies ?? null,
  };
}

/** The word whose value an access returns; undefined: it returns none, or that of another word. */
export function wordReturned({ definition, data, a }: Operation): number | undefined {
  if (definition !== ACCESS.load && definition !== ACCESS.update) return undefined;
  const { discards, translated } = data as Access;
  return discards || translated ? undefined : a;
}

/** A load, store or atomic; returns the value loaded, or a `MemoryFault`. */
export function performAccess(access: Access, saying?: Saying): Steps<number> {
  return stepOf(accessOperation(access, saying));
}

/** The same where nobody gets the value. */
export function performStore(access: Access, saying?: Saying): Steps {
  return voidStepOf(accessOperation(access, saying));
}

function accessOperation(access: Access, saying: Saying | undefined): Operation {
  return operation(ACCESS[access.kind], access.address, access.value, 0, access, saying);
}

const FULL_BARRIERS = { dmb: FULL, dsb: COMPLETE } as const;

/** DMB or DSB. A full DSB also waits for the TLBIs of its processor. */
export function barrier(
  kind: 'dmb' | 'dsb',
  type: BarrierKind,
  saying?: Saying,
  dependencies: Dependencies | null = null,
): Steps {
  const request: Request = { kind, type, dependencies };
  const definition =
    type === 'full' ? FULL_BARRIERS[kind] : kind === 'dsb' && type === 'store' ? COMPLETE_STORES : FENCE;
  const label = `${kind}(${{ full: 'ish', load: 'ishld', store: 'ishst' }[type]})`;
  if (definition === FENCE) noteSite('ordering', label, type === 'load' ? 'read' : 'write');
  return voidStepOf(operation(definition, 0, 0, 0, request, { label, ...saying }));
}

/** ISB: context synchronisation. */
export function contextSynchronisation(saying?: Saying, dependencies: Dependencies | null = null): Steps {
  const request: Request = { kind: 'isb', dependencies };
  noteSite('ordering', 'isb', 'context');
  return voidStepOf(operation(FENCE, 0, 0, 0, request, { label: 'isb()', ...saying }));
}

/** TLBI of the pages whose descriptors are at these addresses. */
export function invalidate(request: Omit<Tlbi, 'kind'>, saying?: Saying): Steps {
  const tlbi: Request = { ...request, kind: 'tlbi' };
  return voidStepOf(operation(ARM_ONLY, 0, 0, 0, tlbi, { label: 'tlbi', ...saying }));
}

/** Hardware sets the access flag of a descriptor, which it may do at any time (TCR_EL1.HA). */
export function setSomeAccessFlag(saying?: Saying): Steps {
  const request: Request = { kind: 'access-flag' };
  return voidStepOf(operation(ACCESS_FLAG, 0, 0, 0, request, { label: '<hardware sets an access flag>', ...saying }));
}
