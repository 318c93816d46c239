import { explore } from '@shootdown/explorer';
import { machineOf } from '@shootdown/litmus';
import { describe, expect, it } from 'vitest';
import { CError } from './diagnostics.ts';
import { readProgram } from './program/litmus.ts';

async function verdict(text: string): Promise<string> {
  const { verdict: found, property } = await explore(
    machineOf(await readProgram('f.c', text), { memoryModel: 'sc' }).system,
    { interleavingsStatesMax: 0 },
  );
  return `${found}${property === null ? '' : `: ${property}`}`;
}

/** A program of one thread around some lines, what stands before it, and what holds. */
type Right = readonly [what: string, before: string, body: string];

const right: readonly Right[] = [
  ['typeof() of a variable', 'int x = 3;', 'typeof(x) y = x; assert(y == 3);'],
  ['typeof() of a type', '', 'typeof(unsigned char) c = 255; c++; assert(c == 0);'],
  ['typeof() of an expression is not evaluated', 'int x;', 'typeof(x++) y = 1; assert(x == 0 && y == 1);'],
  ['typeof() of what a pointer points to', 'int x = 7;', 'int *p = &x; typeof(*p) *q = p; assert(*q == 7);'],
  ['typeof() within typeof()', 'int x;', 'typeof(*(typeof(x) *)&x) y = 4; assert(y == 4);'],
  ['a cast to typeof()', 'char c;', 'assert((typeof(c))257 == 1);'],
  ['min() and max()', '', 'int a = 3; assert(min(a, 5) == 3 && max(a, 5) == 5 && min_t(u8, 256, 4) == 0);'],
  [
    'a product that looks like a cast',
    '',
    'int a = 3, b = 5; assert(((a * (b)) & 7) == 7 && ((a * min(a, b)) & 8) == 8);',
  ],
  ['swap()', '', 'int a = 1; int b = 2; swap(a, b); assert(a == 2 && b == 1);'],
  [
    'a struct passed by value',
    'struct r { int a, b; };\nstatic int f(struct r r) { r.a++; return r.a + r.b; }',
    'struct r r = { 1, 2 }; assert(f(r) == 4 && r.a == 1);',
  ],
  [
    'a struct returned by value',
    'struct r { int a, b; };\nstatic struct r f(int n) { struct r r = { n, n + 1 }; return r; }',
    'struct r r = f(3); assert(r.a == 3 && f(5).b == 6);',
  ],
  [
    'a struct passed on and returned',
    'struct r { int a; long b; };\nstatic struct r g(struct r r) { r.b += r.a; return r; }\nstatic struct r f(struct r r) { return g(g(r)); }',
    'struct r r = { 2, 1 }; r = f(r); assert(r.a == 2 && r.b == 5);',
  ],
  [
    'a literal of a struct',
    'struct r { int a, b; };\nstatic int f(struct r r) { return r.a * 10 + r.b; }',
    'assert(f((struct r){ .b = 2, .a = 1 }) == 12);',
  ],
  [
    'the address of a literal',
    'struct r { int a, b; };\nstatic int f(struct r *r) { return r->b; }',
    'assert(f(&(struct r){ 1, 2 }) == 2);',
  ],
  [
    'a struct chosen by ?:',
    'struct r { int a, b; } x = { 1, 2 }, y = { 3, 4 };',
    'struct r r = x.a ? y : x; assert(r.b == 4);',
  ],
  ['a static local', '', 'static int n = 5; n++; assert(n == 6);'],
  ['a static local that stays', 'static int f(void) { static int n; return ++n; }', 'f(); f(); assert(f() == 3);'],
  [
    'static locals of one name',
    'static int f(void) { static int n = 1; return n++; }\nstatic int g(void) { static int n = 7; return n++; }',
    'f(); assert(f() == 2 && g() == 7);',
  ],
  [
    'a pointer to a function',
    'static int inc(int a) { return a + 1; }',
    'int (*f)(int) = inc; assert(f(1) == 2 && (*f)(2) == 3);',
  ],
  [
    'a table of functions',
    'static int one(void) { return 1; }\nstatic int two(void) { return 2; }\nstatic int (*const table[])(void) = { one, two };',
    'assert(table[0]() + table[1]() * 10 == 21);',
  ],
  [
    'operations of a struct',
    'struct ops { int (*get)(int); int bias; };\nstatic int twice(int a) { return 2 * a; }\nstatic const struct ops ops = { .get = twice, .bias = 1 };',
    'const struct ops *o = &ops; assert(o->get(4) + o->bias == 9);',
  ],
  [
    'a function as an argument',
    'static int add(int a, int b) { return a + b; }\nstatic int fold(int (*f)(int, int), int n) { int s = 0; for (int i = 1; i <= n; i++) s = f(s, i); return s; }',
    'assert(fold(add, 4) == 10);',
  ],
  [
    'narrow types',
    'u8 a = 250; s8 b; u16 c; short d;',
    'a += 10; b = 200; c = 65535; c++; d = 40000; assert(a == 4 && b == -56 && c == 0 && d == -25536);',
  ],
  ['a bool of any value', 'bool b;', 'b = 256; assert(b == 1); b = !b; assert(b == 0);'],
  ['64-bit constants', '', 'unsigned long a = 0xffff888000000000UL; assert((a >> 36) == 0xffff888UL && (u32)a == 0);'],
  ['64-bit values', '', 'u64 a = 1ULL << 63; s64 b = -1; assert(a > 0 && (a >> 63) == 1 && b < 0 && (u64)b > a);'],
  [
    'BIT(), GENMASK() and alignment',
    '',
    'assert(BIT(40) >> 40 == 1 && GENMASK(47, 12) >> 47 == 1 && ALIGN(4097UL, 4096) == 8192 && round_down(8191, 4096) == 4096);',
  ],
  [
    'attributes',
    'static int __always_inline __attribute__((pure)) f(int a) { return a; }\nint x __cacheline_aligned = 2;',
    'assert(f(x) == 2);',
  ],
  [
    '__maybe_unused and fallthrough',
    '',
    'int a __maybe_unused = 1; switch (a) { case 1: a = 2; fallthrough; case 2: a++; } assert(a == 3);',
  ],
  [
    'guard()',
    'static DEFINE_SPINLOCK(l); int x;',
    '{ guard(spinlock)(&l); x = 1; assert(spin_is_locked(&l)); } assert(!spin_is_locked(&l));',
  ],
  [
    'guard() and return',
    'static DEFINE_SPINLOCK(l);\nstatic int f(int a) { guard(spinlock)(&l); if (a) return 1; return 2; }',
    'assert(f(1) == 1 && !spin_is_locked(&l) && f(0) == 2 && !spin_is_locked(&l));',
  ],
  [
    'guard() and goto',
    'static DEFINE_SPINLOCK(l);',
    'for (int i = 0; i < 2; i++) { guard(spinlock)(&l); if (i) goto out; } out: assert(!spin_is_locked(&l));',
  ],
  [
    'guard() and break',
    'static DEFINE_SPINLOCK(l);',
    'for (;;) { guard(spinlock)(&l); break; } assert(!spin_is_locked(&l));',
  ],
  [
    'guard() and continue',
    'static DEFINE_SPINLOCK(l);',
    'for (int i = 0; i < 3; i++) { guard(spinlock)(&l); if (i < 2) continue; } assert(!spin_is_locked(&l));',
  ],
  [
    'guards within one another',
    'static DEFINE_SPINLOCK(l); static DEFINE_SPINLOCK(m);\nstatic void f(void) { guard(spinlock)(&l); { guard(spinlock)(&m); if (spin_is_locked(&l)) return; } }',
    'f(); assert(!spin_is_locked(&l) && !spin_is_locked(&m));',
  ],
  [
    'scoped_guard()',
    'static DEFINE_SPINLOCK(l); int x;',
    'scoped_guard(spinlock, &l) x = spin_is_locked(&l); assert(x && !spin_is_locked(&l)); scoped_guard(rcu) { x = 2; break; } assert(x == 2);',
  ],
  [
    'a guard of the file',
    'int depth;\nDEFINE_GUARD(deep, int *, (*_T)++, (*_T)--)',
    'scoped_guard(deep, &depth) assert(depth == 1); assert(depth == 0);',
  ],
  [
    'list_for_each_entry()',
    'struct item { int v; struct list_head node; } a = { .v = 1 }, b = { .v = 2 };\nstatic LIST_HEAD(head);',
    'struct item *it; int n = 0; list_add_tail(&a.node, &head); list_add_tail(&b.node, &head); list_for_each_entry(it, &head, node) n = n * 10 + it->v; assert(n == 12);',
  ],
  [
    'list_for_each_entry_safe()',
    'struct item { int v; struct list_head node; } a = { .v = 1 }, b = { .v = 2 };\nstatic LIST_HEAD(head);',
    'struct item *it, *n; list_add(&a.node, &head); list_add(&b.node, &head); list_for_each_entry_safe(it, n, &head, node) list_del(&it->node); assert(list_empty(&head));',
  ],
  [
    'list_for_each_entry_rcu()',
    'struct item { struct list_head node; int v; } a = { .v = 3 };\nstatic LIST_HEAD(head);',
    'struct item *it; int n = 0; list_add_rcu(&a.node, &head); rcu_read_lock(); list_for_each_entry_rcu(it, &head, node) n += it->v; rcu_read_unlock(); assert(n == 3);',
  ],
  [
    'hlist_for_each_entry()',
    'struct item { int v; struct hlist_node node; } a = { .v = 1 }, b = { .v = 2 };\nstatic HLIST_HEAD(head);',
    'struct item *it; int n = 0; hlist_add_head(&a.node, &head); hlist_add_head(&b.node, &head); hlist_del(&a.node); hlist_for_each_entry(it, &head, node) n += it->v; assert(n == 2 && !hlist_empty(&head));',
  ],
  [
    'per-CPU variables',
    'DEFINE_PER_CPU(int, count);',
    'this_cpu_inc(count); this_cpu_add(count, 4); assert(this_cpu_read(count) == 5 && per_cpu(count, 0) == 5 && *this_cpu_ptr(&count) == 5);',
  ],
  [
    'per-CPU structs',
    'struct c { int a, b; };\nDEFINE_PER_CPU(struct c, stats);',
    'struct c *c = per_cpu_ptr(&stats, smp_processor_id()); c->b = 2; this_cpu_write(stats.a, 1); per_cpu(stats.b, 0)++; assert(this_cpu_read(stats.a) == 1 && __this_cpu_read(stats.b) == 3);',
  ],
  [
    'this_cpu_xchg() and cmpxchg()',
    'DEFINE_PER_CPU(int, v);',
    'assert(this_cpu_xchg(v, 3) == 0 && this_cpu_cmpxchg(v, 3, 4) == 3 && this_cpu_cmpxchg(v, 3, 5) == 4 && this_cpu_inc_return(v) == 5);',
  ],
  [
    'for_each_possible_cpu()',
    'DEFINE_PER_CPU(int, v);',
    'int cpu, n = 0; for_each_possible_cpu(cpu) n += per_cpu(v, cpu) + 1; assert(n == nr_cpu_ids);',
  ],
  [
    'for_each_cpu()',
    'static cpumask_t mask;',
    'int cpu, n = 0; cpumask_set_cpu(0, &mask); for_each_cpu(cpu, &mask) n++; cpumask_clear_cpu(0, &mask); assert(n == 1 && cpumask_empty(&mask));',
  ],
  ['BUILD_BUG_ON() of what is false', '', 'BUILD_BUG_ON(sizeof(u64) != 8);'],
  [
    'the address behind an array',
    'int a[2] = { 1, 2 };',
    'int s = 0; for (int *p = a; p != &a[2]; p++) s += *p; assert(s == 3);',
  ],
  [
    'addresses of fields and elements',
    'struct r { int a[2], b; } r = { { 1, 2 }, 3 };\nint *p = &r.a[1], *q = &r.b, *s = r.a;',
    'assert(*p == 2 && *q == 3 && *s == 1);',
  ],
  [
    'a designated initializer within another',
    'struct in { int x, y; };\nstruct out { struct in a; int b; } o = { .a = { .y = 4 }, .b = 5 };',
    'assert(o.a.x == 0 && o.a.y == 4 && o.b == 5);',
  ],
];

describe('a construct of C', () => {
  it.each(right)('%s', async (_, before, body) => {
    expect(await verdict(`${before}\nvoid P0(void) { ${body} }\n`)).toBe('safe');
    // That an assertion behind it is looked at is no matter of course.
    expect(await verdict(`${before}\nvoid P0(void) { ${body} assert(0); }\n`)).toMatch(/^violation: assert\(0\)/);
  });

  it('gives each CPU its own', async () => {
    const text = `
DEFINE_PER_CPU(int, count);
static void f(void) { this_cpu_inc(count); }
void P0(void) { f(); f(); }
void P1(void) { f(); }
exists (~(count[0]=2 /\\ count[1]=1))
`;
    expect(await verdict(text)).toBe('safe');
  });

  it('locks with a guard() that two CPUs take', async () => {
    const counting = (guard: string) => `
static DEFINE_SPINLOCK(lock);
static int counter;
static void count(void) { ${guard} WRITE_ONCE(counter, READ_ONCE(counter) + 1); }
void P0(void) { count(); }
void P1(void) { count(); }
exists (~counter=2)
`;
    expect(await verdict(counting('guard(spinlock)(&lock);'))).toBe('safe');
    expect(await verdict(counting(''))).toMatch(/^violation/);
  });

  it('walks a list under RCU that another CPU deletes from', async () => {
    const deleting = (wait: string) => `
struct item { int live; struct list_head node; } a = { .live = 1 };
static LIST_HEAD(head);
static bool ready;

void P0(void)
{
	list_add_rcu(&a.node, &head);
	smp_store_release(&ready, true);
	list_del_rcu(&a.node);
	${wait}
	WRITE_ONCE(a.live, 0);
}

void P1(void)
{
	struct item *it;

	if (!smp_load_acquire(&ready))
		return;
	guard(rcu)();
	list_for_each_entry_rcu(it, &head, node)
		assert(READ_ONCE(it->live));
}
`;
    expect(await verdict(deleting('synchronize_rcu();'))).toBe('safe');
    expect(await verdict(deleting(''))).toMatch(/^violation: assert\(READ_ONCE\(it->live\)\)/);
  });

  it('says the line of the call where the header does the work', async () => {
    const text = 'struct list_head *p;\nvoid P0(void)\n{\n\tlist_del(p);\n}\n';
    const { system } = machineOf(await readProgram('f.c', text), { memoryModel: 'sc' });
    const { schedule } = await explore(system, { interleavingsStatesMax: 0 });
    expect(schedule).not.toBe(null);
  });
});

/** What is not supported: file, line, and what would do. */
const refused: readonly (readonly [what: string, text: string, said: string])[] = [
  [
    'a per-CPU variable by its name',
    'DEFINE_PER_CPU(int, v);\nvoid P0(void) { v = 1; }',
    'f.c:2: v is per CPU: use this_cpu_read(v), per_cpu(v, cpu)',
  ],
  [
    'this_cpu_ptr() of no address',
    'DEFINE_PER_CPU(int, v);\nvoid P0(void) { *this_cpu_ptr(v) = 1; }',
    'f.c:2: this_cpu_ptr(): expected the address of a per-CPU variable',
  ],
  [
    'an unknown guard',
    'void P0(void) { guard(sleepy)(); }',
    'f.c:1: guard(sleepy) is not known: DEFINE_GUARD() it (have: irq, ',
  ],
  [
    'a guard of a lock that is not there',
    'int x;\nvoid P0(void) { guard(mutex)(&x); }',
    'f.c:2: guard(mutex): mutex_lock() is not offered here',
  ],
  [
    'a guard of another type',
    'int x;\nvoid P0(void) { guard(spinlock)(&x); }',
    'f.c:2: argument 1 of spin_lock(): expected spinlock_t *, have int *',
  ],
  [
    'a goto into a guard',
    'static DEFINE_SPINLOCK(l);\nvoid P0(void)\n{\n\tgoto in;\n\t{\n\t\tguard(spinlock)(&l);\nin:\n\t\t;\n\t}\n}',
    'f.c:4: goto jumps into the scope of a guard()',
  ],
  [
    'a case in a guard',
    'static DEFINE_SPINLOCK(l);\nint x;\nvoid P0(void)\n{\n\tswitch (x) {\n\tcase 0:\n\t\tguard(spinlock)(&l);\n\tcase 1:\n\t\tx = 1;\n\t}\n}',
    'f.c:8: case jumps into the scope of a guard()',
  ],
  ['typeof() of nothing known', 'void P0(void) { typeof(y) x = 1; }', 'f.c:1: y is not known here'],
  ['typeof() of no expression', 'void P0(void)\n{\n\ttypeof(1 +) x = 1;\n}', 'f.c:3: syntax: '],
  [
    'BUILD_BUG_ON() of what is true',
    'void P0(void) { BUILD_BUG_ON(sizeof(int) == 4); }',
    'f.c:1: BUILD_BUG_ON(sizeof(int) == 4): it holds',
  ],
  [
    'an assignment to a value of several words',
    'struct r { int a, b; };\nstatic struct r f(void) { return (struct r){ 1, 2 }; }\nvoid P0(void) { f().a = 1; }',
    'f.c:3: f().a = 1: its left side cannot be assigned to',
  ],
  [
    'the address of such a value',
    'struct r { int a, b; };\nstatic struct r f(void) { return (struct r){ 1, 2 }; }\nvoid P0(void) { struct r *p = &f(); }',
    'f.c:3: &f(): this has no address',
  ],
  [
    'a struct that is not defined',
    'struct r;\nvoid f(struct r r);\nvoid P0(void) { struct r *p; f(*p); }',
    'f.c:3: struct r cannot be read',
  ],
  [
    'another function in a table',
    'static void f(void) { }\nstatic int (*g)(int) = f;\nvoid P0(void) { g(1); }',
    'f.c:2: f: expected int (int) *, have another function',
  ],
  [
    'a pointer of another type that begins a variable',
    'long x;\nint *p = &x;\nvoid P0(void) { *p = 1; }',
    'f.c:2: &x: expected int *, have long *',
  ],
  ['a range of cases', 'int x;\nvoid P0(void)\n{\n\tswitch (x) {\n\tcase 1 ... 3:\n\t\tx = 1;\n\t}\n}', 'f.c:5: '],
  ['a computed goto', 'void P0(void)\n{\n\tvoid *p = &&out;\n\tgoto *p;\nout:\n\t;\n}', 'f.c:4: '],
  ['a function within a function', 'void P0(void)\n{\n\tvoid f(void) { }\n\tf();\n}', 'f.c:3: '],
  ['an array of no constant length', 'void P0(void)\n{\n\tint n = 3;\n\tint a[n];\n\ta[0] = 1;\n}', 'f.c:4: '],
  ['_Generic', 'void P0(void)\n{\n\tint a = _Generic(1, int: 2);\n}', 'f.c:3: '],
  [
    'a builtin of the compiler',
    'void P0(void)\n{\n\tint a = __builtin_popcount(3);\n}',
    'f.c:3: __builtin_popcount() is not known here',
  ],
  ['__free()', 'void P0(void)\n{\n\tint *p __free(kfree) = NULL;\n}', 'f.c:3: '],
  ['a string', 'char *s = "abc";\nvoid P0(void) { s = s; }', 'f.c:1: '],
];

describe('what C has and this has not', () => {
  it.each(refused)('%s', async (_, text, said) => {
    const error = await readProgram('f.c', `${text}\n`).then(
      () => null,
      (thrown: unknown) => thrown,
    );
    expect(error).toBeInstanceOf(CError);
    expect((error as CError).message.startsWith(said), (error as CError).message).toBe(true);
    for (const line of (error as CError).lines) expect(line).toMatch(/^f\.c:\d+: [^\n]+$/);
  });
});
