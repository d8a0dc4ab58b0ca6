/** Chromium for a test: its own profile, what it complained of, and nothing left of it afterwards. */
import { existsSync, mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { type BrowserContext, chromium, type Page } from 'playwright-core';

const path = [process.env.CHROMIUM, '/usr/bin/chromium', '/usr/bin/chromium-browser', '/usr/bin/google-chrome'].find((each) => each !== undefined && existsSync(each));

/** Where there is none, tests of the page in it are skipped; under CI a skip fails. */
export const hasChromium = path !== undefined;

/** Before any script of the page: what its policy forbade is noted. */
const noteViolations = `
  window.violations = [];
  document.addEventListener('securitypolicyviolation', (event) => window.violations.push(event.violatedDirective + ' ' + event.blockedURI + ' ' + event.sample));
`;

export class TestBrowser {
  readonly context: BrowserContext;
  /** What pages logged as errors, threw, or asked in a dialog. */
  readonly complaints: string[] = [];
  readonly #profile: string;

  private constructor(context: BrowserContext, profile: string) {
    this.context = context;
    this.#profile = profile;
  }

  static async start(): Promise<TestBrowser> {
    const profile = mkdtempSync(join(tmpdir(), 'potluck-chromium-'));
    const args = ['--no-sandbox', '--disable-gpu', '--disable-quic', '--no-first-run', '--disable-background-networking', '--disable-component-update', '--disable-sync'];
    const context = await chromium.launchPersistentContext(profile, { executablePath: path!, args, viewport: { width: 1280, height: 900 }, ignoreHTTPSErrors: true });
    // Less than a test's own time, so that the step that failed is named.
    context.setDefaultTimeout(20_000);
    await context.addInitScript(noteViolations);
    const browser = new TestBrowser(context, profile);
    context.on('console', (message) => {
      // A login that has ended and a peer that is away are told by the page itself.
      if (message.type() === 'error' && !/Failed to load resource|ERR_CONNECTION/.test(message.text())) browser.complaints.push(`${message.text()} (${message.location().url}:${message.location().lineNumber})`);
    });
    context.on('weberror', (error) => browser.complaints.push(String(error.error())));
    context.on('dialog', (dialog) => {
      browser.complaints.push(`dialog: ${dialog.message()}`);
      void dialog.dismiss();
    });
    return browser;
  }

  async open(url: string): Promise<Page> {
    const page = await this.context.newPage();
    await page.goto(url);
    return page;
  }

  /** What the policy forbade in this page since it was loaded. */
  violations(page: Page): Promise<string[]> {
    return page.evaluate<string[]>('window.violations');
  }

  async stop(): Promise<void> {
    await this.context.close();
    rmSync(this.#profile, { recursive: true, force: true, maxRetries: 5 });
  }
}
