/** PROXY_COMMAND: a program whose stdin and stdout carry SSH (ssh_config(5) ProxyCommand). */
import type { Writable } from 'node:stream';
import type { Alias } from '../alias/alias.ts';
import { Failure } from '../errors.ts';
import { CLOSE_GRACE_MS, LOG_SAMPLE_MAX } from '../limits.ts';
import type { Log } from '../log.ts';
import type { Settings } from '../settings.ts';
import { type ProgramEnd, startProgram } from './child-process.ts';
import { JoinedStream, type Route } from './route.ts';

/** `%h`, `%p`, `%r` and `%%`; hosts and users hold nothing that a shell would take apart (`alias/host-value.ts`). */
export function expandProxyCommand(
  command: string,
  { hostname, port, user }: Pick<Alias, 'hostname' | 'port' | 'user'>,
): string {
  const tokens: Readonly<Record<string, string>> = { h: hostname, p: String(port), r: user, '%': '%' };
  return command.replace(/%([hpr%])/g, (_, token: string) => tokens[token] as string);
}

/** Starts the command. It is ended with the route, and its stderr goes to the log. */
export function openProxyCommand(
  alias: Alias,
  command: string,
  address: string,
  { settings, log }: { readonly settings: Settings; readonly log: Log },
): Route {
  // `exec`, as ssh does: one process less, and the one that is signalled is the one that carries the connection.
  const line = `exec ${expandProxyCommand(command, alias)}`;
  const program = startProgram({ file: '/bin/sh', args: ['-c', line], env: settings.brokerEnv }, 'pipe');
  let end: ProgramEnd | undefined;
  let closed = false;
  void program.ended.then((how) => {
    end = how;
    const stderr = program.said() || undefined;
    if (closed && stderr === undefined) return;
    log.record('program', { alias: alias.name, program: 'PROXY_COMMAND', end: how.how, stderr });
  });
  // It may close its output and go on.
  const gone = (): Promise<unknown> => Promise.race([program.ended, pause(CLOSE_GRACE_MS)]);
  const stream = new JoinedStream(program.stdout, program.stdin as Writable, gone);
  stream.once('close', () => program.kill());
  return {
    stream,
    failure() {
      if (closed) return undefined;
      const how = end?.how ?? 'it closed its output';
      const said = program.said().split('\n').at(-1) as string;
      const last = said === '' ? '' : `: ${said.slice(0, LOG_SAMPLE_MAX)}`;
      return new Failure('proxy-command-failed', { address, how, said: last });
    },
    close() {
      closed = true;
      stream.destroy();
      program.kill();
    },
  };
}

function pause(ms: number): Promise<void> {
  return new Promise((resolve) => {
    setTimeout(resolve, ms).unref();
  });
}
