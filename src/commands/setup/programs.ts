/** What is to run on the mail host: an imapd that greets with PREAUTH, tried out, and sendmail if it is wanted. */

import type { Alias } from '../../alias/alias.ts';
import { Failure, toFailure } from '../../errors.ts';
import { IMAPD_PLACES } from '../../imap/imapd-command.ts';
import { Log } from '../../log.ts';
import { SENDMAIL_PLACES } from '../../mail/sendmail-command.ts';
import { openImapd } from '../../transport/imapd.ts';
import type { Connection } from '../../transport/transport.ts';
import { findRemoteProgram, readOutput } from '../remote-program.ts';
import type { Answers } from './answers.ts';
import type { Visit } from './visit.ts';

export interface ProgramContext {
  readonly answers: Answers;
  readonly interactive: boolean;
  readonly stateDir: string;
  readonly signal: AbortSignal;
}

/** @throws {Failure} those of `openImapd` where nobody can name another one @throws {Declined} */
export async function chooseImapd(
  { alias, connection }: Visit,
  given: string | undefined,
  context: ProgramContext,
): Promise<string> {
  const { answers, interactive } = context;
  const found = given ?? (await findRemoteProgram(connection, IMAPD_PLACES));
  for (let imapd = found ?? 'auto'; ; ) {
    try {
      await openInbox(connection, { ...alias, imapd }, context);
      return imapd;
    } catch (thrown) {
      const failure = toFailure(thrown);
      if (given !== undefined || !interactive || !/^imapd-/.test(failure.code)) throw thrown;
      answers.say(failure.message);
      imapd = await answers.get({
        name: 'imapd',
        text: `which command starts an imapd that greets with PREAUTH on ${alias.hostname}`,
        option: '--imapd',
        given: undefined,
        proposal: undefined,
        check: (text) => (/["\\\r\n]/.test(text) ? 'neither quotes nor backslashes can be in it' : undefined),
      });
    }
  }
}

/**
 * Starts imapd, looks into INBOX and ends it again; gives its greeting.
 *
 * @throws {Failure} those of `openImapd`, `imapd-no-inbox`
 */
export async function openInbox(
  connection: Connection,
  alias: Alias,
  { stateDir, signal }: Pick<ProgramContext, 'stateDir' | 'signal'>,
): Promise<string> {
  const { stream, greeting } = await openImapd(connection, alias, {
    command: undefined,
    signal,
    log: new Log(stateDir, 0),
    onStderr: () => {},
  });
  stream.stdin.end('a EXAMINE INBOX\r\nb LOGOUT\r\n');
  const answer = await readOutput(stream);
  if (/^a OK/m.test(answer)) return greeting.toString('latin1').trimEnd();
  const said = /^a (.*)/m.exec(answer)?.[1]?.trim() ?? 'it did not answer';
  throw new Failure('imapd-no-inbox', { host: alias.hostname, said });
}

/** The command, or undefined if no mail is to be sent through the host. @throws {Failure} `usage` @throws {Declined} */
export async function chooseSendmail(
  { alias, connection }: Visit,
  given: string | undefined,
  { answers }: ProgramContext,
): Promise<string | undefined> {
  if (given?.startsWith('/')) return given;
  const found = given === 'no' ? undefined : await findRemoteProgram(connection, SENDMAIL_PLACES);
  if (found === undefined) {
    if (given === undefined || given === 'no') return undefined;
    throw new Failure('usage', {
      problem: `no sendmail was found on ${alias.hostname}; give its path with --sendmail`,
    });
  }
  const wanted = await answers.getYesNo({
    name: 'sendmail',
    text: `send mail through ${alias.hostname}, too (${found})`,
    option: '--sendmail',
    given,
    proposal: true,
  });
  return wanted ? found : undefined;
}
