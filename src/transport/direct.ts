/** A session over a connection of its own. */
import type { ReachedSession, ReachRequest } from '../reach.ts';
import { withAbort } from '../with-abort.ts';
import { connect } from './connect.ts';
import { openImapd } from './imapd.ts';
import { rememberTimeout } from './recent-timeout.ts';
import type { Connection, RemoteStream } from './transport.ts';

/**
 * Connects, logs in and starts what is asked for.
 *
 * @throws {Failure} whatever keeps the session from opening
 */
export async function reachDirectly(
  request: ReachRequest,
  signal: AbortSignal,
  onStep: (step: string) => void,
): Promise<Omit<ReachedSession, 'steps'>> {
  const { alias, settings, log, family } = request;
  const connection = await rememberTimeout(alias, family, settings, () =>
    connect(alias, { settings, log, family, signal, onStep }),
  );
  try {
    const stream = await start(connection, request, signal);
    return {
      stream,
      route: 'direct',
      alive: (withinMs) => connection.alive(withinMs),
      close() {
        stream.kill();
        connection.close();
      },
    };
  } catch (error) {
    connection.close();
    throw error;
  }
}

async function start(
  connection: Connection,
  { alias, session, target, log, onStderr, onGreeting }: ReachRequest,
  signal: AbortSignal,
): Promise<RemoteStream> {
  if (session.kind === 'mail') {
    const { command } = session;
    const { stream, greeting } = await openImapd(connection, alias, { command, signal, log, onStderr });
    onGreeting(greeting);
    return stream;
  }
  return withAbort(
    signal,
    session.kind === 'forward' && target !== undefined
      ? connection.forward(target.host, target.port)
      : connection.exec({
          kind: session.kind === 'subsystem' ? 'subsystem' : 'exec',
          text: session.kind === 'forward' ? '' : session.command,
        }),
  );
}
