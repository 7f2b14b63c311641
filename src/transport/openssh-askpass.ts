/**
 * Programs for SSH_ASKPASS (ssh(1)): who answers the questions of the system's ssh. PASSPHRASE_COMMAND answers those
 * for a passphrase, a person, where there is one, all others. An answer goes through a FIFO, never into a file.
 */
import {
  closeSync,
  constants,
  openSync,
  readdirSync,
  readFileSync,
  rmSync,
  writeFileSync,
  writeSync,
} from 'node:fs';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { errnoOf } from '../errors.ts';
import { ASKPASS_POLL_MS, ASKPASS_POLLS, PROMPT_TEXT_MAX } from '../limits.ts';

/** Gives the answer; undefined if there is none. */
export type AnswerQuestion = (question: string) => Promise<string | undefined>;

export interface Askpass {
  /** For SSH_ASKPASS. */
  readonly program: string;
  stop(): void;
}

const PROGRAM = 'askpass';
const QUESTION = 'question.';

/**
 * Writes the program into a private folder, and answers what comes from there.
 *
 * @param passphraseCommand its first output line is the answer to a question for a passphrase
 * @param answer everything else; undefined: nobody is there
 */
export function openAskpass(
  folder: string,
  passphraseCommand: string | undefined,
  answer: AnswerQuestion | undefined,
): Askpass {
  const program = join(folder, PROGRAM);
  writeFileSync(program, formatProgram(folder, passphraseCommand, answer !== undefined), { mode: 0o700 });
  if (answer === undefined) return { program, stop: () => {} };
  const poll = setInterval(() => {
    for (const question of takeQuestions(folder)) void reply(question, answer);
  }, ASKPASS_POLL_MS);
  return { program, stop: () => clearInterval(poll) };
}

/** ssh asks for a touch without wanting an answer (`none`), and for a yes or no (`confirm`), which is a no. */
function formatProgram(folder: string, command: string | undefined, hasPerson: boolean): string {
  return `#!/bin/sh
case \${SSH_ASKPASS_PROMPT-} in
none) printf '%s\\n' "$1" >&2; exit 0 ;;
?*) exit 1 ;;
esac
${command === undefined ? '' : formatPassphrases(command)}${
  hasPerson
    ? `cd '${folder.replaceAll("'", `'\\''`)}' || exit 1
mkfifo -m 600 "answer.$$" || exit 1
printf '%s' "$1" >"asking.$$" && mv "asking.$$" "${QUESTION}$$" || exit 1
answer=$(cat "answer.$$")
rm -f "answer.$$"
[ -n "$answer" ] || exit 1
printf '%s\\n' "$answer"`
    : 'exit 1'
}
`;
}

function formatPassphrases(command: string): string {
  return `case $1 in "Enter passphrase for "*)
(
${command}
)
status=$?
[ $status = 0 ] || echo "PASSPHRASE_COMMAND ended with status $status" >&2
exit $status ;;
esac
`;
}

interface Question {
  readonly text: string;
  readonly fifo: string;
}

function takeQuestions(folder: string): Question[] {
  try {
    return readdirSync(folder)
      .filter((name) => name.startsWith(QUESTION))
      .map((name) => {
        const file = join(folder, name);
        const text = readFileSync(file, 'utf8').slice(0, PROMPT_TEXT_MAX);
        rmSync(file);
        return { text, fifo: join(folder, `answer.${name.slice(QUESTION.length)}`) };
      });
  } catch {
    // The folder went with its connection.
    return [];
  }
}

/** An empty answer is none. */
async function reply({ text, fifo }: Question, answer: AnswerQuestion): Promise<void> {
  const said = await answer(text).catch(() => undefined);
  for (let tries = 0; tries < ASKPASS_POLLS; tries += 1) {
    try {
      // Without O_NONBLOCK we would wait for a program that has gone.
      const fd = openSync(fifo, constants.O_WRONLY | constants.O_NONBLOCK);
      try {
        writeSync(fd, said ?? '');
      } finally {
        closeSync(fd);
      }
      return;
    } catch (error) {
      // ENXIO: it does not read yet. Anything else: ssh has ended.
      if (errnoOf(error) !== 'ENXIO') return;
    }
    await sleep(ASKPASS_POLL_MS);
  }
}
