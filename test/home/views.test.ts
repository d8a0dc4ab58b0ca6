/** Documents that people and programs read. */
import { describe, expect, it } from 'vitest';
import { endedTask, peerRows } from '../../src/home/views.ts';
import { ended, submitted, TestHome, theAttempt, up } from '../helpers/home.ts';

describe('a task that failed', () => {
  it('has a hint, if only null', () => {
    const h = new TestHome().withRunners({ a: 1 });
    h.tell(ended(theAttempt(h.tell(submitted('t'))), { outcome: 'failed', error: { code: 'exception', message: 'no', type: 'E' } }));
    expect(JSON.parse(endedTask(h.state.recent.get('t')!, undefined).toString())).toMatchObject({ state: 'failed', error: { code: 'exception', message: 'no', hint: null, type: 'E' } });
  });
});

describe('a peer of several addresses', () => {
  it('is shown with one at which it can be reached from here', () => {
    const h = new TestHome();
    const addresses = [{ host: '127.0.0.1', port: 9000 }, { host: '192.0.2.7', port: 9000 }];
    h.tell({ type: 'tracker_up' }, up('a', { addresses, machine: { boot: 'here', net: 'n' } }));
    const hostFrom = (boot: string, net: string) => peerRows(h.state, { boot, net })[0]?.host;
    expect(hostFrom('here', 'n')).toBe('127.0.0.1');
    expect(hostFrom('here', 'another')).toBe('192.0.2.7');
    expect(hostFrom('there', 'n')).toBe('192.0.2.7');
  });

  it('is shown with what it takes, and why no more', () => {
    const h = new TestHome();
    h.tell({ type: 'tracker_up' }, up('a', { accepts: 'members' }), up('b', { accepts: 'own', withheld: 'isolation' }), up('c'));
    expect(peerRows(h.state, { boot: '', net: '' }).map(({ accepts, withheld }) => [accepts, withheld])).toEqual([['members', undefined], ['own', 'isolation'], ['own', undefined]]);
  });
});

describe('a peer without slots', () => {
  it('has no load', () => {
    const h = new TestHome();
    h.tell({ type: 'tracker_up' }, up('a', { slots: 0 }));
    expect(peerRows(h.state, { boot: 'here', net: '' })).toMatchObject([{ peer: 'a', slots: 0, load: 0 }]);
  });
});
