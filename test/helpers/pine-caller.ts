/**
 * A caller of pine-rsh that behaves as Pine: starts it with Pine's words, reads the greeting, and, where that is a
 * refusal, asks on as c-client does until the connection is closed.
 */
import assert from 'node:assert/strict';
import { existsSync, readFileSync, statSync } from 'node:fs';
import { join } from 'node:path';
import { type ImapAnswer, type ImapClient, openImapClient } from './imap-client.ts';
import { type PineChild, runAsPine } from './run-as-pine.ts';
import type { Scope } from './scope.ts';
import type { AliasKeys, TempHome } from './temp-home.ts';
import { openTrialHome, type Trial } from './trials.ts';
import type { WaitOptions } from './wait.ts';

/** What Pine runs for `{HOST/user=USER}`. */
export const pineWords = (host: string, user: string) => [host, '-l', user, 'exec', '/etc/rimapd'];

export interface PineCaller {
  readonly home: TempHome;
  /** Starts pine-rsh as Pine does for the alias `work`. */
  start(): PineChild;
  /** The same, and waits for the greeting of an imapd (a refusal greets with PREAUTH too). */
  open(): Promise<{ child: PineChild; imap: ImapClient }>;
}

/** A home with the alias `work` in it, which must have a USER: that is whom Pine asks for. */
export function openPineCaller(scope: Scope, { build, keys }: Trial, alias: AliasKeys): PineCaller {
  const home = openTrialHome(scope);
  home.writeAlias('work', { ...alias, ...keys });
  const words = pineWords('work', String(alias['USER']));
  const start = () => runAsPine(scope, build.rshPath, words, { env: home.env, cwd: '/' });
  return {
    home,
    start,
    open: async () => {
      const child = start();
      const imap = openImapClient(child);
      assert.match(await imap.greeting(), /^\* PREAUTH (?!.*pine-rsh:)/, home.log());
      return { child, imap: { ...imap, ask: (command) => askOrExplain(imap, command, home) } };
    },
  };
}

/** A test that fails for want of an answer shows what pine-rsh had to say about it. */
async function askOrExplain(imap: ImapClient, command: string, home: TempHome): Promise<ImapAnswer> {
  try {
    return await imap.ask(command);
  } catch (cause) {
    throw new Error(`${command} was not answered; the log:\n${home.log()}`, { cause });
  }
}

/**
 * Goes through the refusal as Alpine does and checks every byte of it.
 *
 * @returns the text that the person sees: `pine-rsh: work: REASON; HINT`
 */
export async function readRefusal(child: PineChild, options?: WaitOptions): Promise<string> {
  const greeting = await child.waitForLine(options);
  const text = /^\* PREAUTH \[ALERT\] (pine-rsh: .*)$/.exec(greeting)?.[1];
  assert.ok(text !== undefined, `not a refusal: ${greeting}`);
  assert.match(text, /^[\x20-\x7e]+$/);
  child.write('00000000 CAPABILITY\r\n');
  await child.waitForText('00000000 OK');
  child.write('00000001 SELECT INBOX\r\n');
  await child.waitForText('* BYE');
  child.endInput();
  const { code, output } = await child.finish({ timeout: 5_000 });
  assert.equal(
    output.toString('latin1'),
    [
      `* PREAUTH [ALERT] ${text}`,
      '* CAPABILITY IMAP4rev1',
      '00000000 OK done',
      `00000001 NO ${text}`,
      `* BYE ${text}`,
      '',
    ].join('\r\n'),
  );
  assert.equal(code, 255);
  return text;
}

/**
 * What came of starting pine-rsh: a mailbox, or a refusal (checked as `readRefusal` does). Anything else, silence most of
 * all, is what Pine answers with a login in the clear, and fails.
 *
 * @returns the refusal's text; undefined for a mailbox
 */
export async function settleOpening(child: PineChild, options?: WaitOptions): Promise<string | undefined> {
  const greeting = await child.waitForLine(options);
  if (greeting.includes('pine-rsh:')) return await readRefusal(child, options);
  assert.match(greeting, /^\* PREAUTH /);
  return undefined;
}

/** Checks the log: private, fit for a terminal, and one outcome for each time pine-rsh was started. */
export function assertLog(home: TempHome, outcomes: readonly ('session' | 'failure')[]): void {
  const file = join(home.stateDir, 'log');
  assert.ok(existsSync(file), 'there is a log');
  assert.equal(statSync(file).mode & 0o777, 0o600);
  assert.equal(statSync(home.stateDir).mode & 0o777, 0o700);
  const bytes = readFileSync(file);
  assert.ok(
    bytes.every((byte) => byte === 0x0a || (byte >= 0x20 && byte < 0x7f)),
    'the log holds printable ASCII only',
  );
  const events = home
    .log()
    .split('\n')
    .map((line) => line.split(' ')[2])
    .filter((event) => event === 'session' || event === 'failure');
  assert.deepEqual(events, outcomes, home.log());
}
