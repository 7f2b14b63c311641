/**
 * One connection that came in: whose is it, onwards through the alias's SSH connection, bytes both ways. A connection
 * that was lost in between is made again for the next one.
 */
import type { Socket } from 'node:net';
import type { Alias } from '../alias/alias.ts';
import { forgetFolders } from '../alias/trusted-file.ts';
import { type Failure, toError, toFailure } from '../errors.ts';
import { imapText, refusalText } from '../imap/refusal.ts';
import { FORWARD_LINGER_MS, FORWARD_REPLY_MAX } from '../limits.ts';
import type { Log } from '../log.ts';
import { pump } from '../pipe/pump.ts';
import { reach } from '../reach.ts';
import type { Settings } from '../settings.ts';
import { formatAddress } from '../transport/address.ts';
import { ClientInput } from './client-input.ts';
import type { Dialogue, ForwardSpec } from './forward-spec.ts';
import { readPeerUid } from './peer.ts';

/** What all connections of one `pine-rshctl forward` have in common. */
export interface RelayContext {
  readonly settings: Settings;
  readonly log: Log;
  /** The alias's name, for messages. */
  readonly name: string;
  /** Reads the alias anew: its file may have changed. @throws {Failure} */
  readonly findAlias: () => Alias;
  /** False: every local user may connect. */
  readonly checkPeer: boolean;
  /** Hears why a connection was not served. */
  readonly onRefused: (why: string) => void;
}

/** Serves a connection until it ends, or until `signal` is aborted; never rejects. */
export async function relay(
  socket: Socket,
  spec: ForwardSpec,
  context: RelayContext,
  signal: AbortSignal,
): Promise<void> {
  const { log, name, onRefused } = context;
  const target = formatAddress(spec.host, spec.port);
  const facts = { alias: name, target };
  const over = new AbortController();
  const end = (): void => over.abort();
  signal.addEventListener('abort', end, { once: true });
  const drop = (event: string, why: string, more: { readonly uid?: number | undefined } = {}): void => {
    log.record(event, { ...facts, why, ...more });
    onRefused(`${target}: connection closed: ${why}`);
    end();
  };
  const input = new ClientInput({
    serverFirst: spec.dialogue !== 'any',
    onMisbehaviour: (why) => (why === undefined ? end() : drop('forward-dropped', why)),
  });
  input.on('error', end);
  socket.on('error', end);
  socket.pipe(input);
  try {
    if (spec.listen.kind === 'port' && context.checkPeer) {
      const uid = await readPeerUid(socket);
      if (uid !== context.settings.uid && !over.signal.aborted) {
        drop('forward-refused', uid === undefined ? 'nobody knows whose it is' : `it belongs to uid ${uid}`, {
          uid,
        });
      }
    }
    if (over.signal.aborted) return;
    await serve(socket, input, spec, context, over.signal);
  } catch (thrown) {
    if (over.signal.aborted) return;
    const failure = toFailure(thrown);
    const stack = failure.code === 'internal' ? toError(thrown).stack : undefined;
    log.record('failure', { ...facts, code: failure.code, text: failure.message, stack });
    onRefused(`${target}: ${failure.message}; ${failure.hint}`);
    socket.end(formatReply(spec.dialogue, name, failure));
  } finally {
    signal.removeEventListener('abort', end);
    socket.unpipe(input);
    input.destroy();
    if (over.signal.aborted) socket.destroy();
    else await linger(socket);
  }
}

async function serve(
  socket: Socket,
  input: ClientInput,
  spec: ForwardSpec,
  { settings, log, name, findAlias }: RelayContext,
  signal: AbortSignal,
): Promise<void> {
  forgetFolders();
  const alias = findAlias();
  const target = { host: spec.host, port: spec.port };
  const reached = await reach({
    alias,
    session: { kind: 'forward' },
    target,
    family: 0,
    settings,
    verbosity: 0,
    log,
    signal,
    onGreeting: () => {},
    onStderr: () => {},
  });
  const { stdout, stderr } = reached.stream;
  stderr.resume();
  stdout.once('data', () => input.greeted());
  // The SSH channel closes only when both sides have ended: the client has to hear that the server did.
  stdout.once('end', () => socket.end());
  const { end, bytesIn, bytesOut } = await pump(
    reached,
    { stdin: input, stdout: socket, stderr: undefined },
    {
      mail: false,
      stdinFromNull: false,
      aliveInterval: alias.serverAliveInterval,
      aliveCountMax: alias.serverAliveCountMax,
      signal,
    },
  );
  log.record('forward', {
    alias: name,
    target: formatAddress(spec.host, spec.port),
    route: reached.route,
    open_ms: reached.steps['open'],
    end: end.kind,
    bytes_in: bytesIn,
    bytes_out: bytesOut,
    why: end.kind === 'lost' ? end.failure.message : end.kind === 'stalled' ? end.why : undefined,
  });
}

/**
 * The reason in the client's own language, in place of a greeting: RFC 5321 section 3.1 (554, or 421 for what may
 * pass), RFC 3977 section 5.1 (502 and 400). '' where the language is unknown.
 */
function formatReply(dialogue: Dialogue, name: string, failure: Failure): string {
  if (dialogue === 'any') return '';
  const [passing, lasting] = dialogue === 'smtp' ? [421, 554] : [400, 502];
  const code = failure.sysexit === EX_TEMPFAIL ? passing : lasting;
  return `${code} ${imapText(refusalText(name, failure), FORWARD_REPLY_MAX)}\r\n`;
}

/** sysexits.h: may pass. */
const EX_TEMPFAIL = 75;

/** Closing while the client still sends would take back what it has not read yet. */
function linger(socket: Socket): Promise<void> {
  return new Promise((resolve) => {
    if (socket.destroyed) return resolve();
    const timer = setTimeout(() => socket.destroy(), FORWARD_LINGER_MS);
    socket.once('close', () => {
      clearTimeout(timer);
      resolve();
    });
    socket.end();
    socket.resume();
  });
}
