/**
 * Somebody who reads mail as with Alpine: opens INBOX, reads, waits, looks for new mail, saves a message, sends one,
 * and mostly logs out. Whatever breaks meanwhile, each opening must get a greeting or a reason, and each session must
 * end; the rest is counted.
 */
import { setTimeout as sleep } from 'node:timers/promises';
import type { Build } from '../../helpers/builds.ts';
import { pineWords } from '../../helpers/pine-caller.ts';
import { type PineChild, runAsPine } from '../../helpers/run-as-pine.ts';
import { runProgram } from '../../helpers/run-program.ts';
import type { TempHome } from '../../helpers/temp-home.ts';
import { waitUntil, within } from '../../helpers/wait.ts';
import { withScope } from './own-scope.ts';
import type { Tally } from './tally.ts';

/** Alpine's rsh-open-timeout, after which it would try TCP port 143. */
const ALPINE_PATIENCE_MS = 15_000;
/** Alpine's tcp-query-timeout. */
const GREETING_MS = 60_000;
/** A line that is dead is found after SERVER_ALIVE_INTERVAL and one unanswered probe; the rest is a busy machine. */
const ANSWER_MS = 60_000;
const SENDMAIL_MS = 180_000;
const THINK_MS = 4_000;

export interface MailUser {
  readonly build: Build;
  readonly home: TempHome;
  readonly alias: string;
  readonly remoteUser: string;
  readonly tally: Tally;
  /** Clients that run, for whoever wants to kill one. */
  readonly clients: Set<PineChild>;
  /** Clients that were killed on purpose. */
  readonly killed: Set<PineChild>;
}

let lastId = 0;

/** Reads mail once, or sends a message. */
export async function useMail(user: MailUser): Promise<void> {
  if (Math.random() < 0.15) await sendMessage(user);
  else
    await withScope((scope) => {
      const words = pineWords(user.alias, user.remoteUser);
      const child = runAsPine(scope, user.build.rshPath, words, { env: user.home.env, cwd: '/' });
      user.clients.add(child);
      return readMail(user, child).finally(() => user.clients.delete(child));
    });
  await think();
}

async function sendMessage({ build, home, alias, tally }: MailUser): Promise<void> {
  const id = `sent-${++lastId}`;
  const input = `To: you@example.org\nSubject: ${id}\n\n${'A line of a letter.\n'.repeat(1 + Math.random() * 2_000)}`;
  try {
    const words = [alias, 'sendmail', '-oi', '-t'];
    const { code } = await runProgram(build.rshPath, words, { env: home.env, input, timeout: SENDMAIL_MS });
    tally.sent.set(id, code ?? -1);
    tally.count(`sendmail: exit status ${code}`);
  } catch (error) {
    tally.offend(`${alias}: ${error}`);
  }
}

async function readMail({ alias, tally, killed }: MailUser, child: PineChild): Promise<void> {
  let ended = false;
  const ending = child.waitForExit({ timeout: 3_600_000 }).then((how) => {
    ended = true;
    return how;
  });
  let count = 0;
  let from = 0;
  /** The answer to a command; undefined when the session ended before it. */
  const ask = async (command: string): Promise<string | undefined> => {
    const tag = `t${++count}`;
    const answer = new RegExp(`^${tag} (?:OK|NO|BAD) `, 'm');
    const text = (): string => child.output().toString('latin1').slice(from);
    child.write(`${tag} ${command}\r\n`);
    await waitUntil(`the answer to ${command.slice(0, 30)}`, () => ended || answer.test(text()), {
      timeout: ANSWER_MS,
    });
    const all = text();
    from += all.length;
    return answer.exec(all)?.[0];
  };
  try {
    await waitUntil('a greeting', () => ended || child.output().includes('\n'), { timeout: GREETING_MS });
    const greeting = child.output().toString('latin1').split('\r\n', 1)[0] ?? '';
    from = greeting.length;
    const first = child.chunks[0]?.at;
    if (first !== undefined) {
      tally.firstBytes.push(first);
      if (first > ALPINE_PATIENCE_MS) tally.offend(`${alias}: the first byte came after ${first} ms`);
    }
    if (killed.has(child)) tally.count('client killed before the greeting');
    else if (/^\* PREAUTH \[ALERT\] pine-rsh: /.test(greeting)) {
      tally.count(
        `refused: ${greeting
          .replace(/^.*?pine-rsh: \w+: /, '')
          .replace(/\d+/g, 'N')
          .slice(0, 90)}`,
      );
      await ask('CAPABILITY');
      await ask('SELECT INBOX');
    } else if (greeting.startsWith('* PREAUTH ')) {
      tally.count('opened');
      await readFolder(tally, child, ask);
    } else tally.offend(`${alias}: no greeting but ${JSON.stringify(greeting)}`);
    const { code, signal } = await within('the end', ending, { timeout: ANSWER_MS });
    const how = killed.has(child) ? 'killed on purpose' : `exit status ${code}`;
    tally.count(`session: ${how}`);
    if (signal !== null && !killed.has(child)) tally.offend(`${alias}: pine-rsh ended by ${signal}`);
  } catch (error) {
    tally.offend(
      `${alias}: ${error}; its output ended in ${JSON.stringify(child.output().toString('latin1').slice(-100))}`,
    );
  }
}

async function readFolder(
  tally: Tally,
  child: PineChild,
  ask: (command: string) => Promise<string | undefined>,
): Promise<void> {
  await ask('CAPABILITY');
  if ((await ask('SELECT INBOX')) === undefined) return;
  await ask('FETCH 1:* (UID FLAGS INTERNALDATE RFC822.SIZE ENVELOPE)');
  for (let turns = Math.random() * 4; turns > 0; turns -= 1) {
    await think();
    if ((await ask(`FETCH ${1 + Math.floor(Math.random() * 20)} BODY[]`)) === undefined) return;
    if ((await ask('NOOP')) === undefined) return;
  }
  if (Math.random() < 0.5) {
    const id = `saved-${++lastId}`;
    const text = `Subject: ${id}\r\n\r\n${'A line of it.\r\n'.repeat(20)}`;
    const answer = await ask(`APPEND Work {${text.length}+}\r\n${text}`);
    if (answer?.includes(' OK ') === true) tally.saved.push(id);
    if ((await ask('SELECT Work')) === undefined) return;
  }
  await think();
  const leave = Math.random();
  if (leave < 0.8) await ask('LOGOUT');
  else if (leave < 0.9) child.endInput();
  else child.closeOutput();
  // Alpine closes its end as well.
  child.endInput();
}

async function think(): Promise<void> {
  await sleep(Math.random() * THINK_MS);
}
