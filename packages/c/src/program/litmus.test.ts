import { explore } from '@shootdown/explorer';
import { CONDITION, machineOf, runLitmus } from '@shootdown/litmus';
import type { MemoryModel } from '@shootdown/machine';
import { describe, expect, it } from 'vitest';
import { DATA_RACE } from '../run/races.ts';
import { linuxC, readProgram } from './litmus.ts';

const models: readonly MemoryModel[] = ['sc', 'tso', 'arm'];

/** What is observed on sc, tso and arm. */
async function observed(text: string): Promise<string> {
  const test = await linuxC.read(text);
  return models.map((memoryModel) => runLitmus(test, { memoryModel }).observation ?? 'bounded').join(' ');
}

const messagePassing = (write: string, read: string, between = '') => `C MP

(* Two words, one of which says that the other is there. *)
{}

P0(int *data, int *flag)
{
	WRITE_ONCE(*data, 1);
	${write};
}

P1(int *data, int *flag)
{
	int seen = ${read};
	int value;
	${between}
	value = READ_ONCE(*data);
}

exists (1:seen=1 /\\ 1:value=0)
`;

describe("litmus tests of the kernel's memory model", () => {
  it.each([
    ['nothing', messagePassing('WRITE_ONCE(*flag, 1)', 'READ_ONCE(*flag)'), 'Never Never Sometimes'],
    ['a release alone', messagePassing('smp_store_release(flag, 1)', 'READ_ONCE(*flag)'), 'Never Never Sometimes'],
    [
      'release and acquire',
      messagePassing('smp_store_release(flag, 1)', 'smp_load_acquire(flag)'),
      'Never Never Never',
    ],
    [
      'release and a barrier',
      messagePassing('smp_store_release(flag, 1)', 'READ_ONCE(*flag)', 'smp_rmb();'),
      'Never Never Never',
    ],
    ['a relaxed exchange', messagePassing('xchg_relaxed(flag, 1)', 'smp_load_acquire(flag)'), 'Never Never Sometimes'],
    ['a releasing exchange', messagePassing('xchg_release(flag, 1)', 'smp_load_acquire(flag)'), 'Never Never Never'],
  ])('message passing with %s', async (_, text, expected) => {
    expect(await observed(text)).toBe(expected);
  });

  const storeBuffering = (between: string) => `C SB
{ int x = 0; int y = 0; }
P0(int *x, int *y) { int r; WRITE_ONCE(*x, 1); ${between} r = READ_ONCE(*y); }
P1(int *x, int *y) { int r; WRITE_ONCE(*y, 1); ${between} r = READ_ONCE(*x); }
exists (0:r=0 /\\ 1:r=0)`;

  it.each([
    ['nothing', '', 'Never Sometimes Sometimes'],
    ['a write barrier', 'smp_wmb();', 'Never Sometimes Sometimes'],
    ['a full barrier', 'smp_mb();', 'Never Never Never'],
  ])('store buffering with %s', async (_, between, expected) => {
    expect(await observed(storeBuffering(between))).toBe(expected);
  });

  it('an address dependency orders loads', async () => {
    const text = `C MP-addr
{ int x = 0; int z = 7; int *p = &z; }
P0(int *x, int **p) { WRITE_ONCE(*x, 1); smp_store_release(p, x); }
P1(int **p) { int *r1; int r2; r1 = rcu_dereference(*p); r2 = READ_ONCE(*r1); }
exists (1:r1=x /\\ 1:r2=0)`;
    expect(await observed(text)).toBe('Never Never Never');
    expect(
      await observed(text.replace('READ_ONCE(*r1)', 'READ_ONCE(*x)').replace('P1(int **p)', 'P1(int **p, int *x)')),
    ).toBe('Never Never Sometimes');
  });

  it('a grace period waits for readers', async () => {
    const text = `C RCU
{}
P0(int *x, int *y) { int r1; int r2; rcu_read_lock(); r1 = READ_ONCE(*x); r2 = READ_ONCE(*y); rcu_read_unlock(); }
P1(int *x, int *y) { WRITE_ONCE(*x, 1); synchronize_rcu(); WRITE_ONCE(*y, 1); }
exists (0:r1=0 /\\ 0:r2=1)`;
    expect(await observed(text)).toBe('Never Never Never');
    expect(await observed(text.replace('synchronize_rcu();', ''))).toBe('Sometimes Sometimes Sometimes');
  });

  it.each([
    ['atomic_inc(v)', '2'],
    ['atomic_add_unless(v, 1, 1)', '1'],
    ['atomic_cmpxchg(v, 0, 5)', '5'],
    ['atomic_fetch_add(1, v)', '2'],
    ['atomic_set(v, 3)', '3'],
  ])('%s is atomic', async (call, value) => {
    const thread = (i: number) => `P${i}(atomic_t *v) { int r; r = 0; ${call}; }\n`;
    expect(
      await observed(`C atomic\n{ atomic_t v = ATOMIC_INIT(0); }\n${thread(0)}${thread(1)}exists (~v=${value})`),
    ).toBe('Never Never Never');
  });

  it.each([
    ['a local variable', '{ 0:r=x; }', 'WRITE_ONCE(*r, 1);', 'exists (x=1)', 'Always'],
    ['a local variable that is a number', '{ 0:r=7; }', 'WRITE_ONCE(*x, r);', 'exists (x=7)', 'Always'],
    ['one that is not used', '{ 0:s=7; }', 'WRITE_ONCE(*x, 1);', 'exists (x=1)', 'Always'],
  ])('the initial state may give a value to %s', async (_what, initial, body, condition, observation) => {
    expect(await observed(`C locals\n${initial}\nP0(int *x) { ${body} }\n${condition}`)).toBe(
      [observation, observation, observation].join(' '),
    );
  });

  it('compares two variables of threads', async () => {
    const text = (relation: string) => `C same
{}
P0(int *x) { int r = READ_ONCE(*x); WRITE_ONCE(*x, 1); }
P1(int *x) { int r = READ_ONCE(*x); }
exists (0:r${relation}1:r)`;
    expect(await observed(text('='))).toBe('Sometimes Sometimes Sometimes');
    expect(await observed(`C same\n{}\nP0(int *x) { int r = 1; }\nP1(int *x) { int s = 1; }\nexists (0:r!=1:s)`)).toBe(
      'Never Never Never',
    );
  });

  it('leaves out the final states that its filter leaves out', async () => {
    const text = (filter: string) => `C filtered
{}
P0(int *x, int *y) { int r = READ_ONCE(*y); WRITE_ONCE(*x, 1); }
P1(int *x, int *y) { int r = READ_ONCE(*x); WRITE_ONCE(*y, 1); }
${filter}
exists (0:r=0)`;
    expect(await observed(text(''))).toBe('Sometimes Sometimes Sometimes');
    expect(await observed(text('locations [x]\nfilter (1:r=1)'))).toBe('Always Always Always');
    expect(await observed(text('filter (1:r=2)'))).toBe('Never Never Never');
  });

  it('prints pointers by name, and what else locations ask for', async () => {
    const test = await linuxC.read(
      'C names\n{ int *p = &x; }\nP0(int **p) { int *r = READ_ONCE(*p); }\nlocations [p]\nexists (0:r=x)',
    );
    expect(runLitmus(test, { memoryModel: 'sc' }).outcomes.map(({ text }) => text)).toEqual(['0:r=x; [p]=x;']);
  });

  it.each([
    ['C x\n{}\nP0(int *x) { srcu_read_lock(x); }\nexists (x=1)', 'test:3: srcu_read_lock() is not known here'],
    [
      'C x\n{}\nP0(atomic_t *x) { atomic_inc(&x); }\nexists (x=1)',
      'test:3: argument 1 of atomic_inc(): expected atomic_t *, have atomic_t **',
    ],
    ['C x\n{}\nP0(int *x) { }\n', 'no condition'],
    ['C x\n{ x=1+1; }\nP0(int *x) { }\nexists (x=1)', 'initial state: not supported: 1+1'],
  ])('what cannot be read is said: %j', async (text, said) => {
    await expect(linuxC.read(text)).rejects.toThrow(said);
  });
});

async function verdict(text: string, memoryModel: MemoryModel = 'sc') {
  const { verdict: found, property } = await explore(machineOf(await readProgram('f.c', text), { memoryModel }).system);
  return `${found}${property === null ? '' : `: ${property}`}`;
}

const counting = (lock: string, unlock: string) => `
static int counter;
static DEFINE_SPINLOCK(lock);

static inline void count(void)
{
	${lock}
	counter++;
	${unlock}
}

void P0(void) { count(); }
void P1(void) { count(); }
exists (~counter=2)
`;

describe('a program', () => {
  it('is searched for what exists', async () => {
    expect(await verdict(counting('spin_lock(&lock);', 'spin_unlock(&lock);'))).toBe('safe');
  });

  it('has a data race where a plain access meets another one', async () => {
    for (const model of models) expect(await verdict(counting('', ''), model)).toBe(`violation: ${DATA_RACE}`);
    const marked = counting('', '').replace('counter++', 'WRITE_ONCE(counter, READ_ONCE(counter) + 1)');
    expect(await verdict(marked)).toBe(`violation: ${CONDITION}`);
  });

  it.each([
    ['a lock that nobody has taken', 'spin_unlock(&lock);', 'violation: no lock misuse'],
    ['a lock twice', 'spin_lock(&lock); spin_unlock(&lock); spin_unlock(&lock);', 'violation: no lock misuse'],
    ['the lock of another CPU', 'if (spin_is_locked(&lock)) spin_unlock(&lock);', 'violation: no lock misuse'],
    ['its own lock', 'if (spin_trylock(&lock)) spin_unlock(&lock);', 'safe'],
    ['a section that it is not in', 'rcu_read_unlock();', 'violation: no lock misuse'],
    ['its own section', 'rcu_read_lock(); rcu_read_unlock(); synchronize_rcu();', 'safe'],
  ])('gives back %s', async (_, code, expected) => {
    const text = `DEFINE_SPINLOCK(lock);\nvoid P0(void) { ${code} }\nvoid P1(void) { spin_lock(&lock); spin_unlock(&lock); }\n`;
    for (const model of models) expect(await verdict(text, model), model).toBe(expected);
  });

  const freeing = (put: string): string => `
refcount_t refs = REFCOUNT_INIT(2);
int one, two;

static inline void put(void)
{
	if (${put})
		assert(READ_ONCE(one) + READ_ONCE(two) == 2);
}

void P0(void) { WRITE_ONCE(one, 1); put(); }
void P1(void) { WRITE_ONCE(two, 1); put(); }
`;

  it('that puts the last reference sees what all others did before they put theirs', async () => {
    for (const model of models) expect(await verdict(freeing('refcount_dec_and_test(&refs)'), model)).toBe('safe');
    const relaxed = freeing('!atomic_sub_return_relaxed(1, &refs)').replaceAll(/refcount_t|REFCOUNT_INIT/g, (name) =>
      name === 'refcount_t' ? 'atomic_t' : 'ATOMIC_INIT',
    );
    expect(await verdict(relaxed, 'tso')).toBe('safe');
    expect(await verdict(relaxed, 'arm')).toMatch(/^violation: assert/);
  });

  it.each([
    ['refcount_inc(&r);', 'violation'],
    ['if (refcount_inc_not_zero(&r)) refcount_dec(&r);', 'safe'],
    ['refcount_set(&r, 1); refcount_inc(&r); refcount_dec(&r); assert(refcount_read(&r) == 1);', 'safe'],
    ['refcount_dec(&r);', 'violation'],
    ['refcount_set(&r, 1); refcount_dec(&r);', 'violation'],
  ])('counts references from 0 on: %s', async (code, expected) => {
    expect(await verdict(`refcount_t r;\nvoid P0(void) { ${code} }\n`)).toMatch(expected);
  });

  it('waits for ever for a grace period within a section of its own', async () => {
    expect(await verdict('void P0(void) { rcu_read_lock(); synchronize_rcu(); rcu_read_unlock(); }')).toMatch(
      'deadlock',
    );
  });

  const buffering = (between: string): string => `int x, y;
void P0(void) { int r = READ_ONCE(x); ${between} WRITE_ONCE(y, 1); }
void P1(void) { int r = READ_ONCE(y); ${between} WRITE_ONCE(x, 1); }
exists (0:r=1 /\\ 1:r=1)
`;

  it('says on arm which stores it kept behind loads', async () => {
    const kept = async (text: string, memoryModel: MemoryModel) =>
      (await explore(machineOf(await readProgram('f.c', text), { memoryModel }).system)).scope.storesKeptBehindLoads;
    expect(await kept(buffering(''), 'arm')).toEqual(['P0: y', 'P1: x']);
    expect(await kept(buffering(''), 'tso')).toEqual([]);
    expect(
      await kept('int x;\nvoid P0(void) { WRITE_ONCE(x, 1); }\nvoid P1(void) { int r = READ_ONCE(x); }', 'arm'),
    ).toEqual([]);
  });

  it('has none where only reads meet', async () => {
    expect(await verdict('int x;\nvoid P0(void) { int a = x; }\nvoid P1(void) { int b = x; }\n')).toBe('safe');
  });

  const publishing = (store: string) => `
struct item { int value; struct item *next; };
static struct item items[2] = { { .value = 1 }, { .value = 2, .next = &items0 } };
static struct item items0;
static struct item *head;

void P0(void)
{
	struct item *new = &items[1];

	WRITE_ONCE(new->value, 42);
	${store};
}

void P1(void)
{
	struct item *it = smp_load_acquire(&head);

	if (it)
		assert(READ_ONCE(it->value) == 42);
}
`;

  it('has structs, arrays, pointers and assertions', async () => {
    const right = publishing('smp_store_release(&head, new)');
    const wrong = publishing('WRITE_ONCE(head, new)');
    for (const model of models) expect(await verdict(right, model)).toBe('safe');
    expect(await verdict(wrong, 'tso')).toBe('safe');
    expect(await verdict(wrong, 'arm')).toMatch(/^violation: assert\(READ_ONCE\(it->value\) == 42\) at line 20/);
  });

  it.each([
    ['int *p;\nvoid P0(void) { int v = *p; }', 'a load through a null pointer'],
    ['int n;\nvoid P0(void) { int v; if (n) v = 1; n = v; }', 'v is used before it is set'],
    ['int n;\nvoid P0(void) { n = 1 / n; }', '1 / 0 has no value'],
    ['int n;\nvoid P0(void) { n = 1 << 32; }', '1 << 32 has no value'],
    ['int a[2], n;\nvoid P0(void) { n = a[n + 2]; }', 'there is no element 2'],
    ['int a[2], n;\nvoid P0(void) { a[n - 1] = 1; }', 'there is no element -1'],
    ['DEFINE_PER_CPU(int, v);\nvoid P0(void) { per_cpu(v, 1) = 1; }', 'there is no element 1'],
    ['spinlock_t *l;\nvoid P0(void) { spin_lock(l); }', 'NULL where spinlock_t is expected'],
    [
      'int *p;\nstatic int *f(void) { int a = 1; return &a; }\nint n;\nvoid P0(void) { int *q = f(); n = *q; }',
      'a call that has returned',
    ],
  ])('that C gives no meaning is a violation: %j', async (text) => {
    expect(await verdict(text)).toBe('violation: no undefined behaviour in C');
  });

  it.each([
    ['int n;\nvoid P0(void) { for (;;) ; }', 'f.c:2: a loop that touches no shared memory and does not end'],
    ['int n;\nstatic void f(void) { f(); }\nvoid P0(void) { f(); }', 'f.c:2: more than 200 calls within one another'],
    ['long n;\nvoid P0(void) { n = 1L << 40; }', 'f.c:2: 0x10000000000 has more than 32 bits'],
  ])('that never ends, or does not fit, is refused with its line: %j', async (text, said) => {
    await expect(verdict(text)).rejects.toThrow(said);
  });
});
