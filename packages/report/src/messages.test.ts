import { expect, test } from 'vitest';
import { MessageCounts, messagesText } from './messages.ts';

test('a matrix of counts, and a line per kind of message', () => {
  const counts = new MessageCounts();
  counts.add({ from: 'CPU0.cpu', to: 'CPU1.cpu', type: 'ipi' });
  counts.add({ from: 'CPU10.cpu', to: 'CPU0.mmu', type: 'invlpg' });
  counts.add({ from: 'CPU0.cpu', to: 'CPU1.cpu', type: 'ipi' });
  counts.add({ from: 'CPU0.cpu', to: 'CPU0.mmu', type: 'access' });
  expect(messagesText(counts.list)).toBe(
    [
      'from \\ to  CPU0.mmu  CPU1.cpu',
      '---------  --------  --------',
      'CPU0.cpu          1         2',
      'CPU10.cpu         1         -',
      '',
      'from       to        type    count',
      '---------  --------  ------  -----',
      'CPU0.cpu   CPU0.mmu  access      1',
      'CPU0.cpu   CPU1.cpu  ipi         2',
      'CPU10.cpu  CPU0.mmu  invlpg      1',
      '',
    ].join('\n'),
  );
});
