/** An alias -> an authenticated connection, over the transport that the alias names. */
import type { Alias } from '../alias/alias.ts';
import { type DialContext, dial } from './dial.ts';
import type { Connection } from './transport.ts';

/** @throws {Failure} whatever keeps the connection from being made */
export function connect(alias: Alias, context: DialContext): Promise<Connection> {
  return dial(alias, context);
}
