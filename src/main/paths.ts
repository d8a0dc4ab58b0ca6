/**
 * Where the built program's parts lie: next to the file that runs, in dist/.
 * The sources run from dist/ only; tests that start whole processes build first.
 */
import { fileURLToPath } from 'node:url';

export const indexWorkerUrl = new URL('index-worker.js', import.meta.url);
export const guestsFolder = fileURLToPath(new URL('guests/', import.meta.url));
export const webFolder = fileURLToPath(new URL('web/', import.meta.url));
