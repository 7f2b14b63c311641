/** What a client asks a broker for (PROTOCOL.md, OPEN). */
import { isPort } from '../argv.ts';
import { FrameError } from './frame.ts';

/** As it is sent; what is missing or of the wrong kind is found where it arrives. */
export interface OpenRequest {
  readonly kind: WholeRequest['kind'];
  readonly command?: string | undefined;
  readonly host?: string | undefined;
  readonly port?: number | undefined;
}

/** As it is served. */
export type WholeRequest =
  /** Without a command: the alias's IMAPD. */
  | { readonly kind: 'mail'; readonly command?: string | undefined }
  | { readonly kind: 'exec' | 'subsystem'; readonly command: string }
  | { readonly kind: 'forward'; readonly host: string; readonly port: number };

/** Takes only what is whole: a command that went missing would be a login shell. @throws {FrameError} */
export function parseOpen(body: Readonly<Record<string, unknown>>): WholeRequest {
  const { kind, command, host, port } = body;
  if (kind === 'mail' && (command === undefined || typeof command === 'string')) return { kind, command };
  if ((kind === 'exec' || kind === 'subsystem') && typeof command === 'string') return { kind, command };
  if (kind === 'forward' && typeof host === 'string' && isPort(port)) return { kind, host, port };
  throw new FrameError('no session of that kind');
}
