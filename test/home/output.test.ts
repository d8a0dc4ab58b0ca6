/** What a home makes of the output of attempts, and whom it tells. */
import { describe, expect, it } from 'vitest';
import { limits } from '../../src/limits.ts';
import type { OutputNews } from '../../src/home/home-events.ts';
import { OutputFeed } from '../../src/home/output-feed.ts';
import { StreamEnds } from '../../src/lib/stream-ends.ts';
import type { AttemptRef, MessageOf } from '../../src/wire/messages.ts';
import { type Decided, ended, linked, submitted, TestHome, theAttempt } from '../helpers/home.ts';

const text = (bytes: Uint8Array | undefined): string => Buffer.from(bytes ?? []).toString();
const newsIn = ({ after }: Decided) => after.filter((effect) => effect.to === 'output').map(({ client, news }) => ({ client, ...news, text: news.source.from(0).map(({ data }) => text(data)).join('') }));
const refOf = ({ id, attempt, key }: AttemptRef): AttemptRef => ({ id, attempt, key });
const printed = (of: AttemptRef, offset: number | undefined, data: string) => ({ type: 'attempt_output', peer: 'a', ref: refOf(of), stream: 'stdout', ...(offset === undefined ? {} : { offset }), data: Buffer.from(data) }) as const;

describe('output at its home', () => {
  it('is news to a follower as it comes, and to one that follows later from the start', () => {
    const h = new TestHome().withRunners({ a: 1 });
    const attempt = theAttempt(h.tell(submitted('t', {}, { follow: true })));
    expect(newsIn(h.tell(printed(attempt, 0, 'one ')))).toMatchObject([{ id: 't', attempt: 1, peer: 'a', text: 'one ', again: false }]);
    h.tell(printed(attempt, 4, 'two'));
    expect(newsIn(h.tell({ type: 'watched', by: 'k', client: 2, id: 't', follow: true }))).toMatchObject([{ client: 2, text: 'one two', again: true }]);
    expect(newsIn(h.tell({ type: 'watched', by: 'k', client: 3, id: 't', follow: false }))).toEqual([]);
  });

  it('of an attempt that does not count is dropped', () => {
    const h = new TestHome().withRunners({ a: 1 });
    const attempt = theAttempt(h.tell(submitted('t', {}, { follow: true })));
    expect(h.tell(printed({ ...refOf(attempt), key: 'f'.repeat(16) }, 0, 'x')).after).toEqual([]);
  });

  it('that comes again on a new link is in the record once', () => {
    const h = new TestHome().withRunners({ a: 1 });
    const attempt = theAttempt(h.tell(submitted('t')));
    h.tell(printed(attempt, 0, 'one '), printed(attempt, 4, 'two '));
    h.tell({ type: 'runner_unlinked', peer: 'a' }, linked('a', [{ ...refOf(attempt), ended: false }]));
    h.tell(printed(attempt, 0, 'one two three'));
    h.tell(ended(attempt));
    expect(text(h.state.recent.get('t')?.ended.stdout?.head)).toBe('one two three');
  });

  it('comes whole to a home that was started again', () => {
    const before = new TestHome().withRunners({ a: 1 });
    const attempt = theAttempt(before.tell(submitted('t')));
    before.tell(printed(attempt, 0, 'one '));
    const after = new TestHome({ records: before.records, ms: before.ms });
    after.tell({ type: 'started' });
    after.withRunners({});
    after.tell(linked('a', [{ ...refOf(attempt), ended: true }]), printed(attempt, 0, 'one two'), ended(attempt));
    expect(text(after.state.recent.get('t')?.ended.stdout?.head)).toBe('one two');
  });

  it('of a runner that says no offsets is taken in order', () => {
    const h = new TestHome().withRunners({ a: 1 });
    const attempt = theAttempt(h.tell(submitted('t')));
    h.tell(printed(attempt, undefined, 'one '), printed(attempt, undefined, 'two'), ended(attempt));
    expect(text(h.state.recent.get('t')?.ended.stdout?.head)).toBe('one two');
  });

  it('of a task that ended while its follower was away is told before the outcome', () => {
    const h = new TestHome().withRunners({ a: 1 });
    const attempt = theAttempt(h.tell(submitted('t')));
    h.tell(printed(attempt, 0, 'last words'), ended(attempt));
    const decided = h.tell({ type: 'watched', by: 'k', client: 5, id: 't', follow: true });
    expect(newsIn(decided)).toMatchObject([{ client: 5, text: 'last words' }]);
    expect(decided.after.at(-1)).toMatchObject({ to: 'client', message: { kind: 'outcome' } });
  });
});

/** A link that holds what was sent until the test lets it go. */
class HeldLink {
  backlogBytes = 0;
  readonly sent: MessageOf<'output'>[] = [];

  send(message: MessageOf<'output'>): void {
    this.backlogBytes += message.data.length;
    this.sent.push(message);
  }
}

function following() {
  const link = new HeldLink();
  const feed = new OutputFeed(link);
  const newSource = () => new StreamEnds({ headBytes: limits.outputHeadBytes, tailBytes: limits.outputTailBytes, windowBytes: 512 * 1024 });
  const source = newSource();
  const news = (more: Partial<OutputNews> = {}): OutputNews => ({ id: 't', attempt: 1, peer: 'a', stream: 'stdout', source, again: false, ...more });
  const print = (size: number) => {
    source.add(new Uint8Array(size));
    feed.tell(news());
  };
  return { link, feed, source, news, newSource, print };
}

describe('what a follower is told', () => {
  it('is everything, once, while its link takes it', () => {
    const { link, print } = following();
    let at = 0;
    for (let n = 0; n < 200; n++) {
      print(50_000);
      link.backlogBytes = 0;
    }
    for (const { offset, data } of link.sent) {
      expect(offset).toBe(at);
      at += data.length;
    }
    expect(at).toBe(10_000_000);
  });

  it('is no more than its link takes, then a gap, then the end', () => {
    const { link, feed, source, print } = following();
    for (let n = 0; n < 200; n++) print(50_000);
    expect(link.backlogBytes).toBeLessThan(limits.linkBacklogBytes + limits.inlineBytesMax);
    const before = link.sent.length;
    link.backlogBytes = 0;
    feed.drained();
    const [first] = link.sent.slice(before);
    expect(first!.offset).toBeGreaterThan(limits.linkBacklogBytes);
    feed.end('t');
    const last = link.sent.at(-1)!;
    expect(last.offset! + last.data.length).toBe(source.size);
  });

  it('ends with the last words though the link is full, and with their number when it is much too full', () => {
    const { link, feed, source, print } = following();
    for (let n = 0; n < 100; n++) print(50_000);
    const held = link.sent.length;
    feed.end('t');
    expect(link.sent.slice(held).map(({ offset, data }) => [offset, data.length])).toEqual([[source.size - limits.outputTailBytes, limits.outputTailBytes]]);
    const other = following();
    other.link.backlogBytes = 100 * limits.linkBacklogBytes;
    other.print(50_000);
    other.feed.end('t');
    expect(other.link.sent.map(({ offset, data }) => [offset, data.length])).toEqual([[50_000, 0]]);
  });

  it('of the next attempt begins at its beginning', () => {
    const { link, feed, news, newSource, print } = following();
    print(10);
    const next = newSource();
    next.add(Buffer.from('again'));
    feed.tell(news({ attempt: 2, source: next }));
    expect(link.sent.map(({ attempt, offset, data }) => [attempt, offset, data.length])).toEqual([[1, 0, 10], [2, 0, 5]]);
  });

  it('comes from the beginning for who asks again, and not at all for who does not want it any more', () => {
    const { link, feed, news, print } = following();
    print(10);
    feed.tell(news({ again: true }));
    expect(link.sent.map(({ offset }) => offset)).toEqual([0, 0]);
    feed.forget('t');
    feed.end('t');
    expect(link.sent).toHaveLength(2);
  });
});
