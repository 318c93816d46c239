/** Messages as numbers: equal content, equal number. 0 is none. */
import { canonicalJson, hashString } from '../state/hash.ts';
import { ContentHashes } from '../state/words.ts';
import type { Message } from '../routine/operation.ts';

/** The word of a channel's place that is free. */
export const NO_MESSAGE = 0;

/** All messages that an executor has seen. */
export class MessageTable {
  readonly all: Message[] = [{ type: 'none' }];
  readonly hashes = new ContentHashes();
  readonly #byContent = new Map<string, number>();
  readonly #contents: string[] = [''];
  /** By object, because operations and outputs keep theirs: content is compared only the first time. */
  readonly #byObject = new WeakMap<Message, number>();

  /** The number of a message. */
  intern(message: Message): number {
    const known = this.#byObject.get(message);
    if (known !== undefined) return known;
    const key = canonicalJson(message);
    let id = this.#byContent.get(key);
    if (id === undefined) {
      id = this.all.push(message) - 1;
      this.#contents.push(key);
      this.hashes.set(id, hashString(key));
      this.#byContent.set(key, id);
    }
    this.#byObject.set(message, id);
    return id;
  }

  at(id: number): Message {
    return this.all[id] as Message;
  }

  /** The text that messages are compared by: the same in every table. */
  contentOf(id: number): string {
    return this.#contents[id] as string;
  }
}
