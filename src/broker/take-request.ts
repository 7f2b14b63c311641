/** The broker's side of TAKE (PROTOCOL.md): finds what a call asks for just as its client would have. */
import { lookupAlias, queryOf } from '../alias/lookup.ts';
import { forgetFolders } from '../alias/trusted-file.ts';
import { parseArgv } from '../argv.ts';
import { classifySession } from '../imap/mail-stream.ts';
import { readSettings } from '../settings.ts';
import type { Call } from './call.ts';
import { FrameError } from './frame.ts';
import { brokerFileName } from './spec.ts';

/** @throws {FrameError} */
export function parseTake(body: Readonly<Record<string, unknown>>): Call {
  const { args, env } = body;
  if (!Array.isArray(args) || !args.every(isText)) throw new FrameError('no words of a call');
  if (typeof env !== 'object' || env === null || !Object.values(env).every(isText)) {
    throw new FrameError('no environment of a call');
  }
  return { args, env: env as Call['env'] };
}

/**
 * The file name of the socket whose broker serves the call. Alias files are read anew: what was changed in them since the
 * last folder opened counts.
 *
 * @returns undefined for anything but the imapd of an alias
 * @throws {Failure} whatever is wrong with the call or the alias files
 */
export function findWanted({ args, env }: Call): string | undefined {
  const parsed = parseArgv(args);
  if (parsed.kind !== 'session' || parsed.invocation.printAlias) return undefined;
  const { invocation } = parsed;
  const settings = readSettings(env);
  forgetFolders();
  const found = lookupAlias(settings, queryOf(invocation));
  if (found.kind === 'unmanaged') return undefined;
  const { alias } = found;
  const session = classifySession(invocation, args, { likeCClient: true }, alias.imapd);
  if (session.kind !== 'mail' || session.command !== undefined) return undefined;
  return brokerFileName(alias, invocation.family, settings);
}

function isText(value: unknown): value is string {
  return typeof value === 'string';
}
