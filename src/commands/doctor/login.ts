/**
 * Connecting and logging in, step by step: the way there, the host's key, the algorithms, each of our keys. Over a
 * connection of its own, because a shared one tells nothing about how it was made.
 */
import type { Alias } from '../../alias/alias.ts';
import { type Failure, toFailure } from '../../errors.ts';
import type { Log } from '../../log.ts';
import type { Settings } from '../../settings.ts';
import { formatAddress } from '../../transport/address.ts';
import type { Connection } from '../../transport/transport.ts';
import { type Check, elapsed, type Finding, failed, passed, warned } from './finding.ts';

export interface LoginContext {
  readonly settings: Settings;
  readonly log: Log;
  readonly signal: AbortSignal;
  readonly report: (finding: Finding) => void;
}

/** The connection, or what has failed, which is not reported. */
export type LoginResult = { readonly connection: Connection } | { readonly failure: Finding };

export async function examineLogin(alias: Alias, context: LoginContext): Promise<LoginResult> {
  const { settings, log, signal, report } = context;
  const keys: string[] = [];
  let since = performance.now();
  let next: Check = 'connection';
  const lap = (): number => {
    const ms = elapsed(since);
    since = performance.now();
    return ms;
  };
  const onStep = (step: string, detail?: string): void => {
    if (step === 'tcp') {
      report(passed('connection', describeWay(alias), lap()));
      next = 'host-key';
    } else if (step === 'kex') {
      report(passed('host-key', 'the host key is the known one', lap()));
      if (detail !== undefined) report(passed('algorithms', detail));
      next = 'login';
    } else if (step === 'key' && detail !== undefined) {
      keys.push(detail);
    }
  };
  try {
    // The SSH library takes longer to load than all the rest.
    const { connect } = await import('../../transport/connect.ts');
    const connection = await connect(alias, { settings, log, family: 0, signal, onStep });
    const accepted = keys.pop();
    for (const key of keys) report(refusal(key));
    if (accepted !== undefined) report(passed('key', `${accepted}: accepted`));
    report(passed('login', `logged in as ${alias.user}`, lap()));
    return { connection };
  } catch (thrown) {
    for (const key of keys) report(refusal(key));
    const failure = toFailure(thrown);
    return { failure: failed(checkOf(failure, alias, next), failure, lap()) };
  }
}

function describeWay({ hostname, port, proxyCommand, proxyJump }: Alias): string {
  const address = formatAddress(hostname, port);
  if (proxyCommand !== undefined) return `PROXY_COMMAND is to carry the connection to ${address}`;
  return proxyJump.length === 0 ? `${address} answers` : `${address} answers, through its gateways`;
}

function refusal(key: string): Finding {
  const hint = 'if this key is not for the host, name the right one in IDENTITY_FILE';
  return warned('key', `${key}: not accepted`, hint);
}

/** Which step a failure is about, wherever it was noticed: files are read while the network works. */
function checkOf({ code, facts }: Failure, alias: Alias, next: Check): Check {
  if (code.startsWith('host-key-')) return 'host-key';
  if (/^(?:no-common-algorithm|algorithms?-)/.test(code)) return 'algorithms';
  if (/^(?:identity-|passphrase-|no-identity|certificate-)/.test(code)) return 'key';
  if (/^(?:login-|answers-)/.test(code)) return 'login';
  if (code === 'ssh-config-refused') return 'alias';
  if (code.startsWith('file-')) {
    return alias.knownHosts.includes(String(facts['file'])) ? 'host-key' : 'key';
  }
  // A host that takes the connection and then says nothing, or something else.
  if (next === 'host-key') return 'connection';
  return next;
}
