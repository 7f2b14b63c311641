/** What a broker tells of its alias to a client that has not looked it up (PROTOCOL.md, STARTING). */
import type { Alias } from '../alias/alias.ts';
import { FrameError } from './frame.ts';

/** What there is to know about an alias once its session is open, or about to be. */
export type ToldAlias = Pick<
  Alias,
  'name' | 'queue' | 'fallback' | 'serverAliveInterval' | 'serverAliveCountMax'
>;

export function tellAlias(alias: Alias): ToldAlias {
  const { name, queue, fallback, serverAliveInterval, serverAliveCountMax } = alias;
  return { name, queue, fallback, serverAliveInterval, serverAliveCountMax };
}

/** @throws {FrameError} */
export function parseToldAlias(value: unknown): ToldAlias {
  const told = value as Partial<ToldAlias> | undefined;
  if (
    typeof told?.name === 'string' &&
    typeof told.queue === 'boolean' &&
    (told.fallback === 'deny' || told.fallback === 'allow') &&
    typeof told.serverAliveInterval === 'number' &&
    typeof told.serverAliveCountMax === 'number'
  ) {
    return told as ToldAlias;
  }
  throw new FrameError('no alias of an imapd that was taken');
}
