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

describe('a peer without slots', () => {
  it('has no load', () => {
    const h = new TestHome();
    h.tell({ type: 'tracker_up' }, up('a', { slots: 0 }));
    expect(peerRows(h.state)).toMatchObject([{ peer: 'a', slots: 0, load: 0 }]);
  });
});
