import { assemble, parseTopology, runMachine } from '@shootdown/topology';
import { describe, expect, test } from 'vitest';
import { topologyFromHwloc } from './hwloc.ts';

/** One socket, two cores of two threads: what lstopo writes, without the caches. */
const SMT = `<?xml version="1.0" encoding="UTF-8"?>
<!DOCTYPE topology SYSTEM "hwloc2.dtd">
<topology version="2.0">
  <object type="Machine" os_index="0">
    <info name="OSName" value="Linux"/>
    <object type="Package" os_index="0">
      <object type="NUMANode" os_index="0" local_memory="4096"/>
      <object type="Core" os_index="0">
        <object type="PU" os_index="0"/>
        <object type="PU" os_index="2"/>
      </object>
      <object type="Core" os_index="1">
        <object type="PU" os_index="1"/>
        <object type="PU" os_index="3"/>
      </object>
    </object>
  </object>
</topology>`;
const ONE = (inner: string) => `<topology><object type="Machine">${inner}<object type="PU"/></object></topology>`;

const read = (text: string, name = 'm') => topologyFromHwloc(text, name, 'm.xml');

describe('what lstopo writes', () => {
  test('becomes a topology with a CPU per processing unit, which runs as it is', () => {
    const { topology, leftOut } = read(SMT);
    expect(topology).toMatchObject({
      name: 'm',
      architecture: 'x86-64-4l',
      cpus: 4,
      cores: [
        [0, 1],
        [2, 3],
      ],
    });
    // One of them says nothing.
    expect(topology).not.toHaveProperty('sockets');
    expect(topology).not.toHaveProperty('nodes');
    expect(runMachine(assemble(parseTopology(topology))).end).toBe('done');
    expect(leftOut).toBe('CPUs are numbered 0 to 3 in the order of the file');
  });

  test('has its sockets, its nodes beside or around the cores, and their distances', () => {
    const packages = [0, 1].map(
      (i) =>
        `<object type="Package"><object type="NUMANode" os_index="${i}"/>` +
        `<object type="Core"><object type="PU" os_index="${2 * i}"/><object type="PU" os_index="${2 * i + 1}"/></object></object>`,
    );
    const matrix = (values: string) =>
      `<distances2 type="NUMANode" nbobjs="2" name="NUMALatency"><indexes length="4">0 1 </indexes>` +
      `<u64values length="12">${values}</u64values></distances2>`;
    const two = (more = '') => `<topology><object type="Machine">${packages.join('')}</object>${more}</topology>`;
    const halves = [
      [0, 1],
      [2, 3],
    ];
    expect(read(two()).topology).toMatchObject({ cores: halves, sockets: halves, nodes: halves });
    expect(read(two(matrix('10 32 32 10 '))).topology.distances).toEqual([
      [10, 32],
      [32, 10],
    ]);
    // Bandwidths, or nonsense.
    expect(read(two(matrix('10 32 32'))).topology).not.toHaveProperty('distances');
    expect(read(two(matrix('80 12 12 80'))).topology).not.toHaveProperty('distances');
    const around = '<object type="NUMANode"><object type="PU"/></object>';
    expect(read(ONE(around)).topology).not.toHaveProperty('nodes');
    expect(read(`<topology><object type="Machine">${around}${around}</object></topology>`).topology.nodes).toEqual([
      [0],
      [1],
    ]);
  });

  test('may say which architecture it is', () => {
    expect(read(ONE('<info name="Architecture" value="aarch64"/>')).topology.architecture).toBe('arm64-4k-48');
    expect(() => read(ONE('<info name="Architecture" value="riscv64"/>'))).toThrow(/^topology: m.xml: no architecture/);
  });

  test('gives the topology a name that a topology may have', () => {
    expect(read(ONE(''), '\n\u{7}').topology.name).toBe('hwloc');
    expect(read(ONE(''), 'x'.repeat(300)).topology.name).toHaveLength(100);
  });

  test.each([
    ['no XML', 'hello', /not XML/],
    ['nothing', '', /not XML/],
    ['an element that is not closed', SMT.replace('</topology>', ''), /^topology: m.xml: line \d+: not XML/],
    ['other XML', '<html><body/></html>', /not what lstopo writes/],
    ['an empty topology', '<topology/>', /not what lstopo writes/],
    ['no PU', '<topology><object type="Machine"/></topology>', /no processing unit/],
    ['too many', ONE('<object type="PU"/>'.repeat(256)), /cpus: Too big/],
    ['nested too deep', ONE('<object>'.repeat(5000) + '</object>'.repeat(5000)), /^topology: m.xml: /],
  ])('is refused in one line: %s', (_, text, message) => {
    expect(() => read(text)).toThrow(message);
    try {
      read(text);
    } catch (error) {
      expect(error).toMatchObject({ name: 'ModelError' });
      expect((error as Error).message).not.toContain('\n');
    }
  });
});
