/** The page over HTTPS in Chromium: a login link that begins in plain, and nothing that the policy minds. */
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { TestPool } from '../e2e/pool.ts';
import { freePorts } from '../e2e/processes.ts';
import { hasChromium, TestBrowser } from './browser.ts';

describe.skipIf(!hasChromium)('in Chromium', () => {
  let pool: TestPool;
  let browser: TestBrowser;
  let port: number;
  beforeAll(async () => {
    [port] = (await freePorts(1)) as [number];
    pool = await TestPool.start({ peers: 1, slots: 1, peerArgs: ['--web-ui', '--web-host', '0.0.0.0', '--web-port', String(port)] });
    browser = await TestBrowser.start();
  }, 60_000);
  afterAll(async () => {
    await browser?.stop();
    await pool?.stop();
  });

  it('a link that was typed with http is led over with its code, logs in, and the page lives', async () => {
    const { link } = JSON.parse((await pool.cli(['page', '--json'])).stdout) as { link: string };
    const page = await browser.open(`http://127.0.0.1:${port}/#k=${link.split('#k=')[1]}`);
    await page.locator('.cells').first().waitFor();
    expect(page.url()).toBe(`https://127.0.0.1:${port}/`);
    const client = await pool.client();
    await client.submit({ language: 'python', program: 'def main(): raise OSError("told over TLS")' }).outcome();
    await page.getByText('told over TLS').first().waitFor();
    expect([await browser.violations(page), browser.complaints]).toEqual([[], []]);
  });
});
