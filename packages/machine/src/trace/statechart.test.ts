import { setup } from 'xstate';
import { expect, it } from 'vitest';
import { statechart } from './statechart.ts';

it('says what every state takes in a note that Mermaid parses: a colon in a note of one line ends its name', () => {
  const machine = setup({}).createMachine({
    initial: 'on',
    states: { on: { on: { stop: 'off' } }, off: {} },
    on: { kick: {}, reset: '.on' },
  });
  expect(statechart(machine)).toBe(
    [
      'stateDiagram-v2',
      '  [*] --> on',
      '  on --> off: stop',
      '  note right of on',
      '    in every state: kick, reset: to on',
      '  end note',
      '',
    ].join('\n'),
  );
});

it('draws an arrow from a state into one below it', () => {
  const machine = setup({}).createMachine({
    initial: 'walking',
    states: { walking: { initial: 'opened', on: { walk: '.reading' }, states: { opened: {}, reading: {} } } },
  });
  expect(statechart(machine).split('\n')).toContain('  walking --> walking_reading: walk');
});
