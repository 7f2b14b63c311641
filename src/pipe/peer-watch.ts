/**
 * Finds a dead peer while the client waits for an answer. An idle mail folder is left alone: Alpine does not reopen a
 * folder by itself, so one that nobody asks anything survives a train's tunnel.
 */
import { ANSWER_HEAD_MAX, LOGOUT_LINE_MAX } from '../limits.ts';

const LF = 0x0a;

export interface Probe {
  /** True if the peer answered within that time. */
  alive(withinMs: number): Promise<boolean>;
}

export interface WatchOptions {
  readonly mail: boolean;
  /** Seconds; 0: never ask. */
  readonly aliveInterval: number;
  readonly aliveCountMax: number;
}

/**
 * After `aliveInterval` without a word from the peer it is probed; each probe may take as long. `aliveCountMax`
 * unanswered probes in a row mean death, as with ssh_config(5) ServerAliveCountMax.
 */
export class PeerWatch {
  readonly #probe: Probe;
  readonly #options: WatchOptions;
  readonly #onDead: (why: string) => void;
  #timer: NodeJS.Timeout | undefined;
  /** In plain exec an answer is always due: the command's end is one. */
  #waiting: boolean;
  #heard = false;
  #stopped = false;
  readonly #answers = new AnswerReader();

  constructor(probe: Probe, options: WatchOptions, onDead: (why: string) => void) {
    this.#probe = probe;
    this.#options = options;
    this.#onDead = onDead;
    this.#waiting = !options.mail;
    if (this.#waiting) this.#arm();
  }

  /** The client sent something. */
  asked(): void {
    if (this.#waiting) return;
    this.#heard = false;
    this.#wait();
  }

  /** The peer sent something. */
  heard(chunk: Buffer): void {
    this.#heard = true;
    if (!this.#options.mail) return;
    const state = this.#answers.push(chunk);
    if (state === 'complete') this.#waiting = false;
    else if (state === 'open' && !this.#waiting) this.#wait();
  }

  stop(): void {
    this.#stopped = true;
    clearTimeout(this.#timer);
  }

  #wait(): void {
    this.#waiting = true;
    this.#arm();
  }

  #arm(): void {
    const { aliveInterval } = this.#options;
    if (this.#stopped || aliveInterval === 0 || this.#timer !== undefined) return;
    this.#timer = setTimeout(() => {
      this.#timer = undefined;
      void this.#check();
    }, aliveInterval * 1000);
    this.#timer.unref();
  }

  async #check(): Promise<void> {
    const { aliveInterval, aliveCountMax } = this.#options;
    for (let missed = 0; this.#waiting && !this.#heard && !this.#stopped; ) {
      if (await this.#probe.alive(aliveInterval * 1000)) break;
      missed += 1;
      if (missed >= aliveCountMax && !this.#heard && !this.#stopped) {
        this.#onDead(`no answer to ${missed} probes, ${aliveInterval} s apart`);
        return;
      }
    }
    this.#heard = false;
    if (this.#waiting) this.#arm();
  }
}

/**
 * Tells from a server's bytes whether it owes more (RFC 3501 section 2.2): never after a tagged status or a `+`, always
 * in the middle of a line. A literal's content that looks like a status is corrected by its next chunk.
 */
class AnswerReader {
  /** The beginning of the line that is not finished. */
  #head = '';

  /** undefined: a whole line that says neither, such as an untagged answer or the news of an idle folder. */
  push(chunk: Buffer): 'complete' | 'open' | undefined {
    const end = chunk.lastIndexOf(LF);
    const whole = end === chunk.length - 1;
    const start = 1 + (whole ? chunk.subarray(0, end).lastIndexOf(LF) : end);
    const head = chunk.toString('latin1', start, start + ANSWER_HEAD_MAX);
    const line = (start === 0 ? this.#head : '') + head;
    this.#head = whole ? '' : line.slice(0, ANSWER_HEAD_MAX);
    if (!whole) return 'open';
    return /^(?:\+|[^\s*]\S* (?:OK|NO|BAD)\b)/i.test(line) ? 'complete' : undefined;
  }
}

/**
 * True for a client's whole write that is one LOGOUT command (RFC 3501 section 6.1.3). Only looked at, never changed;
 * a message text that looks like it costs nothing as long as the server goes on within 10 s.
 */
export function isLogout(chunk: Buffer): boolean {
  return chunk.length <= LOGOUT_LINE_MAX && /^[^\s]+ LOGOUT\r?\n$/i.test(chunk.toString('latin1'));
}
