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
import { Attempt } from './attempt.ts';
import type { DialContext } from './dial.ts';
import { forwardFailure } from './forward-failure.ts';
import { resolveGateways } from './gateway.ts';
import { readKnownHosts } from './host-key.ts';
import type { Channel } from './openssh-channel.ts';
import { type Master, startMaster } from './openssh-master.ts';
import { type Mux, openMux } from './openssh-mux.ts';
import { gatewayName, masterWords, type SshHost } from './openssh-options.ts';
import { Questions } from './openssh-questions.ts';
import type { SshReport } from './openssh-report.ts';
import type { Connection, RemoteCommand, RemoteExit, RemoteStream } from './transport.ts';

/** As ssh2 names the same refusal. */
const NOT_EXECUTED = 'Unable to exec';

/**
 * Connects and logs in within CONNECT_TIMEOUT for each host of the way.
 *
 * @throws {Failure} every code of the groups "reaching the host", "host keys" and "logging in"
 */
export async function dialOpenSsh(host: SshHost, context: DialContext): Promise<Connection> {
  const { alias } = host;
  const { settings, log, family } = context;
  const gateways = await resolveGateways(alias, context);
  const route = [...gateways.map((gateway) => ({ alias: gateway, name: gatewayName(gateway) })), host];
  for (const { alias: each } of route) checkFiles(each, context);
  const address = formatAddress(alias.hostname, alias.port);
  const seconds = route.reduce((sum, each) => sum + each.alias.connectTimeout, 0);
  const attempt = new Attempt(address, seconds, context.signal);
  const questions = new Questions(route, attempt, context);
  let master: Master | undefined;
  try {
    master = await startMaster(
      {
        route,
        words: (path, unknown) =>
          masterWords(route, path, { settings, family, unknown, questions: questions.kind }),
        askpass: (folder) => questions.openAskpass(folder),
      },
      {
        settings,
        log,
        signal: attempt.signal,
        onReport: (report) => follow(report, attempt, questions, context),
      },
    );
    const mux = await openMux(master.controlPath, attempt.signal);
    context.onStep?.('login');
    return connectionOf(master, mux, address);
  } catch (error) {
    master?.stop();
    throw questions.explain(error);
  } finally {
    attempt.end();
  }
}

function follow(report: SshReport, attempt: Attempt, questions: Questions, { onStep }: DialContext): void {
  const { stage } = report;
  if (stage !== attempt.stage && stage === 'exchanging keys') onStep?.('tcp');
  if (stage !== attempt.stage && stage === 'logging in') onStep?.('kex');
  attempt.stage = stage;
  if (report.waitsForPerson || (report.mayAsk && questions.kind === 'passphrases')) questions.wait();
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
        namedBy: 'IDENTITY_FILE',
        isSecret: (bytes) => bytes.includes('PRIVATE KEY'),
      });
    } catch (error) {
      if (errnoOf(error) === 'ENOENT') throw new Failure('identity-missing', { file }, { cause: error });
      throw error;
    }
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
    // ssh has no word for a channel without a command.
    prepare: () => {},
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
  const facts = { address, target: formatAddress(host, port), why: opening.refused };
  throw mux.isClosed ? await lost : forwardFailure(facts, opening.reason);
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
