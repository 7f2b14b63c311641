/**
 * An alias -> an authenticated connection, carried by the system's ssh (TRANSPORT=openssh): for what ssh2 lacks, such
 * as FIDO keys, certificates, GSSAPI and post-quantum key exchange. ssh logs in, encrypts and checks the host's key
 * against the alias's own files; channels are ours (`openssh-mux.ts`).
 */
import type { Alias } from '../alias/alias.ts';
import { readPrivateFile } from '../alias/trusted-file.ts';
import { errnoOf, Failure } from '../errors.ts';
import { CLOSE_GRACE_MS, IDENTITY_FILE_MAX } from '../limits.ts';
import { formatAddress } from './address.ts';
import type { DialContext } from './dial.ts';
import { readKnownHosts } from './host-key.ts';
import type { Channel } from './openssh-channel.ts';
import { type Master, startMaster } from './openssh-master.ts';
import { type Mux, openMux } from './openssh-mux.ts';
import { masterWords, type SshHost } from './openssh-options.ts';
import type { SshReport } from './openssh-report.ts';
import type { Connection, RemoteCommand, RemoteExit, RemoteStream } from './transport.ts';

/** As ssh2 names the same refusal. */
const NOT_EXECUTED = 'Unable to exec';

/**
 * Connects and logs in within CONNECT_TIMEOUT for each host of the way.
 *
 * @param route the gateways in the order of the way, then the host itself
 * @throws {Failure} every code of the groups "reaching the host", "host keys" and "logging in"
 */
export async function dialOpenSsh(route: readonly SshHost[], context: DialContext): Promise<Connection> {
  const { alias } = route.at(-1) as SshHost;
  const { settings, log, family } = context;
  for (const host of route) checkFiles(host.alias, context);
  // One program answers for all hosts of the way; a passphrase that does not fit a gateway's key does no harm.
  const passphraseCommand = route
    .map((host) => host.alias.passphraseCommand)
    .findLast((one) => one !== undefined);
  const askpass = settings.brokerEnv['SSH_ASKPASS'];
  const answers = passphraseCommand !== undefined || askpass !== undefined;
  const deadline = new Deadline(route, context.signal, answers);
  let master: Master | undefined;
  try {
    master = await startMaster(
      {
        route,
        words: (path, unknown) => masterWords(route, path, { settings, family, askpass: answers, unknown }),
        passphraseCommand,
        askpass,
      },
      { settings, log, signal: deadline.signal, onReport: (report) => deadline.follow(report, context) },
    );
    const mux = await openMux(master.controlPath, deadline.signal);
    context.onStep?.('login');
    return connectionOf(master, mux, formatAddress(alias.hostname, alias.port));
  } catch (error) {
    master?.stop();
    throw error;
  } finally {
    deadline.end();
  }
}

/** Whoever can write to these files can vouch for any host or learn the key, whichever program reads them. */
function checkFiles(alias: Alias, { settings }: DialContext): void {
  readKnownHosts(alias, { settings });
  // What ssh_config names, ssh judges.
  if (!alias.given.has('IDENTITY_FILE')) return;
  for (const file of alias.identityFiles ?? []) {
    try {
      readPrivateFile(file, {
        uid: settings.uid,
        maxBytes: IDENTITY_FILE_MAX,
        isSecret: (bytes) => bytes.includes('PRIVATE KEY'),
      });
    } catch (error) {
      if (errnoOf(error) === 'ENOENT') throw new Failure('identity-missing', { file }, { cause: error });
      throw error;
    }
  }
}

/** The time for all hosts together; it does not count waits for a person. */
class Deadline {
  readonly #controller = new AbortController();
  readonly #outer: AbortSignal;
  readonly #answers: boolean;
  readonly #timer: NodeJS.Timeout;
  readonly #onOuterAbort = (): void => this.#controller.abort(this.#outer.reason);
  #stage: SshReport['stage'] = 'connecting';

  constructor(route: readonly SshHost[], outer: AbortSignal, answers: boolean) {
    const { hostname, port } = (route.at(-1) as SshHost).alias;
    const seconds = route.reduce((sum, { alias }) => sum + alias.connectTimeout, 0);
    this.#outer = outer;
    this.#answers = answers;
    if (outer.aborted) this.#onOuterAbort();
    else outer.addEventListener('abort', this.#onOuterAbort, { once: true });
    this.#timer = setTimeout(() => {
      const facts = { address: formatAddress(hostname, port), seconds, stage: this.#stage };
      this.#controller.abort(new Failure('connect-timeout', facts));
    }, seconds * 1000);
  }

  get signal(): AbortSignal {
    return this.#controller.signal;
  }

  follow({ stage, waitsForPerson }: SshReport, { onStep }: DialContext): void {
    if (stage !== this.#stage && stage === 'exchanging keys') onStep?.('tcp');
    if (stage !== this.#stage && stage === 'logging in') onStep?.('kex');
    this.#stage = stage;
    // The outer deadline goes on.
    if (waitsForPerson || (this.#answers && stage === 'logging in')) clearTimeout(this.#timer);
  }

  end(): void {
    clearTimeout(this.#timer);
    this.#outer.removeEventListener('abort', this.#onOuterAbort);
  }
}

function connectionOf(master: Master, mux: Mux, address: string): Connection {
  // Without its socket ssh is of no use any more. What was sent last (a signal to a command) has to get through it, and
  // through those of the gateways, before they are told to end.
  const stopSoon = (): void => {
    setTimeout(() => master.stop(), CLOSE_GRACE_MS);
  };
  void mux.closed.then(stopSoon);
  const lost = Promise.race([master.ended, mux.closed.then(() => mux.fault ?? master.ended)]);
  return {
    closed: lost,
    lastHeard: () => mux.lastHeard,
    exec: (command) => execOnMux(mux, command, address, lost),
    forward: (host, port) => forwardOnMux(mux, host, port, address, lost),
    alive: (withinMs) => mux.probe(withinMs),
    close() {
      mux.close();
      stopSoon();
    },
  };
}

async function execOnMux(
  mux: Mux,
  { kind, text }: RemoteCommand,
  address: string,
  lost: Promise<Failure>,
): Promise<RemoteStream> {
  const channel = mux.openChannel('session');
  const opening = await channel.opening;
  if (opening !== 'opened') {
    throw mux.isClosed ? await lost : new Failure('exec-refused', { address, why: opening.refused });
  }
  if (await channel.request(kind, text)) return toRemoteStream(channel, address, lost, 'session');
  channel.close();
  throw mux.isClosed ? await lost : new Failure('exec-refused', { address, why: NOT_EXECUTED });
}

async function forwardOnMux(
  mux: Mux,
  host: string,
  port: number,
  address: string,
  lost: Promise<Failure>,
): Promise<RemoteStream> {
  const channel = mux.openChannel('direct-tcpip', host, port, '127.0.0.1', 0);
  const opening = await channel.opening;
  if (opening === 'opened') return toRemoteStream(channel, address, lost, 'direct-tcpip');
  const facts = { address, target: `${host}:${port}`, why: opening.refused };
  throw mux.isClosed ? await lost : new Failure('forward-refused', facts);
}

function toRemoteStream(
  channel: Channel,
  address: string,
  lost: Promise<Failure>,
  type: 'session' | 'direct-tcpip',
): RemoteStream {
  const { stdin, stdout, stderr } = channel;
  let markDropped: () => void = () => {};
  const dropped = new Promise<void>((resolve) => {
    markDropped = resolve;
  });
  // Whoever waits for the end has seen all output by then.
  const drained = new Promise<void>((resolve) => {
    for (const event of ['end', 'close', 'error']) stdout.once(event, () => resolve());
  });
  const settleExit = async (): Promise<RemoteExit> => {
    const end = await channel.ended;
    await Promise.race([drained, dropped]);
    if (end === 'lost') return { kind: 'lost', failure: await lost };
    if (channel.exit !== undefined) return channel.exit;
    // A forwarded connection has no status (RFC 4254 section 6.10 is about sessions): its close is its success.
    if (type === 'direct-tcpip') return { kind: 'status', status: 0 };
    return {
      kind: 'lost',
      failure: new Failure('connection-lost', { address, why: 'the command ended without a status' }),
    };
  };
  return {
    stdin,
    stdout,
    stderr,
    exit: settleExit(),
    kill() {
      markDropped();
      if (type === 'session') channel.signal('TERM');
      channel.close();
    },
  };
}
