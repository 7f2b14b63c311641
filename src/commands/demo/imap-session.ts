/**
 * What the built-in IMAP server knows about one client: which mailbox it selected and what it was told about it.
 */
import type { Writable } from 'node:stream';
import type { Answer } from './imap-answer.ts';
import { formatFlags } from './imap-fetch.ts';
import type { Mailbox, MailStore, StoredMessage } from './mail-store.ts';

/** RFC 3501, RFC 2177, RFC 7888, RFC 4315. */
export const CAPABILITIES = 'IMAP4rev1 IDLE LITERAL+ UIDPLUS';

/** A mailbox as this client knows it: numbers and flags change for it only when it is told. */
export interface SelectedMailbox {
  readonly box: Mailbox;
  readonly readOnly: boolean;
  readonly view: { readonly message: StoredMessage; flags: string }[];
}

/** What the commands work on. */
export class ImapSession {
  readonly store: MailStore;
  readonly #output: Writable;
  selected: SelectedMailbox | undefined;
  ended = false;
  /** Takes the next line instead of a command while the client is in IDLE. */
  onLine: ((line: string) => void) | undefined;

  constructor(store: MailStore, output: Writable) {
    this.store = store;
    this.#output = output;
  }

  /** Writes one response; `line` stands for bytes and has no line end. */
  send(line: string): void {
    if (!this.#output.destroyed) this.#output.write(Buffer.from(`${line}\r\n`, 'latin1'));
  }

  /** Writes the tagged response, after the news. */
  finish(tag: string, answer: Answer): void {
    this.sync(answer.keepsNumbers === true);
    this.send(`${tag} ${answer.status} ${answer.text}`);
  }

  select(box: Mailbox, readOnly: boolean): void {
    this.selected = { box, readOnly, view: [] };
  }

  /**
   * Tells the client what changed since it was last told. Vanished messages shift all numbers, so they are kept back
   * while the client may be counting on them (RFC 3501 section 7.4.1).
   */
  sync(keepsNumbers: boolean): void {
    if (this.selected === undefined) return;
    const { box, view } = this.selected;
    if (!keepsNumbers) {
      const present = new Set(box.messages);
      for (let index = view.length - 1; index >= 0; index--) {
        const entry = view[index];
        if (entry === undefined || present.has(entry.message)) continue;
        view.splice(index, 1);
        this.send(`* ${index + 1} EXPUNGE`);
      }
    }
    for (const [index, entry] of view.entries()) {
      const flags = formatFlags(entry.message);
      if (flags === entry.flags) continue;
      entry.flags = flags;
      this.send(`* ${index + 1} FETCH (${flags})`);
    }
    const lastUid = view.at(-1)?.message.uid ?? 0;
    const fresh = box.messages.filter((message) => message.uid > lastUid);
    if (fresh.length === 0) return;
    view.push(...fresh.map((message) => ({ message, flags: formatFlags(message) })));
    this.send(`* ${view.length} EXISTS`);
    this.send('* 0 RECENT');
  }
}
