/**
 * The last word on whether mail opens: pine-rsh itself, started as Pine starts it, twice. Everything else in `doctor`
 * explains; this decides.
 */
import type { Alias } from '../../alias/alias.ts';
import { listBrokers } from '../../broker/status.ts';
import { Failure } from '../../errors.ts';
import { OPEN_DEADLINE_MS } from '../../limits.ts';
import { openRuntimeDir } from '../../runtime-dir.ts';
import type { Settings } from '../../settings.ts';
import { awaitWarmImapd } from '../await-warm.ts';
import { openPineProcess, type PineProcess } from '../pine-process.ts';
import { type Finding, failed, passed, warned } from './finding.ts';

export interface OpeningContext {
  readonly settings: Settings;
  readonly programPath: string;
  readonly signal: AbortSignal;
}

/** Opens the mailbox of `host` as Pine would. The last finding may be about the second time. */
export async function examineOpening(
  host: string,
  alias: Alias,
  context: OpeningContext,
): Promise<readonly Finding[]> {
  let first: PineProcess;
  try {
    first = await open(host, alias, context);
  } catch (thrown) {
    return [failed('open', thrown)];
  }
  const cold = passed('open', 'opened as Pine opens it', Math.round(first.openedAfter));
  try {
    if (!alias.share || alias.warm === 0) return [cold];
    await awaitWarmImapd(context.settings, context.signal, alias.name);
    const second = await open(host, alias, context);
    await second.logout();
    const ms = Math.round(second.openedAfter);
    const brokers = await listBrokers(context.settings);
    if (!brokers.some((broker) => broker.alias === alias.name))
      return [cold, explainUnshared(context.settings)];
    return [cold, passed('warm', 'the next folder opened over the shared connection', ms)];
  } catch (thrown) {
    const { message } = thrown as Error;
    return [cold, warned('warm', message, 'pine-rshctl log shows more')];
  } finally {
    first.kill();
  }
}

function explainUnshared(settings: Settings): Finding {
  const [text, hint] =
    openRuntimeDir(settings) === undefined
      ? [`nothing private can be made in ${settings.runtimeDirs.join(' or ')}`, 'set PINE_RSH_RUNTIME_DIR']
      : ['no shared connection stays', 'pine-rshctl log shows more'];
  return warned('warm', `${text}: each folder logs in anew`, hint);
}

async function open(
  host: string,
  alias: Alias,
  { settings, programPath, signal }: OpeningContext,
): Promise<PineProcess> {
  const pine = await openPineProcess({
    argv: [programPath, host, '-l', alias.user, 'exec', '/etc/rimapd'],
    env: settings.brokerEnv,
    signal,
    // pine-rsh itself gives up before that.
    withinMs: OPEN_DEADLINE_MS * 2,
    fail: (what) => explain(what, alias),
  });
  try {
    await pine.ask(EXAMINE);
    return pine;
  } catch (thrown) {
    pine.kill();
    throw thrown;
  }
}

/** Read-only, and every account has an INBOX: one that imapd cannot open would be an empty folder in Alpine. */
const EXAMINE = 'EXAMINE INBOX';

function explain(what: string, { hostname: host }: Alias): Failure {
  const said = new RegExp(`^${EXAMINE} was answered: (?:.*\r\n)*\\S+ (NO .*|BAD .*)$`).exec(what)?.[1];
  if (said !== undefined && !said.includes('pine-rsh:')) return new Failure('imapd-no-inbox', { host, said });
  return new Failure('mail-not-opened', { what: what.replace('[ALERT] pine-rsh: ', '') });
}
