/** Whom a host's questions go to: the person, whose answers are remembered for this run, or a file with the password. */
import { readPrivateFile } from '../../alias/trusted-file.ts';
import { errnoOf, Failure } from '../../errors.ts';
import { PROGRAM_LINE_MAX } from '../../limits.ts';
import type { Settings } from '../../settings.ts';
import type { Prompt } from '../../transport/prompt.ts';

/** A host may be logged in to several times before its key is there: a password is asked for once, a code each time. */
export function rememberAnswers(prompt: Prompt): Prompt {
  const known = new Map<string, readonly string[]>();
  return async (request) => {
    const { title, prompts, again } = request;
    const id = JSON.stringify([title, prompts]);
    const before = known.get(id);
    if (before !== undefined && !again) return before;
    const answers = await prompt(request);
    if (answers !== undefined && prompts.every(({ echo }) => !echo)) known.set(id, answers);
    return answers;
  };
}

/**
 * Answers what is not to be seen with the first line of a file, once.
 *
 * @throws {Failure} `file-untrusted`, `file-unreadable`, `file-unusable`
 */
export function answerFromFile(file: string, settings: Settings): Prompt {
  let bytes: Buffer;
  try {
    bytes = readPrivateFile(file, {
      uid: settings.uid,
      maxBytes: PROGRAM_LINE_MAX,
      namedBy: '--password-file',
      isSecret: () => true,
    });
  } catch (thrown) {
    if (errnoOf(thrown) !== 'ENOENT') throw thrown;
    throw new Failure('file-unusable', { file, why: 'does not exist', remedy: 'check --password-file' });
  }
  const [password = ''] = bytes.toString('utf8').split(/\r?\n/, 1);
  return async ({ prompts, again }) =>
    again ? undefined : prompts.map(({ echo }) => (echo ? '' : password));
}
