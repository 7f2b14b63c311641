/** Logging in with a person's answers: the order of methods, how often, when not, and what a server may make of it. */
import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { type TestContext, test } from 'node:test';
import ssh2 from 'ssh2';
import type { Alias } from '../../src/alias/alias.ts';
import { lookupAlias } from '../../src/alias/lookup.ts';
import { Failure } from '../../src/errors.ts';
import { PROMPT_TEXT_MAX } from '../../src/limits.ts';
import { Log } from '../../src/log.ts';
import { readSettings } from '../../src/settings.ts';
import { dial } from '../../src/transport/dial.ts';
import type { Prompt, PromptRequest } from '../../src/transport/prompt.ts';
import { makeKey } from '../helpers/host-keys.ts';
import { requirePrograms } from '../helpers/requirements.ts';
import { type AliasKeys, openTempHome } from '../helpers/temp-home.ts';

const skip = requirePrograms('ssh-keygen');

type Offer = (context: ssh2.AuthContext) => void;

interface Place {
  /** Logs in; the questions that were asked, and the failure if it failed. */
  login(prompt: Prompt | undefined): Promise<{ asked: PromptRequest[]; failure: Failure | undefined }>;
  /** The methods that the client tried, in order. */
  readonly tried: string[];
  log(): string;
}

/** A server that decides by `offer`; no public key gets in unless it says so. */
async function openPlace(t: TestContext, offer: Offer, keys: AliasKeys = {}): Promise<Place> {
  const home = openTempHome(t);
  const hostKey = join(home.dir, 'host');
  makeKey('ed25519', hostKey);
  const tried: string[] = [];
  const server = new ssh2.Server({ hostKeys: [readFileSync(hostKey)] }, (client) => {
    client.on('error', () => {});
    client.on('authentication', (context) => {
      tried.push(context.method);
      offer(context);
    });
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', () => resolve()));
  t.after(() => server.close());
  const { port } = server.address() as { port: number };
  const [type, key] = readFileSync(`${hostKey}.pub`, 'utf8').split(' ');
  const KNOWN_HOSTS = home.writeFile('known_hosts', `[127.0.0.1]:${port} ${type} ${key}\n`);
  home.writeAlias('work', { HOSTNAME: '127.0.0.1', PORT: port, USER: 'pat', KNOWN_HOSTS, ...keys });
  const settings = readSettings(home.env);
  return {
    tried,
    log: home.log,
    login: async (prompt) => {
      const asked: PromptRequest[] = [];
      const context = {
        settings,
        log: new Log(settings.stateDir, 1),
        family: 0,
        signal: new AbortController().signal,
        prompt:
          prompt &&
          ((request: PromptRequest) => {
            asked.push(request);
            return prompt(request);
          }),
      } as const;
      try {
        const connection = await dial(readAlias(settings), context);
        connection.close();
        return { asked, failure: undefined };
      } catch (thrown) {
        assert.ok(thrown instanceof Failure, String(thrown));
        return { asked, failure: thrown };
      }
    },
  };
}

function readAlias(settings: ReturnType<typeof readSettings>): Alias {
  const found = lookupAlias(settings, { host: 'work', user: undefined, port: undefined, options: new Map() });
  assert.ok(found.kind === 'managed');
  return found.alias;
}

const password =
  (right: string): Offer =>
  (context) => {
    if (context.method === 'password' && context.password === right) context.accept();
    else context.reject(['password']);
  };

test('a password is asked for when the server offers nothing else', { skip }, async (t) => {
  const place = await openPlace(t, password('open sesame'));
  const { asked, failure } = await place.login(async () => ['open sesame']);
  assert.equal(failure, undefined);
  assert.deepEqual(place.tried, ['none', 'password']);
  assert.equal(asked.length, 1);
  const [request] = asked;
  assert.equal(request?.kind, 'password');
  assert.equal(request?.again, false);
  assert.deepEqual(request?.prompts, [{ text: `${request?.title}'s password: `, echo: false }]);
  assert.match(request?.title ?? '', /^pat@127\.0\.0\.1:\d+$/);
});

test('a wrong password is asked for twice more, and said to be wrong', { skip }, async (t) => {
  const place = await openPlace(t, password('right'));
  const { asked, failure } = await place.login(async () => ['wrong']);
  assert.deepEqual(
    asked.map(({ again }) => again),
    [false, true, true],
  );
  assert.equal(failure?.code, 'answers-refused');
  const answers = ['wrong', 'right'];
  assert.equal((await place.login(async () => [answers.shift() ?? ''])).failure, undefined);
});

test('nothing is asked where nobody can answer', { skip }, async (t) => {
  const place = await openPlace(t, password('right'));
  const { failure } = await place.login(undefined);
  assert.equal(failure?.code, 'no-identity');
  assert.match(failure?.hint ?? '', /pine-rshctl connect work/);
  assert.deepEqual(place.tried, []);
});

test('a key that is not enough makes a mail stream say what to run, and a person be asked', {
  skip,
}, async (t) => {
  const home = openTempHome(t);
  const IDENTITY_FILE = join(home.dir, 'id');
  makeKey('ed25519', IDENTITY_FILE);
  const offer: Offer = (context) => {
    if (context.method === 'publickey') context.reject(['keyboard-interactive'], true);
    else if (context.method !== 'keyboard-interactive') context.reject(['publickey']);
    else {
      context.prompt(
        [{ prompt: 'Verification code: ', echo: true }],
        'Two steps',
        'Look\nat it',
        (answers) => {
          if (answers[0] === '123456') context.accept();
          else context.reject(['keyboard-interactive']);
        },
      );
    }
  };
  const place = await openPlace(t, offer, { IDENTITY_FILE });
  const { failure } = await place.login(undefined);
  assert.equal(failure?.code, 'login-needs-person');
  assert.match(failure?.message ?? '', /\(keyboard-interactive\)$/);
  assert.equal(failure?.hint, 'run: pine-rshctl connect work');
  place.tried.length = 0;
  const { asked, failure: none } = await place.login(async () => ['123456']);
  assert.equal(none, undefined);
  assert.deepEqual(place.tried, ['publickey', 'keyboard-interactive']);
  const [{ title: _, ...request } = { title: '' }] = asked;
  assert.deepEqual(request, {
    kind: 'keyboard-interactive',
    instructions: 'Two steps\nLook\nat it',
    prompts: [{ text: 'Verification code: ', echo: true }],
    again: false,
  });
});

test('a person who does not want to is not asked again', { skip }, async (t) => {
  for (const method of ['password', 'keyboard-interactive'] as const) {
    const offer: Offer = (context) => {
      if (context.method === 'keyboard-interactive') {
        context.prompt([{ prompt: 'Code: ', echo: false }], (answers) => {
          assert.deepEqual(answers, []);
          context.reject([method]);
        });
      } else context.reject([method]);
    };
    const place = await openPlace(t, offer);
    const { asked, failure } = await place.login(async () => undefined);
    assert.equal(asked.length, 1, method);
    assert.equal(failure?.code, 'answers-refused');
  }
});

test('a server gets no more than it asked for, however much it asks', { skip }, async (t) => {
  const long = 'x'.repeat(1_100);
  const offer: Offer = (context) => {
    if (context.method !== 'keyboard-interactive') return context.reject(['keyboard-interactive']);
    const prompts = Array.from({ length: 20 }, () => ({ prompt: long, echo: false }));
    context.prompt(prompts, long, long, (answers) => {
      assert.equal(answers.length, 8);
      context.accept();
    });
  };
  const place = await openPlace(t, offer);
  const { asked, failure } = await place.login(async ({ prompts }) => prompts.map(() => 'a'));
  assert.equal(failure, undefined);
  const [request] = asked;
  assert.equal(request?.instructions.length, PROMPT_TEXT_MAX);
  assert.ok(request?.prompts.every(({ text }) => text.length === PROMPT_TEXT_MAX));
  assert.ok(JSON.stringify({ ...request, instructions: '\x01'.repeat(PROMPT_TEXT_MAX) }).length < 65_536);
});

test('CONNECT_TIMEOUT does not run while a person thinks, and runs again afterwards', { skip }, async (t) => {
  const slow: Prompt = async () => {
    await new Promise((resolve) => setTimeout(resolve, 1_500));
    return ['right'];
  };
  const place = await openPlace(t, password('right'), { CONNECT_TIMEOUT: 1 });
  assert.equal((await place.login(slow)).failure, undefined);
  const mute = await openPlace(
    t,
    (context) => {
      if (context.method !== 'password') context.reject(['password']);
    },
    { CONNECT_TIMEOUT: 1 },
  );
  assert.equal((await mute.login(slow)).failure?.code, 'connect-timeout');
});

test('no answer is ever logged', { skip }, async (t) => {
  const place = await openPlace(t, password('right'));
  await place.login(async () => ['hunter2-secret']);
  assert.ok(!place.log().includes('hunter2'));
});

test('a locked key is unlocked when no other key got in, and only then', { skip }, async (t) => {
  const home = openTempHome(t);
  const [locked, open] = ['locked', 'open'].map((name) => join(home.dir, name)) as [string, string];
  makeKey('ed25519', locked);
  makeKey('ed25519', open);
  const words = ['-q', '-p', '-P', '', '-N', 'open sesame', '-f', locked];
  assert.equal(spawnSync('ssh-keygen', words).status, 0);
  const publicOf = (file: string) => readFileSync(`${file}.pub`, 'utf8').split(' ')[1];
  const accept =
    (file: string): Offer =>
    (context) => {
      if (context.method === 'publickey' && context.key.data.toString('base64') === publicOf(file))
        context.accept();
      else context.reject(['publickey']);
    };
  const keys = { IDENTITY_FILE: `${locked},${open}` };

  const other = await openPlace(t, accept(open), keys);
  assert.deepEqual(await other.login(async () => assert.fail('asked')), { asked: [], failure: undefined });

  const place = await openPlace(t, accept(locked), keys);
  const answers = ['wrong', 'open sesame'];
  const { asked, failure } = await place.login(async () => [answers.shift() ?? '']);
  assert.equal(failure, undefined);
  assert.deepEqual(
    asked.map(({ kind, title, again }) => ({ kind, title, again })),
    [false, true].map((again) => ({ kind: 'passphrase', title: locked, again })),
  );
  assert.equal((await place.login(undefined)).failure?.code, 'identity-encrypted');
  for (const answer of [undefined, '']) {
    const skipped = await place.login(async () => (answer === undefined ? undefined : [answer]));
    assert.equal(skipped.asked.length, 1);
    assert.equal(skipped.failure?.code, 'identity-encrypted');
  }
  const stranger = await openPlace(t, accept(open), { IDENTITY_FILE: locked });
  const refused = await stranger.login(async () => ['open sesame']);
  assert.equal(refused.failure?.code, 'login-refused');
  assert.ok(refused.failure?.message.includes(`tried ${locked}`), refused.failure?.message);
});
