/** Questions of a login on the terminal: whose words they are, and that none of them is obeyed. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { createPrompt } from '../../src/commands/terminal-prompt.ts';
import type { PromptRequest } from '../../src/transport/prompt.ts';
import { type Captured, captureOutput } from './capture.ts';

const REQUEST: PromptRequest = {
  kind: 'keyboard-interactive',
  title: 'pat@mail:22',
  instructions: '',
  prompts: [],
  again: false,
};

async function ask(
  request: Partial<PromptRequest>,
  typed: readonly (string | undefined)[] = ['a', 'b'],
  output: Captured = captureOutput(),
): Promise<{ answers: readonly string[] | undefined; questions: [string, boolean][]; shown: string }> {
  const questions: [string, boolean][] = [];
  const left = [...typed];
  const prompt = createPrompt(
    async (question, { echo }) => {
      questions.push([question, echo]);
      return left.shift();
    },
    output,
    new AbortController().signal,
  );
  const answers = await prompt({ ...REQUEST, ...request });
  return { answers, questions, shown: output.text() };
}

test("a server's words stand behind its name", async () => {
  const { answers, questions, shown } = await ask({
    instructions: 'Two steps\r\n\r\nTake your token',
    prompts: [
      { text: 'Password:', echo: false },
      { text: 'Pick:\n 1. Push\n 2. Call\nOption (1-2): ', echo: true },
    ],
  });
  assert.deepEqual(answers, ['a', 'b']);
  assert.deepEqual(questions, [
    ['(pat@mail:22) Password: ', false],
    ['(pat@mail:22) Option (1-2): ', true],
  ]);
  assert.deepEqual(shown.split('\n'), [
    '(pat@mail:22) Two steps',
    '(pat@mail:22) Take your token',
    '(pat@mail:22) Pick:',
    '(pat@mail:22) 1. Push',
    '(pat@mail:22) 2. Call',
    '',
  ]);
});

test('our own questions stand alone', async () => {
  const { questions } = await ask({
    kind: 'password',
    prompts: [{ text: "pat@mail:22's password: ", echo: false }],
  });
  assert.deepEqual(questions, [["pat@mail:22's password: ", false]]);
});

test('what a terminal would obey is shown', async () => {
  const { questions, shown } = await ask({
    instructions: '\x1b]0;owned\x07\x9b2J',
    prompts: [{ text: 'Password\x1b[8m\t\u202e: ', echo: false }],
  });
  assert.equal(shown, '(pat@mail:22) \\x1b]0;owned\\x07\\x9b2J\n');
  assert.deepEqual(questions, [['(pat@mail:22) Password\\x1b[8m \\u{202e}: ', false]]);
});

test('what was refused is said', async () => {
  const { shown } = await ask({ again: true, prompts: [{ text: 'Password: ', echo: false }] });
  assert.equal(shown, 'not accepted; try again\n');
});

test('the end of input ends the questions', async () => {
  const prompts = [1, 2, 3].map((each) => ({ text: `${each}: `, echo: true }));
  const { answers, questions } = await ask({ prompts }, ['a', undefined]);
  assert.equal(answers, undefined);
  assert.equal(questions.length, 2);
});

test('a request without questions has no answers', async () => {
  const { answers, shown } = await ask({ instructions: 'Welcome' });
  assert.deepEqual([answers, shown], [[], '(pat@mail:22) Welcome\n']);
});
