/** What a client asks a broker for (PROTOCOL.md, OPEN). */
import { isPort } from '../argv.ts';
import { FrameError } from './frame.ts';

export interface OpenRequest {
  readonly kind: 'mail' | 'exec' | 'subsystem' | 'forward';
  /** In a mail stream undefined: the alias's IMAPD. */
  readonly command?: string | undefined;
  readonly host?: string | undefined;
  readonly port?: number | undefined;
}

/** Takes only what is whole: a command that went missing would be a login shell. @throws {FrameError} */
export function parseOpen(body: Readonly<Record<string, unknown>>): OpenRequest {
  const { kind, command, host, port } = body as { [name in keyof OpenRequest]: unknown };
  if (kind === 'mail' && (command === undefined || typeof command === 'string')) return { kind, command };
  if ((kind === 'exec' || kind === 'subsystem') && typeof command === 'string') return { kind, command };
  if (kind === 'forward' && typeof host === 'string' && isPort(port)) return { kind, host, port };
  throw new FrameError('no session of that kind');
}
