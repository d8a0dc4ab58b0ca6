/**
 * Questions to a home and their answers.
 *
 * Owns: matching of answers to questions. A question is a read, so after a lost link it is asked again;
 * but who asks wants to know now: if the link does not come back soon, the question fails.
 */
import { PotluckError, causeText } from '../errors.ts';
import { limits } from '../limits.ts';
import type { Connection } from '../wire/connection.ts';
import { ContentError } from '../wire/content.ts';
import type { MessageOf } from '../wire/messages.ts';
import { errorOf } from './outcome.ts';

export type Question = Omit<MessageOf<'ask'>, 'kind' | 'ask'>;

interface Asked {
  message: MessageOf<'ask'>;
  resolve: (text: string) => void;
  reject: (error: unknown) => void;
}

const utf8 = new TextDecoder('utf-8', { fatal: true, ignoreBOM: true });

export class Questions {
  readonly #asked = new Map<number, Asked>();
  #last = 0;
  #patience: ReturnType<typeof setTimeout> | undefined;

  /** The answer as JSON text. @throws PotluckError */
  ask(question: Question, connection: Connection | undefined): Promise<string> {
    this.#last += 1;
    const message: MessageOf<'ask'> = { ...question, kind: 'ask', ask: this.#last };
    return new Promise((resolve, reject) => {
      this.#asked.set(message.ask, { message, resolve, reject });
      if (connection === undefined) this.linkDown();
      else connection.send(message);
    });
  }

  linkUp(connection: Connection): void {
    clearTimeout(this.#patience);
    for (const { message } of this.#asked.values()) connection.send(message);
  }

  linkDown(): void {
    clearTimeout(this.#patience);
    this.#patience = setTimeout(() => {
      this.failAll(new PotluckError('link_lost', 'the peer did not answer', { why: `the link to it has been lost for ${limits.silenceMs / 1000} s`, fix: 'is the peer still running? potluck peers, asked of another one, shows it' }));
    }, limits.silenceMs);
    this.#patience.unref();
  }

  answered({ ask, json, error }: MessageOf<'answer'>, connection: Connection): void {
    const asked = this.#asked.get(ask);
    if (asked === undefined) return;
    if (json === undefined) {
      this.#asked.delete(ask);
      asked.reject(error === undefined ? new PotluckError('internal', 'the peer answered nothing') : errorOf(error));
    } else if (json instanceof Uint8Array) {
      this.#take(asked, json);
    } else {
      fetchContent(connection, json.hash).then(
        (bytes) => bytes !== undefined && this.#take(asked, bytes),
        (cause: unknown) => {
          this.#asked.delete(ask);
          asked.reject(cause);
        },
      );
    }
  }

  failAll(error: PotluckError): void {
    clearTimeout(this.#patience);
    for (const { reject } of this.#asked.values()) reject(error);
    this.#asked.clear();
  }

  #take(asked: Asked, bytes: Uint8Array): void {
    this.#asked.delete(asked.message.ask);
    asked.resolve(utf8.decode(bytes));
  }
}

/**
 * What an answer or outcome refers to; undefined if the link ended meanwhile: whoever wanted it is told again on the next one.
 * @throws PotluckError
 */
export async function fetchContent(connection: Connection, hash: string): Promise<Uint8Array | undefined> {
  try {
    return await connection.fetch(hash, limits.valueBytesMax);
  } catch (cause) {
    if (cause instanceof ContentError && cause.reason === 'closed') return undefined;
    throw new PotluckError('internal', 'the peer did not hand over what it holds', { why: causeText(cause), fix: 'please report it', cause });
  }
}
