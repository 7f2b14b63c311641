/** What became of all sessions and messages of a soak, and whatever of it must not be. */

export class Tally {
  /** How often each thing happened. */
  readonly counts = new Map<string, number>();
  /** What must never happen, as it happened. */
  readonly offences: string[] = [];
  /** Messages that an imapd said it has taken. */
  readonly saved: string[] = [];
  /** Exit status of pine-rsh as sendmail, for each message. */
  readonly sent = new Map<string, number>();
  /** Milliseconds from the start of pine-rsh to its first byte: that of every opening. */
  readonly firstBytes: number[] = [];

  count(what: string): void {
    this.counts.set(what, (this.counts.get(what) ?? 0) + 1);
  }

  offend(what: string): void {
    this.offences.push(`${new Date().toISOString()} ${what}`);
  }

  /** Compares what the host has with what was promised. `found` holds an entry for each copy. */
  checkMail(saved: readonly string[], delivered: readonly string[]): void {
    const copiesOf = (found: readonly string[]): Map<string, number> => {
      const copies = new Map<string, number>();
      for (const id of found) copies.set(id, (copies.get(id) ?? 0) + 1);
      return copies;
    };
    const stored = copiesOf(saved);
    for (const id of this.saved) {
      if (stored.get(id) !== 1)
        this.offend(`message ${id} was saved and is there ${stored.get(id) ?? 0} times`);
    }
    for (const [id, copies] of stored) if (copies > 1) this.offend(`message ${id} is there ${copies} times`);
    const arrived = copiesOf(delivered);
    for (const [id, status] of this.sent) {
      const copies = arrived.get(id) ?? 0;
      const right = status === 0 ? copies === 1 : status === NOT_SENT ? copies === 0 : copies <= 1;
      if (!right) this.offend(`message ${id}: exit status ${status}, delivered ${copies} times`);
    }
  }

  report(): string {
    const sorted = [...this.firstBytes].sort((a, b) => a - b);
    const at = (part: number): string =>
      `${Math.round(sorted[Math.floor((sorted.length - 1) * part)] ?? 0)} ms`;
    const counts = [...this.counts].sort(([a], [b]) => (a < b ? -1 : 1));
    return [
      ...counts.map(([what, count]) => `  ${what}: ${count}`),
      `  first byte: median ${at(0.5)}, 99 % ${at(0.99)}, slowest ${at(1)}`,
      `  saved by APPEND: ${this.saved.length}; sendmail: ${this.sent.size}`,
      `  offences: ${this.offences.length}`,
      ...this.offences.map((each) => `    ${each}`),
    ].join('\n');
  }
}

/** EX_TEMPFAIL: nothing was delivered (docs/sending-mail.md). */
const NOT_SENT = 75;
