/** An `Output` that keeps what was written, for a terminal of any width. */
import type { Output } from '../../src/commands/output.ts';

export interface Captured extends Output {
  text(): string;
  errors(): string;
  /** Makes the reader go away. */
  hangUp(): void;
}

export function captureOutput(
  look: { columns?: number; color?: boolean; terminal?: boolean } = {},
): Captured {
  const written = { stdout: '', stderr: '' };
  const closed = new AbortController();
  const keep = (name: keyof typeof written) => ({
    write: (text: string) => {
      written[name] += text;
    },
  });
  return {
    stdout: keep('stdout'),
    stderr: keep('stderr'),
    columns: look.columns ?? 80,
    color: look.color ?? false,
    terminal: look.terminal ?? false,
    interactive: false,
    closed: closed.signal,
    text: () => written.stdout,
    errors: () => written.stderr,
    hangUp: () => closed.abort(),
  };
}
