/**
 * The built files of the page, read once and kept in memory: some hundred KiB.
 *
 * Invariant: only what was there at the start is served, under exactly its name; a path is never opened.
 */
import { readdirSync, readFileSync } from 'node:fs';
import { extname, join } from 'node:path';
import { gzipSync } from 'node:zlib';
import { causeText, PotluckError } from '../errors.ts';

interface Asset {
  bytes: Uint8Array<ArrayBuffer>;
  gzip: Uint8Array<ArrayBuffer>;
  type: string;
  /** Its name changes with its content. */
  hashed: boolean;
}

const types: Readonly<Record<string, string>> = {
  '.html': 'text/html; charset=utf-8',
  '.js': 'text/javascript; charset=utf-8',
  '.css': 'text/css; charset=utf-8',
  '.svg': 'image/svg+xml',
};

export class Assets {
  readonly #files: ReadonlyMap<string, Asset>;

  constructor(files: ReadonlyMap<string, Asset>) {
    this.#files = files;
  }

  /** @throws PotluckError `not_built` */
  static read(folder: string): Assets {
    const files = new Map<string, Asset>();
    try {
      for (const name of readdirSync(folder, { recursive: true, encoding: 'utf8' })) {
        const type = types[extname(name)];
        if (type === undefined) continue;
        const bytes = new Uint8Array(readFileSync(join(folder, name)));
        const path = name === 'index.html' ? '/' : `/${name.replaceAll('\\', '/')}`;
        files.set(path, { bytes, gzip: new Uint8Array(gzipSync(bytes)), type, hashed: path.startsWith('/assets/') });
      }
    } catch (error) {
      throw new PotluckError('not_built', 'the page was not built', { why: causeText(error), fix: 'npm run build', cause: error });
    }
    return new Assets(files);
  }

  answer(path: string, acceptEncoding: string): Response | undefined {
    const asset = this.#files.get(path);
    if (asset === undefined) return undefined;
    const zipped = /\bgzip\b/.test(acceptEncoding);
    const answer = new Response(zipped ? asset.gzip : asset.bytes, { headers: { 'Content-Type': asset.type, Vary: 'Accept-Encoding' } });
    if (zipped) answer.headers.set('Content-Encoding', 'gzip');
    if (asset.hashed) answer.headers.set('Cache-Control', 'private, max-age=31536000, immutable');
    return answer;
  }
}
