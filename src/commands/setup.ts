/**
 * `pine-rshctl setup [ALIAS] [USER@HOST[:PORT]]`: from a login that a person has to a mailbox that opens in Alpine.
 * Asks what it cannot find out; every answer can be an option instead.
 *
 * All questions come before the first change: until then everything lies in a staging folder, so that Ctrl-C at any of
 * them leaves nothing. Then the key goes to the host, the mailbox is opened with it, and only if that works are the
 * files of the person written.
 */
import { resolve } from 'node:path';
import { Failure } from '../errors.ts';
import type { Settings } from '../settings.ts';
import { readKeyFile } from '../transport/key-file.ts';
import type { Prompt } from '../transport/prompt.ts';
import { declareCommand } from './command.ts';
import { exitStatus, withInterrupt } from './interrupt.ts';
import type { Output } from './output.ts';
import { isUnsafeProgramPath } from './pinerc-lines.ts';
import { Answers, Declined } from './setup/answers.ts';
import { chooseChanges, type SetupChanges, writeChanges } from './setup/changes.ts';
import { isKeyWord } from './setup/choose-key.ts';
import type { VisitedHost } from './setup/host-plan.ts';
import { type InstallPlan, installKeys } from './setup/install.ts';
import { answerFromFile, rememberAnswers } from './setup/password.ts';
import { chooseName, visitAll } from './setup/places.ts';
import { chooseImapd, chooseSendmail } from './setup/programs.ts';
import { openStaging, type Staging } from './setup/staging.ts';
import { createPrompt } from './terminal-prompt.ts';
import { type Ask, askOnTerminal } from './terminal-question.ts';
import { parseFingerprintOption } from './trust.ts';

export const setupCommand = declareCommand({
  name: 'setup',
  summary: 'make a mailbox open: alias, host key, key, .pinerc',
  operands: {
    alias: { kind: 'optional', summary: 'what the folders are to be called' },
    place: { kind: 'optional', summary: 'USER@HOST or USER@HOST:PORT' },
  },
  options: {
    key: { kind: 'file', summary: 'new, existing, agent (one that ssh-agent holds), or a key file' },
    'password-file': { kind: 'file', summary: 'file whose first line is the password' },
    fingerprint: {
      kind: 'text',
      summary: "the host key's fingerprint, SHA256:..., to trust without a question",
    },
    jump: { kind: 'text', summary: 'gateways: aliases or USER@HOST:PORT, comma separated' },
    imapd: { kind: 'text', summary: 'the imapd command on the host' },
    sendmail: { kind: 'text', summary: 'send mail through the host: yes, no, or its path there' },
    forward: { kind: 'text', summary: 'HOST:PORT that the key may connect to, comma separated' },
    unmanaged: { kind: 'text', summary: 'hosts without an alias: deny or allow' },
    pinerc: { kind: 'file', summary: 'edit this .pinerc: yes, no, or a file' },
    replace: { kind: 'switch', summary: 'replace an alias that is there' },
    yes: { kind: 'switch', short: 'y', summary: 'take what is proposed where no option answers' },
  },
  examples: [
    ['work pat@mail.example.org', 'asks for what it cannot find out'],
    ['work pat@mail --jump pat@gate.example.org', 'through a gateway, which gets an alias, too'],
    ['work pat@mail --password-file pw --fingerprint SHA256:... -y', 'without a terminal'],
  ],
  run: async ({ settings, programPath, output }, args) =>
    await runSetup(settings, { ...args, ...placeWords(args), programPath }, output, askOnTerminal(output)),
});

type Words = Pick<SetupOptions, 'alias' | 'place'>;

/** Somebody who gives one word, and that a place, is asked for the name. */
function placeWords({ alias, place }: Words): Words {
  return alias?.includes('@') && place === undefined ? { alias: undefined, place: alias } : { alias, place };
}

export interface SetupOptions {
  readonly alias: string | undefined;
  readonly place: string | undefined;
  readonly key: string | undefined;
  readonly 'password-file': string | undefined;
  readonly fingerprint: string | undefined;
  readonly jump: string | undefined;
  readonly imapd: string | undefined;
  readonly sendmail: string | undefined;
  readonly forward: string | undefined;
  readonly unmanaged: string | undefined;
  readonly pinerc: string | undefined;
  readonly replace: boolean;
  readonly yes: boolean;
  /** The absolute path of pine-rsh. */
  readonly programPath: string;
}

/** What all steps share. */
export interface SetupRun {
  readonly settings: Settings;
  readonly options: SetupOptions;
  readonly output: Output;
  readonly ask: Ask;
  readonly answers: Answers;
  readonly staging: Staging;
  readonly prompt: Prompt | undefined;
  readonly fingerprint: string | undefined;
  readonly signal: AbortSignal;
}

/**
 * Returns 0 when the mailbox opens, 1 if the person did not go on.
 *
 * @throws {Failure} `usage`, and whatever keeps the mailbox from opening; nothing is changed then
 */
export async function runSetup(
  settings: Settings,
  options: SetupOptions,
  output: Output,
  askPerson: Ask,
): Promise<number> {
  const { programPath } = options;
  if (isUnsafeProgramPath(programPath)) throw new Failure('program-path-unusable', { path: programPath });
  const fingerprint = parseFingerprintOption(options.fingerprint);
  const passwordFile = options['password-file'];
  const fromFile = passwordFile === undefined ? undefined : answerFromFile(resolve(passwordFile), settings);
  if (options.key !== undefined && !isKeyWord(options.key)) readKeyFile(resolve(options.key), settings.uid);
  return await withInterrupt(output, async (signal) => {
    const ask = output.interactive ? askPerson : askNobody;
    const answers = new Answers({ output, ask, signal, takeProposals: options.yes });
    const staging = openStaging(settings);
    const prompt =
      fromFile ?? (output.interactive ? rememberAnswers(createPrompt(ask, output, signal)) : undefined);
    try {
      await setUp({ settings, options, output, ask, answers, staging, prompt, fingerprint, signal });
      return 0;
    } catch (thrown) {
      if (signal.aborted) return exitStatus(signal);
      if (!(thrown instanceof Declined)) throw thrown;
      answers.say('nothing was changed');
      return 1;
    } finally {
      staging.close();
    }
  });
}

/** Only what no option was given for gets here. */
const askNobody: Ask = () => {
  const problem = 'setup asks on a terminal; without one the host must be known, or needs --fingerprint';
  return Promise.reject(new Failure('usage', { problem }));
};

async function setUp(run: SetupRun): Promise<void> {
  const { options, answers, output, staging, signal } = run;
  const forwards = parseForwards(options.forward);
  const name = await chooseName(run);
  const hosts: VisitedHost[] = [];
  try {
    await visitAll(name, run, hosts);
    const mail = hosts.at(-1) as VisitedHost;
    const { settings } = staging;
    const context = { answers, interactive: output.interactive, stateDir: settings.stateDir, signal };
    const imapd = await chooseImapd(mail, options.imapd, context);
    const sendmail = await chooseSendmail(mail, options.sendmail, context);
    const plan: InstallPlan = { hosts, imapd, sendmail, forwards };
    const changes = await chooseChanges(plan, run);
    await install(plan, changes, run);
  } finally {
    for (const { connection } of hosts) connection.close();
  }
}

/** No question is asked from here on. */
async function install(plan: InstallPlan, changes: SetupChanges, run: SetupRun): Promise<void> {
  const { answers, staging, prompt, signal } = run;
  const installed = await installKeys(plan, { answers, staging, signal, prompt });
  const { name } = plan.hosts.at(-1) as VisitedHost;
  answers.say(`the mailbox opens: ${installed.greeting.replace(/\[CAPABILITY [^\]]*\] ?/, '')}`);
  try {
    signal.throwIfAborted();
    writeChanges(plan, changes, run);
  } catch (thrown) {
    await installed.undo();
    throw thrown;
  }
  if (installed.needsPerson) {
    answers.say(`a person is asked at every login: before Alpine, run: pine-rshctl connect ${name}`);
  }
}

/** @throws {Failure} `usage` */
function parseForwards(text: string | undefined): string[] {
  const targets = text === undefined ? [] : text.split(',').map((each) => each.trim());
  if (targets.every((target) => /^(?:\[[0-9A-Fa-f:.]+\]|[A-Za-z0-9._-]+):\d{1,5}$/.test(target)))
    return targets;
  throw new Failure('usage', { problem: '--forward is HOST:PORT, or several separated by commas' });
}
