/** Signal names and numbers, for exit statuses of 128 + n. */
import { constants } from 'node:os';
import { SIGNAL_UNKNOWN } from './limits.ts';

/** `TERM` or `SIGTERM` -> 15; a name of another system gets KILL's number, as its command is just as dead. */
export function signalNumber(name: string): number {
  const full = name.startsWith('SIG') ? name : `SIG${name}`;
  const numbers = constants.signals as Readonly<Record<string, number>>;
  return numbers[full] ?? SIGNAL_UNKNOWN;
}
