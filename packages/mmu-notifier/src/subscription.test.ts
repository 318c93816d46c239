import { createActor } from '@shootdown/machine';
import { describe, expect, it } from 'vitest';
import { deviceMachine, type DeviceEvent } from './device.machine.ts';
import { invalidationMachine, type InvalidationEvent } from './invalidation.machine.ts';
import { subscriptionMachine, type SubscriptionEvent } from './subscription.machine.ts';

type Name = SubscriptionEvent['type'];

/** A subscription after some calls: where it stands, and the rules that were broken on the way. */
function after(...calls: readonly Name[]) {
  const actor = createActor(subscriptionMachine, { input: { registered: true, changePteNeedsBracket: true } });
  const rules: string[] = [];
  actor.on('breach', ({ rule }) => rules.push(rule));
  actor.start();
  for (const type of calls) actor.send({ type });
  const { value, context } = actor.getSnapshot();
  return { value, open: context.open, rules, accepts: (type: Name): boolean => actor.getSnapshot().can({ type }) };
}

describe('a subscription', () => {
  it('counts brackets, which may overlap', () => {
    expect(after('invalidate_range_start', 'invalidate_range_start', 'invalidate_range_end')).toMatchObject({
      open: 1,
      rules: [],
    });
  });

  it('reports an end without a start', () => {
    expect(after('invalidate_range_end').rules).toEqual([
      'invalidate_range_end() comes once for every invalidate_range_start()',
    ]);
  });

  it('reports change_pte() outside of a bracket, and not inside', () => {
    expect(after('change_pte').rules).toHaveLength(1);
    expect(after('invalidate_range_start', 'change_pte').rules).toEqual([]);
  });

  it('takes change_pte() anywhere if the kernel is older than v3.7', () => {
    const actor = createActor(subscriptionMachine, { input: { registered: true, changePteNeedsBracket: false } });
    const emitted: string[] = [];
    actor.on('*', ({ type }) => emitted.push(type));
    actor.start();
    actor.send({ type: 'change_pte' });
    expect(emitted).toEqual(['called']);
  });

  it('is told of everything while release() runs, and of nothing before it is registered and after it is off the list', () => {
    expect(after('release').accepts('invalidate_range_start')).toBe(true);
    expect(after('mmu_notifier_unregister').accepts('invalidate_range_start')).toBe(false);
    expect(after('hlist_del_init_rcu').accepts('invalidate_range_start')).toBe(false);
    expect(after('mmu_notifier_unregister', 'mmu_notifier_register').accepts('invalidate_range_start')).toBe(true);
  });
});

describe('the invalidations of a table', () => {
  const under_way = (...events: readonly InvalidationEvent[]) => {
    const actor = createActor(invalidationMachine);
    actor.start();
    for (const event of events) actor.send(event);
    return actor.getSnapshot();
  };
  const begin = (start: number, end: number): InvalidationEvent => ({ type: 'begin', start, end });

  it('cover a range that only grows until the last one has ended', () => {
    expect(under_way(begin(4, 6)).context).toMatchObject({ in_progress: 1, start: 4, end: 6 });
    expect(under_way(begin(4, 6), begin(1, 2)).context).toMatchObject({ in_progress: 2, start: 1, end: 6 });
    expect(under_way(begin(4, 6), begin(1, 2), { type: 'end' }).context).toMatchObject({
      in_progress: 1,
      start: 1,
      end: 6,
    });
  });

  it('begin anew when none is under way', () => {
    expect(under_way(begin(4, 6), { type: 'end' }, begin(8, 9)).context).toMatchObject({
      in_progress: 1,
      start: 8,
      end: 9,
    });
  });

  it('cannot end more often than they have begun', () => {
    expect(under_way(begin(4, 6), { type: 'end' }).can({ type: 'end' })).toBe(false);
  });
});

describe('a device', () => {
  const at = (...types: readonly DeviceEvent['type'][]) => {
    const actor = createActor(deviceMachine);
    actor.start();
    for (const type of types) actor.send({ type });
    return actor.getSnapshot();
  };

  it('has one page request at a time', () => {
    expect(at('page_request').can({ type: 'page_request' })).toBe(false);
    expect(at('page_request', 'page_response').value).toBe('running');
  });

  it('stays stopped, also if a page comes in late', () => {
    expect(at('page_request', 'stop').can({ type: 'page_response' })).toBe(false);
    expect(at('stop').can({ type: 'page_request' })).toBe(false);
  });
});
