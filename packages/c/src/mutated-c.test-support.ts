/** C with something wrong somewhere: programs that use most of what is supported, changed at random. */

/** A pseudo-random sequence that a seed repeats: below(n) is 0 .. n-1. */
export class Dice {
  #state: number;

  constructor(seed: number) {
    this.#state = seed >>> 0;
  }

  below(n: number): number {
    this.#state = (Math.imul(this.#state, 1_664_525) + 1_013_904_223) >>> 0;
    return Math.floor((this.#state / 2 ** 32) * n);
  }
}

export const seeds: readonly string[] = [
  `struct range { unsigned long start, end; };
struct item { int live; struct list_head node; };
struct ops { int (*get)(struct item *it); int bias; };
static LIST_HEAD(head);
static DEFINE_SPINLOCK(lock);
static struct item items[2] = { { .live = 1 }, { .live = 2 } };
DEFINE_PER_CPU(int, hits);

static int live_of(struct item *it)
{
	static int calls;

	WRITE_ONCE(calls, READ_ONCE(calls) + 1);
	return READ_ONCE(it->live);
}

static const struct ops ops = { .get = live_of, .bias = 1 };

static struct range widened(struct range r, unsigned long by)
{
	typeof(r.start) half = by / 2;
	struct range wider = { .start = r.start - min(half, r.start), .end = r.end + half };

	swap(half, by);
	return wider;
}

static int total(const struct ops *o)
{
	struct item *it;
	int sum = 0;

	guard(spinlock)(&lock);
	list_for_each_entry(it, &head, node) {
		if (!it->live)
			continue;
		sum += o->get(it) + o->bias;
		if (sum > 10)
			return sum;
	}
	return sum;
}

void P0(void)
{
	struct range r = widened((struct range){ 4, 8 }, 2);

	scoped_guard(spinlock, &lock) {
		list_add_tail(&items[0].node, &head);
		if (r.end == 9)
			break;
		list_del(&items[0].node);
	}
	this_cpu_inc(hits);
	assert(per_cpu(hits, 0) == 1);
}

void P1(void)
{
	int cpu, n = total(&ops);

	for_each_possible_cpu(cpu)
		n += *per_cpu_ptr(&hits, cpu);
	assert(n <= 3);
}
`,
  `#define LIMIT 3
#if LIMIT > 2
#define STEP(x) ((x) + 1)
#else
#define STEP(x) (x)
#endif

struct item { int value; struct item *next; };
enum state { IDLE, BUSY = 2 };
static struct item items[2] = { { .value = 1 }, { .value = 2, .next = &items[0] } };
static struct item *head;
static spinlock_t lock;
static atomic_t users;

static inline int sum(const struct item *it)
{
	int total = 0;

	for (; it; it = READ_ONCE(it->next)) {
		if (READ_ONCE(it->value) == BUSY)
			continue;
		total += READ_ONCE(it->value);
	}
	return total;
}

static void publish(struct item *it, unsigned long value)
{
	u32 low = value & 0xff;
	bool locked = spin_trylock(&lock);

	if (!locked)
		goto out;
	WRITE_ONCE(it->value, (int)low);
	smp_store_release(&head, it);
	spin_unlock(&lock);
out:
	atomic_dec(&users);
}

void P0(void)
{
	atomic_inc(&users);
	publish(&items[1], STEP(LIMIT));
}

void P1(void)
{
	struct item *it = smp_load_acquire(&head);
	int i, n = 0;

	for (i = 0; i < LIMIT; i++) {
		switch (i) {
		case 0:
			n += sum(it);
			break;
		case 1 + 1:
			n = n ? n - 1 : ~n;
			/* fallthrough */
		default:
			n <<= 1;
		}
	}
	do {
		n--;
	} while (n > 100 && it != NULL);
	if (it)
		assert(it->value >= 0);
}
`,
  `int x, y, z = 1;
int *p = &z;

static int pick(int (*choose)(int), int which)
{
	return choose(which);
}

static int next(int n) { return n + 1; }

void P0(void)
{
	int r0 = pick(next, 0), r1;

	WRITE_ONCE(x, r0);
	smp_wmb();
	WRITE_ONCE(y, 1);
	r1 = xchg(&p, &x) == &z;
	if (cmpxchg(&z, 1, 2) != 1)
		r1 = -1;
}

void P1(void)
{
	int r0, r1, *q;
	int seen[2] = { 0 };

	r0 = READ_ONCE(y);
	smp_rmb();
	r1 = READ_ONCE(x);
	q = rcu_dereference(p);
	seen[r0 & 1] = *q;
	r1 += seen[0] + seen[1];
}
exists (1:r0=1 /\\ 1:r1=0)
`,
];

const PIECES = [
  '{',
  '}',
  '(',
  ')',
  ';',
  '*',
  '&',
  '->',
  '.',
  '"',
  "'",
  '/*',
  '*/',
  '#define X Y\n',
  '#if 0\n',
  '#endif\n',
  'int ',
  'struct ',
  '0x',
  'goto a;',
  'while (1) ;',
  'for (;;) ;',
  'return',
  '\\',
  '\u0000',
  'é',
  'x',
  '1',
  '=',
  '==',
  '[',
  ']',
  ',',
  'unsigned long ',
  'case 1:',
  'default:',
  'switch (',
  'do ',
  'sizeof ',
  '(int)',
  '(void *)',
  '?',
  ':',
  '##',
  '%',
  '/0',
  '<<99',
  '!',
  '~',
  '-',
  '-1',
  '(u8)',
  'static ',
  'typedef ',
  'P0();',
  'break;',
  '...',
  '#',
  '\n',
  'lock',
  'NULL',
];

/** A text with one to three changes. */
export function mutated(text: string, dice: Dice): string {
  let changed = text;
  for (let n = 1 + dice.below(3); n > 0; n--) changed = change(changed, dice);
  return changed;
}

function change(text: string, dice: Dice): string {
  const at = dice.below(text.length + 1);
  const words = text.match(/\w+|\W/g) ?? [];
  // Words that are no blanks.
  const places = words.flatMap((word, i) => (word.trim() === '' ? [] : [i]));
  const [a = 0, b = 0] = [places[dice.below(places.length)], places[dice.below(places.length)]];
  switch (dice.below(6)) {
    case 0:
      return text.slice(0, at) + text.slice(at + 1 + dice.below(12));
    case 1:
      return text.slice(0, at) + (PIECES[dice.below(PIECES.length)] ?? '') + text.slice(at);
    case 2: {
      const from = dice.below(text.length + 1);
      return text.slice(0, at) + text.slice(from, from + dice.below(30)) + text.slice(at);
    }
    case 3:
      [words[a], words[b]] = [words[b] ?? '', words[a] ?? ''];
      return words.join('');
    case 4:
      words[a] = words[b] ?? '';
      return words.join('');
    default:
      words.splice(a, 1 + dice.below(3));
      return words.join('');
  }
}
