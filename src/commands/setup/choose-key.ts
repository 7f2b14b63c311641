/** Which key is to open a host. */
import { existsSync } from 'node:fs';
import { resolve } from 'node:path';
import { Failure } from '../../errors.ts';
import type { SetupRun } from '../setup.ts';
import type { VisitedHost } from './host-plan.ts';
import {
  type HeldKey,
  listHeldKeys,
  listKeyFiles,
  newKeyFile,
  type PlannedKey,
  planHeldKey,
  planKeyFile,
  planNewKey,
} from './key.ts';
import type { Visit } from './visit.ts';

/** Whether an answer, or --key, is a word of ours and no file. */
export function isKeyWord(text: string): boolean {
  return /^(?:new|existing|agent|SHA256:.*)$/.test(text);
}

/** Undefined: what gets in already stays what is used. @throws {Failure} what is wrong with a key file, `usage` @throws {Declined} */
export async function chooseKey(
  { name, role }: Pick<VisitedHost, 'name' | 'role'>,
  { byKey, alias }: Visit,
  { settings, options, answers, output }: SetupRun,
): Promise<PlannedKey | undefined> {
  const given = options.key;
  const makeNew = (): PlannedKey => {
    const file = newKeyFile(settings, name);
    return existsSync(file) ? planKeyFile(settings, file, name) : planNewKey(settings, name);
  };
  const held = await listHeldKeys(alias, settings);
  const takeHeld = (key: HeldKey): PlannedKey => {
    answers.say('the key stays in ssh-agent, which must hold it whenever mail is opened');
    return planHeldKey(settings, key, name);
  };
  if (given !== undefined && !isKeyWord(given)) return planKeyFile(settings, resolve(given), name, held);
  if (given === 'agent' || given?.startsWith('SHA256:')) {
    const key = findHeld(held, given);
    if (key !== undefined) return takeHeld(key);
    const problem = `--key ${given}: ssh-agent ${held.length === 0 ? 'holds no key' : 'does not hold it'}`;
    throw new Failure('usage', { problem });
  }
  if (byKey) {
    if (given === 'existing' || role === 'gateway') return undefined;
    if (given === 'new') return makeNew();
    const use = await answers.get({
      name: 'own-key',
      about: [`a key of yours gets in as ${alias.user} already`],
      text: 'use it, or make a new one that can open mail and nothing else (use/new)',
      option: '--key',
      given: undefined,
      proposal: 'use',
      check: (text) => (/^(?:use|new)$/.test(text) ? undefined : 'use or new'),
    });
    return use === 'use' ? undefined : makeNew();
  }
  const files = listKeyFiles(settings, name);
  const isFile = ({ blob }: HeldKey): boolean =>
    files.some(({ publicKey }) => publicKey.split(' ')[1] === blob.toString('base64'));
  const loose = held.filter((key) => !isFile(key));
  const [file] = files;
  const [first] = loose;
  if (given === 'existing') {
    if (file !== undefined) return file;
    if (first !== undefined) return takeHeld(first);
    const problem = '--key existing: there is no key in ~/.ssh under a default name, and none in ssh-agent';
    throw new Failure('usage', { problem });
  }
  if (given === 'new' || (file === undefined && first === undefined)) {
    if (output.interactive) answers.say(`a new key for it will be kept in ${newKeyFile(settings, name)}`);
    return makeNew();
  }
  const answer = await answers.get({
    ...askForKey(files, loose),
    option: '--key',
    given: undefined,
    proposal: 'new',
  });
  if (answer === 'new') return makeNew();
  const key = findHeld(loose, answer);
  return key === undefined ? planKeyFile(settings, resolve(answer), name, held) : takeHeld(key);
}

/** `agent` is the first one. */
function findHeld(held: readonly HeldKey[], word: string): HeldKey | undefined {
  return word === 'agent' ? held[0] : held.find(({ fingerprint }) => fingerprint === word);
}

function askForKey(files: readonly PlannedKey[], held: readonly HeldKey[]) {
  const one = held.length === 1 ? 'agent' : 'the fingerprint of one in ssh-agent';
  const choices = ['a file', ...(held.length === 0 ? [] : [one])];
  return {
    name: 'key',
    about: [
      ...(files.length === 0 ? [] : [`keys that are there: ${files.map(({ file }) => file).join(', ')}`]),
      ...held.map(({ fingerprint, comment }) => `in ssh-agent: ${fingerprint} ${comment}`.trimEnd()),
    ],
    text: `which key is to open it: new, for one that can open mail and nothing else, or ${choices.join(', or ')}`,
    check: (text: string) =>
      text === 'new' || findHeld(held, text) !== undefined || existsSync(resolve(text))
        ? undefined
        : `new, or the path of a private key${held.length === 0 ? '' : `, or ${one}`}`,
  } as const;
}
