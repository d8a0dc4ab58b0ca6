/** The page as a person uses it: Chromium, real peers, real tasks. */
import { source as axeSource } from 'axe-core';
import type { Page } from 'playwright-core';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import type { Pool } from '../../src/sdk/index.ts';
import { TestPool } from '../e2e/pool.ts';
import { freePorts } from '../e2e/processes.ts';
import { until } from '../e2e/until.ts';
import { hasChromium, TestBrowser } from './browser.ts';
import { hostile } from './hostile.ts';

describe.skipIf(!hasChromium)('in Chromium', () => {
  let pool: TestPool;
  let client: Pool;
  let browser: TestBrowser;
  let page: Page;
  let address: string;
  beforeAll(async () => {
    const ports = await freePorts(3);
    pool = await TestPool.start({ peers: 3, slots: 1, peerArgs: (at) => ['--web-ui', '--web-port', String(ports[at])] });
    client = await pool.client();
    browser = await TestBrowser.start();
    address = `http://127.0.0.1:${ports[0]}/`;
  }, 60_000);
  afterAll(async () => {
    await browser?.stop();
    await pool?.stop();
  });

  const link = async (): Promise<string> => (await pool.cli(['page', '--no-open', '--quiet'])).stdout.trim();
  const go = async (hash: string, ready: string): Promise<void> => {
    await page.goto(`${address}${hash}`);
    await page.locator(ready).first().waitFor();
  };
  const text = (selector: string): Promise<string> => page.locator(selector).first().innerText();

  it('without a login says what to type; a link logs in once, and its code does not stay in the address', async () => {
    const code = await link();
    page = await browser.open(address);
    await page.getByText('potluck page', { exact: true }).first().waitFor();
    expect(await page.locator('body').innerText()).not.toContain('p0');
    await page.goto(code);
    await page.reload();
    await page.locator('.cells').first().waitFor();
    expect(page.url()).toBe(address);
    const other = await browser.open(code);
    await other.getByText('this login link does not count any more').waitFor();
    await other.close();
  });

  it('the overview says the pool in one sentence, and shows each peer', async () => {
    expect(await text('.sentence')).toMatch(/^3 peers, 0 of 3 slots busy, nothing waits here\.$/);
    expect(await page.locator('tbody tr th').allInnerTexts()).toEqual(expect.arrayContaining([expect.stringContaining('p0'), expect.stringContaining('p1'), expect.stringContaining('p2')]));
  });

  it('a function is submitted; its result is shown digit by digit, with the peer and why', async () => {
    await go('#/submit', '.cm-content');
    await page.locator('.cm-content').click();
    await page.keyboard.press('Control+A');
    await page.keyboard.insertText('def main(x):\n    print("computing")\n    return x + 1');
    await page.getByLabel('Arguments, a JSON list').fill('[3544790567247868102, ]');
    await page.getByText(/line 1, column \d+/).waitFor();
    expect(await page.getByRole('button', { name: 'Run it' }).isDisabled()).toBe(true);
    await page.getByLabel('Arguments, a JSON list').fill('[3544790567247868102]');
    await page.getByRole('button', { name: 'Run it' }).click();
    await page.getByText('✓').first().waitFor();
    await page.locator('pre[aria-label="Result"]').getByText('3544790567247868103').waitFor();
    await page.locator('.out').getByText('computing').waitFor();
    expect(await text('section[aria-label="Why this peer"]')).toMatch(/Why p\d/);
  });

  it('three at once run on three peers, seen in the list; one is cancelled from its page', async () => {
    const program = 'import time\ndef nap(seconds): time.sleep(seconds)';
    for (let at = 0; at < 3; at += 1) await client.submit({ language: 'python', program, function: 'nap', args: [120], id: `nap-${at}` }).accepted;
    // Rows do not change under the pointer.
    await page.mouse.move(0, 0);
    await go('#/tasks?state=running', '.trow a');
    await until('three peers run one each', async () => new Set((await page.locator('.trow:not(.head) .c-peer').allInnerTexts()).filter((peer) => peer !== '–')).size === 3);
    await page.getByRole('link', { name: 'nap-1' }).click();
    await page.getByRole('button', { name: 'Cancel …' }).click();
    await page.getByRole('button', { name: 'Cancel it' }).click();
    await page.locator('h1 .state', { hasText: 'cancelled' }).waitFor();
    expect(await page.title()).toMatch(/^○ nap · p\d$/);
    await page.goBack();
    await page.locator('.trow a').first().waitFor();
    expect(page.url()).toContain('state=running');
  });

  it('one that waits says live why, and that is gone when it is placed', async () => {
    await client.submit({ language: 'python', program: 'import time\ndef nap(seconds): time.sleep(seconds)', function: 'nap', args: [120], id: 'nap-3' }).accepted;
    await client.submit({ language: 'python', program: 'def main(): return 1', id: 'patient' }).accepted;
    await go('#/tasks/patient', 'section[aria-label="Why it waits"]');
    expect(await text('section[aria-label="Why it waits"]')).toContain('3 peers busy now');
    expect(await page.locator('.tone-fail').count()).toBe(0);
    await client.watch('nap-0').cancel();
    await page.locator('h1 .state', { hasText: 'done' }).waitFor();
    expect(await page.locator('section[aria-label="Why it waits"]').count()).toBe(0);
  });

  it('a failing one shows its traceback, and the overview groups it', async () => {
    await client.submit({ language: 'python', program: 'def check(n):\n    raise KeyError(f"no {n}")', function: 'check', args: [7], id: 'wrong' }).outcome();
    await go('#/tasks/wrong', 'section[aria-label="Error"]');
    expect(await text('section[aria-label="Error"] pre')).toContain('raise KeyError(f"no {n}")');
    await go('#/', '.sentence');
    await page.locator('tr', { hasText: 'KeyError' }).getByRole('link', { name: 'check' }).click();
    await page.locator('.trow a', { hasText: 'wrong' }).waitFor();
  });

  it('output that comes is followed, with its colours; a progress bar is one line', async () => {
    const program = 'import sys, time\ndef main():\n  for n in range(101):\n    sys.stdout.write(f"\\r{n} %"); sys.stdout.flush(); time.sleep(0.005)\n  print("\\n\\x1b[31mred\\x1b[0m \\x1b]0;title\\x07plain")\n  time.sleep(60)';
    await client.submit({ language: 'python', program, id: 'bar' }).accepted;
    await go('#/tasks/bar', '.out .c1');
    await until('the bar is full', async () => (await page.locator('.out .l').allInnerTexts()).map((line) => line.replace(/^\d+\s*/, '')).join('|') === '100 %|red plain');
    await client.watch('bar').cancel();
  });

  it('eight tabs share one stream', async () => {
    let streams = 0;
    const count = (request: { url(): string }) => {
      if (request.url().endsWith('/api/v1/events')) streams += 1;
    };
    browser.context.on('request', count);
    const tabs = await Promise.all(Array.from({ length: 7 }, () => browser.open(address)));
    for (const tab of tabs) await tab.locator('.cells').first().waitFor();
    const before = await client.status();
    expect(before.slots).toBe(1);
    await client.submit({ language: 'python', program: 'def main(): raise RuntimeError("seen everywhere")' }).outcome();
    for (const tab of tabs) await tab.getByText('seen everywhere').first().waitFor();
    expect(streams).toBe(0);
    browser.context.off('request', count);
    await Promise.all(tabs.map((tab) => tab.close()));
  });

  it.each(['light', 'dark'] as const)('axe finds nothing on any page, %s', { timeout: 120_000 }, async (colorScheme) => {
    await page.emulateMedia({ colorScheme });
    const views: [string, string][] = [
      ['#/', '.uplot'],
      ['#/tasks', '.trow a'],
      ['#/tasks/wrong', 'section[aria-label="Error"]'],
      ['#/tasks/bar', '.out .l'],
      ['#/submit', '.cm-content'],
      ['#/processes', 'h1'],
      ['#/pool', 'td.mono'],
      ['#/access', 'td.mono'],
      ['#/nowhere', 'h1'],
    ];
    const found: string[] = [];
    const complaints = [...browser.complaints];
    for (const [hash, ready] of views) {
      await go(hash, ready);
      await page.evaluate(axeSource);
      const result = await page.evaluate<{ violations: { id: string; nodes: { html: string; failureSummary: string }[] }[] }>('axe.run({ resultTypes: ["violations"] })');
      for (const { id, nodes } of result.violations) found.push(...nodes.map(({ html, failureSummary }) => `${hash} ${id}: ${html.slice(0, 200)} ${failureSummary.slice(0, 300)}`));
    }
    // What it does itself, with styles for example, is no fault of the page.
    await page.goto('about:blank');
    await page.waitForTimeout(200);
    browser.complaints.splice(0, Infinity, ...complaints);
    await page.emulateMedia({ colorScheme: 'light' });
    expect(found).toEqual([]);
  });

  it('at 360 px nothing is wider than the screen', async () => {
    await page.setViewportSize({ width: 360, height: 780 });
    for (const [hash, ready] of [['#/', '.cells'], ['#/tasks', '.trow a'], ['#/tasks/wrong', 'section[aria-label="Error"]'], ['#/submit', '.cm-content'], ['#/processes', 'h1'], ['#/pool', 'td.mono'], ['#/access', 'td.mono']] as const) {
      await go(hash, ready);
      expect([hash, await page.evaluate<number>('document.documentElement.scrollWidth')]).toEqual([hash, 360]);
    }
    await page.setViewportSize({ width: 1280, height: 900 });
  });

  it('a thousand hostile strings run nothing and are reported nowhere', { timeout: 180_000 }, async () => {
    const strings = hostile(1_000);
    expect(new Set(strings).size).toBe(1_000);
    const program = 'def main(lines):\n  import sys\n  for line in lines:\n    print(line)\n    print(line, file=sys.stderr)\n  return lines';
    await client.submit({ language: 'python', program, args: [strings], id: 'hostile' }).outcome();
    for (const [at, line] of strings.slice(0, 60).entries()) {
      await client.submit({ language: 'python', program: `# ${line.replaceAll(/[\r\n]/g, ' ')}\ndef main(line):\n  raise type(line[:80] or "E", (Exception,), {})(line)`, args: [line], id: `hostile-${at}` }).outcome();
      await client.submit({ language: 'python', program: 'pass', function: line.slice(0, 200) || 'x', id: `named-${at}` }).outcome();
    }
    for (const [hash, ready] of [['#/tasks/hostile', '.out .l'], ['#/', '.sentence'], ['#/tasks', '.trow a'], ['#/submit?from=hostile', '.cm-content']] as const) {
      await go(hash, ready);
      await page.waitForTimeout(500);
      expect([hash, await browser.violations(page), await page.evaluate('typeof window.pwned')]).toEqual([hash, [], 'undefined']);
    }
    expect(await page.locator('body').innerText()).not.toBe('');
    for (let at = 0; at < 60; at += 10) {
      for (const id of [`hostile-${at}`, `named-${at}`]) {
        await go(`#/tasks/${id}`, 'section[aria-label="Error"]');
        expect([id, await browser.violations(page), await page.evaluate('typeof window.pwned')]).toEqual([id, [], 'undefined']);
      }
    }
    for (const line of strings.slice(0, 50)) {
      await page.goto(`${address}#/tasks?${new URLSearchParams({ text: line.slice(0, 150) })}`);
      await page.goto(`${address}#/tasks/${encodeURIComponent(line.slice(0, 100))}`);
      await page.goto(`${address}#/${line.slice(0, 100)}`);
    }
    expect([await browser.violations(page), await page.evaluate('typeof window.pwned')]).toEqual([[], 'undefined']);
    expect(browser.complaints).toEqual([]);
  });

  it('an invitation is made, its command shown once, and ended', async () => {
    await go('#/pool', 'td.mono');
    await page.getByRole('button', { name: 'Invite' }).click();
    expect(await text('pre[aria-label="Command that joins"]')).toMatch(/^potluck join pl1-/);
    await page.getByRole('button', { name: /^End …/ }).first().click();
    await page.getByRole('button', { name: 'End it' }).click();
    await page.locator('td', { hasText: 'revoked' }).first().waitFor();
  });

  it('a peer that dies stays, as lost, and its task moves to another', async () => {
    for (const id of ['nap-2', 'nap-3']) await client.watch(id).cancel();
    await client.submit({ language: 'python', program: 'import time\ndef main(): time.sleep(4); return "moved"', id: 'mover', args: [] }).accepted;
    const where = await until('it runs elsewhere', async () => {
      const { peer, state } = await client.task('mover');
      return state === 'running' && peer !== null && peer !== 'p0' ? peer : state === 'running' && peer === 'p0' ? 'p0' : undefined;
    });
    const victim = pool.peers.find(({ name }) => name === (where === 'p0' ? 'p1' : where))!;
    await go('#/', '.cells');
    await victim.kill('SIGKILL');
    await page.locator('tr.gone', { hasText: victim.name }).getByText('lost').waitFor();
    expect(await page.locator('tr.gone', { hasText: victim.name }).getByRole('link', { name: 'open' }).count()).toBe(0);
    await go('#/tasks/mover', 'h1');
    await page.locator('h1 .state', { hasText: 'done' }).waitFor({ timeout: 30_000 });
    if (where !== 'p0') expect(await text('section[aria-label="Time line"]')).toMatch(/attempt 1.*lost[^]*attempt 2/);
    await victim.restart();
  });

  it('a peer that does not answer is said to be silent, never to be without peers; and when it is back, so is the page', async () => {
    await go('#/', '.cells');
    pool.peers[0]!.kill('SIGSTOP');
    await page.getByText(/The peer is not answering; last heard \d+ s ago/).waitFor({ timeout: 15_000 });
    expect(await page.locator('tbody tr th').count()).toBeGreaterThan(2);
    pool.peers[0]!.kill('SIGCONT');
    await page.getByText('The peer is not answering').waitFor({ state: 'detached', timeout: 15_000 });
  });

  it('log out ends the session in every tab', async () => {
    const other = await browser.open(address);
    await other.locator('.cells').first().waitFor();
    await page.getByRole('button', { name: 'log out' }).click();
    await page.getByText('You are not logged in').waitFor();
    await other.getByText('You are not logged in').waitFor();
    expect(await page.evaluate('localStorage.getItem("potluck-token")')).toBeNull();
    expect(browser.complaints).toEqual([]);
  });
});
