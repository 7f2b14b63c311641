/** Starting the imapd over a connection: what it is, what comes before its greeting, the greeting, a round trip. */
import type { Alias } from '../../alias/alias.ts';
import { type Failure, toFailure } from '../../errors.ts';
import { imapdByHand } from '../../imap/by-hand.ts';
import { IMAPD_PLACES } from '../../imap/imapd-command.ts';
import { sampleText } from '../../imap/sample.ts';
import { PROBE_MS } from '../../limits.ts';
import { openImapd } from '../../transport/imapd.ts';
import type { Connection } from '../../transport/transport.ts';
import { NOISE_SHOWN_MAX } from '../limits.ts';
import { findRemoteProgram } from '../remote-program.ts';
import { elapsed, type Finding, failed, passed, warned } from './finding.ts';
import type { LoginContext } from './login.ts';

/** The beginning of what was printed, each byte a character. */
interface Noise {
  readonly stdout: string;
  readonly stderr: string;
}

/** Reports what works; the failure, if there is one, is returned and not reported. */
export async function examineImapd(
  connection: Connection,
  alias: Alias,
  { log, signal, report }: LoginContext,
): Promise<Finding | undefined> {
  const began = performance.now();
  const noise = { stdout: '', stderr: '' };
  try {
    const { stream, greeting } = await openImapd(connection, alias, {
      command: undefined,
      signal,
      log,
      onStderr: (chunk) => {
        noise.stderr = (noise.stderr + chunk.toString('latin1')).slice(0, NOISE_SHOWN_MAX);
      },
      onNoise: (bytes) => {
        noise.stdout = bytes.toString('latin1', 0, NOISE_SHOWN_MAX);
      },
    });
    const ms = elapsed(began);
    // What an imapd says when it ends is no noise.
    const before = { ...noise };
    stream.stdin.end();
    const answering = performance.now();
    const alive = await connection.alive(PROBE_MS);
    const tripMs = elapsed(answering);
    report(passed('imapd', await describeImapd(connection, alias)));
    stream.kill();
    for (const finding of describeNoise(before)) report(finding);
    const line = greeting.toString('latin1').trimEnd();
    report(passed('greeting', line.replace(/\[CAPABILITY [^\]]*\]/, '[CAPABILITY ...]'), ms));
    report(
      alive
        ? passed('round-trip', 'the connection answers', tripMs)
        : warned('round-trip', `no answer within ${PROBE_MS / 1000} s`, 'check the network', tripMs),
    );
    return undefined;
  } catch (thrown) {
    const failure = toFailure(thrown);
    for (const finding of describeWords(noise, failure)) report(finding);
    const check = /^imapd-(?:not-preauth|bye|noise|silent)$/.test(failure.code) ? 'greeting' : 'imapd';
    const finding = failed(check, failure, elapsed(began));
    return isUnexplained(failure) ? { ...finding, hint: await describeCure(connection, alias) } : finding;
  }
}

/** Only the imapd itself could say why. */
function isUnexplained({ code }: Failure): boolean {
  return code === 'imapd-ended' || code === 'imapd-silent';
}

/** pine-rsh's own hint may be to run `doctor`: over a connection that is there, the imapd can be asked for by name. */
async function describeCure(connection: Connection, alias: Alias): Promise<string> {
  const imapd = alias.imapd === 'auto' ? await findRemoteProgram(connection, IMAPD_PLACES) : alias.imapd;
  const line = imapd === undefined ? undefined : imapdByHand(alias, imapd);
  return line === undefined ? 'the log of the mail system there may say why' : `see what it says: ${line}`;
}

/** Where a key may run one command only, nothing can be asked beside the imapd. */
async function describeImapd(connection: Connection, alias: Alias): Promise<string> {
  if (alias.imapd !== 'auto') return alias.imapd;
  const found = await findRemoteProgram(connection, IMAPD_PLACES);
  return found === undefined ? 'found by IMAPD=auto' : `IMAPD=auto found ${found}`;
}

/** What was printed before a greeting that came. */
function describeNoise({ stdout, stderr }: Noise): Finding[] {
  const found = [...describeOutput('standard output', stdout), ...describeOutput('standard error', stderr)];
  return found.length > 0 ? found : [passed('noise', 'nothing was printed before the greeting')];
}

function describeOutput(where: string, text: string): Finding[] {
  if (text.trim() === '') return [];
  const hint = 'pine-rsh keeps it out of the mail; a plain ssh would not: silence the login scripts there';
  return [warned('noise', `before the greeting, on ${where}: ${joinLines(text)}`, hint)];
}

/** Where no imapd greets, standard error is most likely its own, and its last line the reason. */
function describeWords({ stdout, stderr }: Noise, { message }: Failure): Finding[] {
  const words = joinLines(stderr);
  const known = words === '' || message.includes(words);
  return [
    ...describeOutput('standard output', stdout),
    ...(known ? [] : [warned('imapd', `on standard error: ${words}`, undefined)]),
  ];
}

function joinLines(text: string): string {
  return sampleText(text)
    .trim()
    .split(/\s*[\r\n]+/)
    .join(' | ');
}
