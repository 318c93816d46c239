/** Random C functions, and what they mean: an interpreter of its own, straight from the standard's rules on values. */
import fc from 'fast-check';

export interface CInt {
  readonly name: string;
  readonly bits: number;
  readonly signed: boolean;
}

const int = (name: string, bits: number, signed: boolean): CInt => ({ name, bits, signed });
const INT = int('int', 32, true);

const TYPES: readonly CInt[] = [
  INT,
  int('unsigned int', 32, false),
  int('long', 64, true),
  int('unsigned long', 64, false),
  int('u8', 8, false),
  int('s8', 8, true),
  int('u16', 16, false),
  int('short', 16, true),
];

/** An expression as text, and its value where variables have values. */
export interface Expression {
  readonly text: string;
  value(variables: Variables): Typed;
}

export interface Typed {
  readonly value: bigint;
  readonly type: CInt;
}

export type Variables = Map<string, Typed>;

/** A statement as lines, and what it does to variables. */
export interface Statement {
  readonly lines: readonly string[];
  run(variables: Variables): void;
}

/** A whole function: declarations, statements, and the value that is looked at. */
export interface RandomFunction {
  readonly text: string;
  /** Low and high half of the result. */
  readonly result: readonly [number, number];
}

function cut({ value }: Typed, type: CInt): Typed {
  return { value: type.signed ? BigInt.asIntN(type.bits, value) : BigInt.asUintN(type.bits, value), type };
}

function promote(typed: Typed): Typed {
  return typed.type.bits < 32 ? cut(typed, INT) : typed;
}

/** Both as the type that an operator computes in. */
function common(a: Typed, b: Typed): [Typed, Typed] {
  const [x, y] = [promote(a), promote(b)];
  const wider =
    x.type.bits > y.type.bits ? x.type : y.type.bits > x.type.bits ? y.type : x.type.signed ? y.type : x.type;
  return [cut(x, wider), cut(y, wider)];
}

const truth = (holds: boolean): Typed => ({ value: holds ? 1n : 0n, type: INT });

type Operator = (a: bigint, b: bigint) => bigint;
const ARITHMETIC: readonly (readonly [string, Operator])[] = [
  ['+', (a, b) => a + b],
  ['-', (a, b) => a - b],
  ['*', (a, b) => a * b],
  ['&', (a, b) => a & b],
  ['|', (a, b) => a | b],
  ['^', (a, b) => a ^ b],
];
const COMPARISONS: readonly (readonly [string, (a: bigint, b: bigint) => boolean])[] = [
  ['==', (a, b) => a === b],
  ['!=', (a, b) => a !== b],
  ['<', (a, b) => a < b],
  ['>=', (a, b) => a >= b],
  ['>', (a, b) => a > b],
  ['<=', (a, b) => a <= b],
];
const NAMES = ['a', 'b', 'c', 'd'] as const;

const LONG = int('long', 64, true);
const U8 = int('u8', 8, false);
/** How many guards are open: what code within their scopes reads. */
const DEPTH = 'depth';

/** Types and functions that the expressions and statements below use. */
const PREAMBLE = `struct pair { long x; u8 y; };
static struct pair make(long x, u8 y) { struct pair p = { .y = y, .x = x }; return p; }
static struct pair flip(struct pair p) { long x = p.x; p.x = p.y; p.y = x; return p; }
static long plus(long a, long b) { return (long)((u64)a + (u64)b); }
static long minus(long a, long b) { return (long)((u64)a - (u64)b); }
DEFINE_GUARD(deep, int *, (*_T)++, (*_T)--)`;

const literal = fc
  .tuple(fc.integer({ min: 0, max: 300 }), fc.constantFrom('', 'U', 'L', 'UL'))
  .map(([value, suffix]): Expression => {
    const type = int('', suffix.includes('L') ? 64 : 32, !suffix.includes('U'));
    return { text: `${value}${suffix}`, value: () => ({ value: BigInt(value), type }) };
  });

const variable = fc
  .constantFrom(...NAMES, DEPTH)
  .map((name): Expression => ({ text: name, value: (variables) => variables.get(name) as Typed }));

function binary(name: string, apply: Operator, a: Expression, b: Expression): Expression {
  return {
    text: `(${a.text} ${name} ${b.text})`,
    value(variables) {
      const [x, y] = common(a.value(variables), b.value(variables));
      return cut({ value: apply(x.value, y.value), type: x.type }, x.type);
    },
  };
}

const { expression } = fc.letrec<{ expression: Expression }>((tie) => {
  const inner = tie('expression');
  return {
    expression: fc.oneof(
      { depthSize: 'small', withCrossShrink: true },
      variable,
      literal,
      fc.tuple(fc.constantFrom(...ARITHMETIC), inner, inner).map(([[name, apply], a, b]) => binary(name, apply, a, b)),
      fc.tuple(fc.constantFrom('/', '%'), inner, inner).map(([name, a, b]): Expression => {
        // A divisor between 1 and 8.
        const divisor: Expression = {
          text: `((${b.text} & 7) + 1)`,
          value(variables) {
            const [x, seven] = common(b.value(variables), { value: 7n, type: INT });
            return { value: (x.value & seven.value) + 1n, type: x.type };
          },
        };
        return binary(name, (x, y) => (name === '/' ? x / y : x % y), a, divisor);
      }),
      fc
        .tuple(fc.constantFrom('<<', '>>'), inner, fc.integer({ min: 0, max: 31 }))
        .map(([name, a, by]): Expression => ({
          text: `(${a.text} ${name} ${by})`,
          value(variables) {
            const x = promote(a.value(variables));
            return cut({ value: name === '<<' ? x.value << BigInt(by) : x.value >> BigInt(by), type: x.type }, x.type);
          },
        })),
      fc.tuple(fc.constantFrom(...COMPARISONS), inner, inner).map(([[name, apply], a, b]): Expression => ({
        text: `(${a.text} ${name} ${b.text})`,
        value(variables) {
          const [x, y] = common(a.value(variables), b.value(variables));
          return truth(apply(x.value, y.value));
        },
      })),
      fc.tuple(fc.constantFrom('&&', '||'), inner, inner).map(([name, a, b]): Expression => ({
        text: `(${a.text} ${name} ${b.text})`,
        value(variables) {
          const first = a.value(variables).value !== 0n;
          return truth(
            name === '&&' ? first && b.value(variables).value !== 0n : first || b.value(variables).value !== 0n,
          );
        },
      })),
      fc.tuple(fc.constantFrom('-', '~', '!', '+'), inner).map(([name, a]): Expression => ({
        text: `(${name} ${a.text})`,
        value(variables) {
          const x = promote(a.value(variables));
          if (name === '!') return truth(x.value === 0n);
          return cut({ value: name === '-' ? -x.value : name === '~' ? ~x.value : x.value, type: x.type }, x.type);
        },
      })),
      fc.tuple(fc.constantFrom(...TYPES), inner).map(([type, a]): Expression => ({
        text: `((${type.name})${a.text})`,
        value: (variables) => cut(a.value(variables), type),
      })),
      fc.tuple(fc.constantFrom(...NAMES), inner).map(([name, a]): Expression => ({
        text: `((typeof(${name}))${a.text})`,
        value: (variables) => cut(a.value(variables), (variables.get(name) as Typed).type),
      })),
      fc.tuple(fc.constantFrom('min', 'max'), inner, inner).map(([name, a, b]): Expression => ({
        text: `${name}(${a.text}, ${b.text})`,
        value(variables) {
          const [x, y] = common(a.value(variables), b.value(variables));
          return (name === 'min' ? x.value < y.value : x.value > y.value) ? x : y;
        },
      })),
      fc.tuple(fc.constantFrom('x', 'y'), inner, inner).map(([name, a, b]): Expression => ({
        text: `flip(make(${a.text}, ${b.text})).${name}`,
        value(variables) {
          const [x, y] = [cut(a.value(variables), LONG), cut(b.value(variables), U8)];
          return name === 'x' ? cut(y, LONG) : cut(x, U8);
        },
      })),
      fc.tuple(inner, inner).map(([a, b]): Expression => ({
        text: `((struct pair){ .y = ${b.text}, .x = ${a.text} }).x`,
        value: (variables) => cut(a.value(variables), LONG),
      })),
      fc.tuple(inner, inner, inner).map(([a, b, c]): Expression => ({
        text: `(${a.text} ? ${b.text} : ${c.text})`,
        value(variables) {
          const [yes, no] = common(b.value(new Map(variables)), c.value(new Map(variables)));
          return a.value(variables).value === 0n ? no : yes;
        },
      })),
    ),
  };
});

const assign = (variables: Variables, name: string, value: Typed): void => {
  variables.set(name, cut(value, (variables.get(name) as Typed).type));
};

const assignment = fc.tuple(fc.constantFrom(...NAMES), expression).map(([name, value]): Statement => ({
  lines: [`${name} = ${value.text};`],
  run: (variables) => assign(variables, name, value.value(variables)),
}));

const compound = fc
  .tuple(fc.constantFrom(...NAMES), fc.constantFrom(...ARITHMETIC), expression)
  .map(([name, [operator, apply], value]): Statement => ({
    lines: [`${name} ${operator}= ${value.text};`],
    run(variables) {
      const [x, y] = common(variables.get(name) as Typed, value.value(variables));
      assign(variables, name, cut({ value: apply(x.value, y.value), type: x.type }, x.type));
    },
  }));

const step = fc
  .tuple(fc.constantFrom(...NAMES), fc.constantFrom(...NAMES), fc.constantFrom('++', '--'), fc.boolean())
  .map(([to, name, operator, prefix]): Statement => ({
    lines: [`${to} = ${prefix ? `${operator}${name}` : `${name}${operator}`};`],
    run(variables) {
      const before = variables.get(name) as Typed;
      assign(variables, name, { ...before, value: before.value + (operator === '++' ? 1n : -1n) });
      assign(variables, to, prefix ? (variables.get(name) as Typed) : before);
    },
  }));

/** Through a pointer to a local, which puts the variable into memory. */
const through = fc.tuple(fc.constantFrom(...NAMES), expression).map(([name, value]): Statement => ({
  lines: [`*(&${name}) = ${value.text};`],
  run: (variables) => assign(variables, name, value.value(variables)),
}));

const swapped = fc.tuple(fc.constantFrom(...NAMES), fc.constantFrom(...NAMES)).map(([a, b]): Statement => ({
  lines: [`swap(${a}, ${b});`],
  run(variables) {
    const before = variables.get(a) as Typed;
    assign(variables, a, variables.get(b) as Typed);
    assign(variables, b, before);
  },
}));

/** Through a pointer to one of two functions. */
const applied = fc
  .tuple(fc.constantFrom(...NAMES), expression, expression, expression)
  .map(([name, which, a, b]): Statement => ({
    lines: [
      '{',
      `\tlong (*op)(long, long) = ${which.text} ? plus : minus;`,
      `\t${name} = op(${a.text}, ${b.text});`,
      '}',
    ],
    run(variables) {
      const isPlus = which.value(variables).value !== 0n;
      const [x, y] = [cut(a.value(variables), LONG), cut(b.value(variables), LONG)];
      assign(variables, name, cut({ value: isPlus ? x.value + y.value : x.value - y.value, type: LONG }, LONG));
    },
  }));

/** What a guard does where its scope begins and where it is left. */
function deeper(variables: Variables, by: bigint): void {
  const { value, type } = variables.get(DEPTH) as Typed;
  variables.set(DEPTH, { value: value + by, type });
}

const indented = (statements: readonly Statement[]): string[] =>
  statements.flatMap(({ lines }) => lines.map((line) => `\t${line}`));
const runAll = (statements: readonly Statement[], variables: Variables): void => {
  for (const statement of statements) statement.run(variables);
};

const { statement } = fc.letrec<{ statement: Statement }>((tie) => {
  const some = fc.array(tie('statement'), { maxLength: 3 });
  return {
    statement: fc.oneof(
      { depthSize: 'small', withCrossShrink: true },
      assignment,
      compound,
      step,
      through,
      swapped,
      applied,
      some.map((body): Statement => ({
        lines: ['scoped_guard(deep, &depth) {', ...indented(body), '}'],
        run(variables) {
          deeper(variables, 1n);
          runAll(body, variables);
          deeper(variables, -1n);
        },
      })),
      fc.tuple(expression, some, some).map(([condition, yes, no]): Statement => ({
        lines: [`if (${condition.text}) {`, ...indented(yes), '} else {', ...indented(no), '}'],
        run: (variables) => runAll(condition.value(variables).value === 0n ? no : yes, variables),
      })),
      fc
        .tuple(fc.integer({ min: 0, max: 3 }), fc.nat(), some, expression, fc.boolean())
        .map(([times, id, body, leave, guarded]): Statement => ({
          lines: [
            `for (int i${id} = 0; i${id} < ${times}; i${id}++) {`,
            ...(guarded ? ['\tguard(deep)(&depth);'] : []),
            ...indented(body),
            `\tif (${leave.text}) break;`,
            '}',
          ],
          run(variables) {
            for (let i = 0; i < times; i++) {
              if (guarded) deeper(variables, 1n);
              runAll(body, variables);
              const leaves = leave.value(variables).value !== 0n;
              if (guarded) deeper(variables, -1n);
              if (leaves) break;
            }
          },
        })),
      fc.tuple(expression, some, some).map(([chosen, first, rest]): Statement => ({
        lines: [
          `switch (${chosen.text}) {`,
          'case 0:',
          ...indented(first),
          'case 1:',
          ...indented(rest),
          '\tbreak;',
          'default:',
          '\ta = 5;',
          '}',
        ],
        run(variables) {
          const { value } = promote(chosen.value(variables));
          if (value === 0n) runAll(first, variables);
          if (value === 0n || value === 1n) runAll(rest, variables);
          else assign(variables, 'a', { value: 5n, type: INT });
        },
      })),
    ),
  };
});

/** A program whose thread leaves its result in `low` and `high`. */
export const randomFunction = fc
  .tuple(
    fc.array(fc.constantFrom(...TYPES), { minLength: 4, maxLength: 4 }),
    fc.array(fc.integer({ min: -5, max: 300 }), { minLength: 4, maxLength: 4 }),
    fc.array(statement, { minLength: 1, maxLength: 6 }),
    expression,
  )
  .map(([types, values, statements, returned]): RandomFunction => {
    const variables: Variables = new Map();
    NAMES.forEach((name, i) => {
      const type = types[i] as CInt;
      variables.set(name, cut({ value: BigInt(values[i] ?? 0), type }, type));
    });
    variables.set(DEPTH, { value: 0n, type: INT });
    const declarations = NAMES.map((name, i) => `\t${(types[i] as CInt).name} ${name} = ${values[i] ?? 0};`);
    runAll(statements, variables);
    const result = cut(returned.value(variables), int('unsigned long', 64, false)).value;
    const text = [
      PREAMBLE,
      'static unsigned long f(void)',
      '{',
      ...declarations,
      '\tint depth = 0;',
      ...indented(statements),
      `\treturn ${returned.text};`,
      '}',
      'void P0(void)',
      '{',
      '\tunsigned long r = f();',
      '\tu32 low = r;',
      '\tu32 high = r >> 32;',
      '}',
      'exists (0:low=0 /\\ 0:high=0)',
      '',
    ].join('\n');
    return { text, result: [Number(BigInt.asIntN(32, result)), Number(BigInt.asIntN(32, result >> 32n))] };
  });
