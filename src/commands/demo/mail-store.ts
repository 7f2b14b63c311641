/**
 * The demo's mailboxes, in memory: what the built-in IMAP server serves and changes. Gone when the demo ends.
 */
import { EventEmitter } from 'node:events';

export interface StoredMessage {
  readonly uid: number;
  /** The whole message with CRLF line ends. */
  readonly raw: Buffer;
  readonly received: Date;
  /** System flags and keywords as written, `\Seen` among them. */
  readonly flags: Set<string>;
}

/** Emits `change` when messages come, go or change their flags, so that other sessions can tell their clients. */
export class Mailbox extends EventEmitter<{ change: [] }> {
  readonly uidValidity: number;
  messages: StoredMessage[] = [];
  uidNext = 1;
  subscribed = true;

  constructor(uidValidity: number) {
    super();
    this.uidValidity = uidValidity;
    // One listener per idle client; their number is the tester's affair.
    this.setMaxListeners(0);
  }

  /** Returns the UID of the new message. */
  append(raw: Buffer, flags: Iterable<string>, received: Date): number {
    const uid = this.uidNext++;
    this.messages.push({ uid, raw, received, flags: new Set(flags) });
    this.emit('change');
    return uid;
  }

  remove(doomed: ReadonlySet<StoredMessage>): void {
    this.messages = this.messages.filter((message) => !doomed.has(message));
    this.emit('change');
  }
}

/** All mailboxes of the one user, by name, on one level. INBOX exists always and ignores case (RFC 3501 section 5.1). */
export class MailStore {
  readonly #boxes = new Map<string, Mailbox>();
  #uidValidity = 1;

  constructor() {
    this.create('INBOX');
  }

  static key(name: string): string {
    return name.toUpperCase() === 'INBOX' ? 'INBOX' : name;
  }

  get names(): string[] {
    return [...this.#boxes.keys()];
  }

  find(name: string): Mailbox | undefined {
    return this.#boxes.get(MailStore.key(name));
  }

  /** Returns undefined when the name is taken or has a level below. */
  create(name: string): Mailbox | undefined {
    const key = MailStore.key(name);
    if (!this.#isFree(key)) return undefined;
    const box = new Mailbox(this.#uidValidity++);
    this.#boxes.set(key, box);
    return box;
  }

  delete(name: string): boolean {
    const key = MailStore.key(name);
    return key !== 'INBOX' && this.#boxes.delete(key);
  }

  rename(from: string, to: string): boolean {
    const box = this.find(from);
    const target = MailStore.key(to);
    if (box === undefined || !this.#isFree(target) || !this.delete(from)) return false;
    this.#boxes.set(target, box);
    return true;
  }

  #isFree(key: string): boolean {
    return key !== '' && !key.includes('/') && !this.#boxes.has(key);
  }
}
