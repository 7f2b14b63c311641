/** The broker's side of TAKE (PROTOCOL.md): finds what a call asks for just as its client would have. */
import { lookupAlias, queryOf } from '../alias/lookup.ts';
import { forgetFolders } from '../alias/trusted-file.ts';
import { type Invocation, parseArgv } from '../argv.ts';
import { classifySession } from '../imap/mail-stream.ts';
import { readSettings, type Settings } from '../settings.ts';
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

/** What a call asks for, as far as that stands in it and does not change. */
export interface CallQuery {
  readonly args: Call['args'];
  readonly invocation: Invocation;
  readonly settings: Settings;
}

/** Undefined for what asks for no session. @throws {Failure} whatever is wrong with the call */
export function readCall({ args, env }: Call): CallQuery | undefined {
  const parsed = parseArgv(args);
  if (parsed.kind !== 'session' || parsed.invocation.printAlias) return undefined;
  return { args, invocation: parsed.invocation, settings: readSettings(env) };
}

/**
 * The file name of the socket whose broker serves the call. Alias files are read anew: what was changed in them since the
 * last folder opened counts.
 *
 * @returns undefined for anything but the imapd of an alias
 * @throws {Failure} whatever is wrong with the call or the alias files
 */
export function findWanted({ args, invocation, settings }: CallQuery): string | undefined {
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
