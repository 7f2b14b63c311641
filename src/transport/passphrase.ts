/**
 * Where the passphrase of a key comes from: PASSPHRASE_COMMAND, then a person, asked by SSH_ASKPASS, or on the terminal
 * where there is one. It goes from there to the key and nowhere else.
 */
import type ssh2 from 'ssh2';
import type { Alias } from '../alias/alias.ts';
import { Failure } from '../errors.ts';
import { PASSPHRASE_ATTEMPTS, PASSPHRASE_WAIT_MS } from '../limits.ts';
import type { Log } from '../log.ts';
import type { Settings } from '../settings.ts';
import { type Program, type ProgramAnswer, readFirstLine } from './child-process.ts';
import type { LockedKeyFile } from './key-file.ts';
import type { Prompt } from './prompt.ts';

export interface PassphraseContext {
  readonly alias: Pick<Alias, 'name' | 'passphraseCommand'>;
  readonly settings: Pick<Settings, 'askpass' | 'brokerEnv'>;
  readonly log: Pick<Log, 'record'>;
  readonly prompt: Prompt | undefined;
  readonly signal: AbortSignal;
}

/**
 * Unlocks a key.
 *
 * @throws {Failure} `identity-encrypted` (nobody to ask, or nobody who answered), `identity-passphrase`,
 *   `passphrase-command-failed`, `identity-unsupported`
 * @throws the signal's reason
 */
export async function unlockKey(locked: LockedKeyFile, context: PassphraseContext): Promise<ssh2.ParsedKey> {
  const { file } = locked;
  const { alias } = context;
  let failure: Failure = new Failure('identity-encrypted', { file, alias: alias.name });
  for (const source of listSources(locked, context)) {
    const answer = await source();
    if (answer instanceof Failure) failure = answer;
    else if (answer === undefined) break;
    else {
      const key = await locked.unlock(Buffer.from(answer, 'latin1'));
      if (key !== undefined) return key;
      failure = new Failure('identity-passphrase', { file });
    }
  }
  throw failure;
}

/** A passphrase, one character a byte; a failure, after which the next source is asked; undefined: the person does not want to. */
type Source = () => Promise<string | Failure | undefined>;

function listSources({ file }: LockedKeyFile, context: PassphraseContext): Source[] {
  const { alias } = context;
  const sources: Source[] = [];
  if (alias.passphraseCommand !== undefined) {
    const program = commandProgram(alias.passphraseCommand, file, context);
    sources.push(async () => {
      const { line, end } = await ask(program, 'PASSPHRASE_COMMAND', context);
      if (end.success && line !== undefined && line !== '') return line;
      return new Failure('passphrase-command-failed', { file, how: end.success ? 'no output' : end.how });
    });
  }
  const asking = askPerson(file, context);
  if (asking !== undefined) sources.push(...Array.from({ length: PASSPHRASE_ATTEMPTS }, () => asking));
  return sources;
}

function askPerson(file: string, context: PassphraseContext): Source | undefined {
  const { prompt, settings } = context;
  if (prompt !== undefined) {
    let again = false;
    return async () => {
      const prompts = [{ text: `passphrase for ${file}: `, echo: false }];
      const answers = await prompt({ kind: 'passphrase', title: file, instructions: '', prompts, again });
      again = true;
      const [passphrase = ''] = answers ?? [];
      // Nothing typed: not this key, as in ssh.
      return passphrase === '' ? undefined : Buffer.from(passphrase).toString('latin1');
    };
  }
  const { askpass } = settings;
  if (askpass === undefined) return undefined;
  return async () => {
    const program = {
      file: askpass,
      args: [`Enter passphrase for key '${file}': `],
      env: settings.brokerEnv,
    };
    const { line, end } = await ask(program, 'SSH_ASKPASS', context);
    return end.success ? line : undefined;
  };
}

/** The command may hold a secret itself; a command line is public, an environment is not. */
function commandProgram(command: string, file: string, { alias, settings }: PassphraseContext): Program {
  return {
    file: '/bin/sh',
    args: ['-c', 'c=$PINE_RSH_COMMAND; unset PINE_RSH_COMMAND; eval "$c"'],
    env: {
      ...settings.brokerEnv,
      PINE_RSH_COMMAND: command,
      PINE_RSH_KEY: file,
      PINE_RSH_ALIAS: alias.name,
    },
  };
}

async function ask(
  program: Program,
  name: string,
  { alias, log, signal }: PassphraseContext,
): Promise<ProgramAnswer> {
  const answer = await readFirstLine(program, PASSPHRASE_WAIT_MS, signal);
  const { end, said } = answer;
  if (said !== '' || !end.success) {
    log.record('program', { alias: alias.name, program: name, end: end.how, stderr: said || undefined });
  }
  return answer;
}
