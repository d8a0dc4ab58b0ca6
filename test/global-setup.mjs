/** Tests that start whole processes run what is built, so what is built must be the sources as they are. */
import { ensureBuilt } from '../scripts/ensure.mjs';

export default function setup() {
  ensureBuilt();
}
