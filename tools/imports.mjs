/** What a source file imports, and where it tells components something: by its syntax, for `boundaries.mjs`. */
import { parseSync } from 'vite';

/** What the names of our packages begin with. */
export const SCOPE = '@shootdown/';

/**
 * Every module specifier of a source file with its line: static and dynamic imports, `export from`, `import('x').T`
 * types, `require('x')`, and `*.resolve('@shootdown/x')`, which is how workers are located.
 * `types`: nothing of it is there when the file is loaded.
 * @param {string} path @param {string} source @returns {{ specifier: string, line: number, types: boolean }[]}
 */
export function importsOf(path, source) {
  /** @type {{ specifier: string, line: number, types: boolean }[]} */
  const found = [];
  /** @param {any} literal @param {boolean} types */
  const add = (literal, types = false) => {
    if (literal === null || literal === undefined) return;
    const specifier =
      literal.type === 'TemplateLiteral' && literal.expressions.length === 0
        ? literal.quasis[0].value.cooked
        : literal.value;
    if (typeof specifier === 'string')
      found.push({ specifier, line: source.slice(0, literal.start).split('\n').length, types });
  };
  /** @param {any} node */
  const visit = (node) => {
    if (node === null || typeof node !== 'object') return;
    if (Array.isArray(node)) return node.forEach(visit);
    if (
      node.type === 'ImportExpression' ||
      node.type === 'TSImportType' ||
      /^(Import|Export\w+)Declaration$/.test(node.type)
    )
      add(node.source, isOfTypes(node));
    if (node.type === 'TSExternalModuleReference') add(node.expression);
    if (node.type === 'CallExpression' && isResolver(node)) add(node.arguments[0]);
    Object.values(node).forEach(visit);
  };
  visit(parseSync(path, source).program.body);
  return found;
}

/**
 * `import type`, `import('x').T`, nothing but types in its braces; or `import()`, which is done when it is asked
 * for. @param {any} node
 */
function isOfTypes({ type, importKind, exportKind, specifiers = [] }) {
  if (type === 'ImportExpression' || type === 'TSImportType' || importKind === 'type' || exportKind === 'type')
    return true;
  /** @param {any} specifier */
  const isType = ({ importKind: one, exportKind: other }) => one === 'type' || other === 'type';
  return specifiers.length > 0 && specifiers.every(isType);
}

/**
 * Lines on which a component is told something without a channel. @param {string} path @param {string} source
 * @returns {number[]}
 */
export function tellsOf(path, source) {
  if (!source.includes('.tell(')) return [];
  /** @type {number[]} */
  const lines = [];
  /** @param {any} node */
  const visit = (node) => {
    if (node === null || typeof node !== 'object') return;
    if (Array.isArray(node)) return node.forEach(visit);
    const member =
      node.type === 'CallExpression' && node.callee.type === 'MemberExpression' ? node.callee.property : null;
    if (member?.type === 'Identifier' && member.name === 'tell')
      lines.push(source.slice(0, node.start).split('\n').length);
    Object.values(node).forEach(visit);
  };
  visit(parseSync(path, source).program.body);
  return lines;
}

/** `path.resolve` looks the same, so a `resolve` counts only for a package of ours. @param {any} call */
function isResolver({ callee, arguments: [first] }) {
  if (callee.type === 'Identifier') return callee.name === 'require';
  return (
    callee.type === 'MemberExpression' && callee.property.name === 'resolve' && String(first?.value).startsWith(SCOPE)
  );
}
