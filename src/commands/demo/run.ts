/**
 * The demo from start to end. A mail host and a mailbox run inside this process,
 * on the loopback address and with keys made a moment ago; the real pine-rsh is started on them as Pine starts it.
 */
import { readFile } from 'node:fs/promises';
import { Failure } from '../../errors.ts';
import { logPath } from '../../log.ts';
import type { Settings } from '../../settings.ts';
import { escapeForTerminal } from '../../terminal-text.ts';
import { makeKeyPair } from '../../transport/new-key.ts';
import { awaitWarmImapd } from '../await-warm.ts';
import { exitStatus, withInterrupt } from '../interrupt.ts';
import { indent, type Output, printLines, printProblem } from '../output.ts';
import { runAlpine } from './alpine.ts';
import { endAllBrokers } from './brokers.ts';
import { DEMO_ALIAS, DEMO_USER, type DemoHome, openDemoHome, writeDemoAlias } from './home.ts';
import { openDemoMailbox } from './mailbox.ts';
import { demoFailed, openPineSession, type PineSession } from './pine-session.ts';
import { writeSampleMessages } from './sample-messages.ts';
import { DemoScreen } from './screen.ts';
import { type DemoSshServer, openSshServer } from './ssh-server.ts';

export interface DemoOptions {
  /** The absolute path of pine-rsh. */
  readonly programPath: string;
  /** Let a person read the mail in Alpine instead. */
  readonly alpine: boolean;
  /** Leave the folder with keys, alias file and log behind. */
  readonly keep: boolean;
}

/** Returns 0 when the mail was read over SSH. */
export async function runDemo(settings: Settings, options: DemoOptions, output: Output): Promise<number> {
  return await withInterrupt(output, async (signal) => {
    const home = await openDemoHome(settings);
    try {
      const status = await showDemo(home, settings, options, output, signal);
      return signal.aborted ? exitStatus(signal) : status;
    } catch (thrown) {
      if (signal.aborted) return exitStatus(signal);
      if (!(thrown instanceof Failure) || thrown.code !== 'demo-failed') throw thrown;
      printProblem(output, thrown.message, thrown.hint);
      await printLog(home, output);
      return 1;
    } finally {
      if (options.keep) printLines(output, ['', 'Everything the demo wrote is kept in', `  ${home.dir}`]);
      else await home.remove();
    }
  });
}

async function showDemo(
  home: DemoHome,
  settings: Settings,
  { programPath, alpine }: DemoOptions,
  output: Output,
  signal: AbortSignal,
): Promise<number> {
  const messages = writeSampleMessages(new Date());
  const mailbox = await openDemoMailbox(home.dir, DEMO_USER, messages, settings.uid);
  const [hostKey, userKey] = [makeKeyPair('mail host of the demo'), makeKeyPair('key of the demo')];
  const server: DemoSshServer = await openSshServer({
    hostKey,
    user: DEMO_USER,
    userKey,
    runImapd: mailbox.runImapd,
  });
  const sessions: PineSession[] = [];
  try {
    const alias = await writeDemoAlias(home, server, hostKey, userKey);
    if (alpine) return await runAlpine(home, settings, programPath, output, signal);
    const argv = [programPath, DEMO_ALIAS, '-l', DEMO_USER, 'exec', '/etc/rimapd'];
    const screen = new DemoScreen(output);
    const open = async (): Promise<PineSession> => {
      const session = await openPineSession(argv, home.env, signal);
      sessions.push(session);
      return session;
    };

    screen.introduce(`${server.host}:${server.port}`, mailbox.name);
    screen.showAlias(alias);
    screen.showCommand(argv);
    const first = await open();
    screen.showGreeting(first);
    const listed = await first.list();
    screen.showMessages(listed);
    const expected = messages.map((message) => message.subject).join('\n');
    if (listed.map((message) => message.subject).join('\n') !== expected) {
      throw demoFailed(`${messages.length} messages lie in the mailbox, but these were not read`);
    }
    await awaitWarmImapd(home.settings, signal);
    const second = await open();
    screen.showSecond(first.openedAfter, second.openedAfter);
    await checkEnd(second);
    await checkEnd(first);
    screen.showPinerc(programPath);
    return 0;
  } finally {
    for (const session of sessions) session.kill();
    await endAllBrokers(home.settings);
    await server.close();
  }
}

async function checkEnd(session: PineSession): Promise<void> {
  const status = await session.logout();
  if (status !== 0) throw demoFailed(`pine-rsh ended with status ${status ?? 'none'} after LOGOUT`);
}

async function printLog({ stateDir }: DemoHome, output: Output): Promise<void> {
  const log = await readFile(logPath(stateDir), 'utf8').catch(() => '');
  const lines = log.split('\n').filter((line) => line !== '');
  if (lines.length === 0) return;
  const shown = lines.flatMap((line) => indent(escapeForTerminal(line), output.columns));
  output.stderr.write(`the log of this run:\n${shown.map((line) => `${line}\n`).join('')}`);
}
