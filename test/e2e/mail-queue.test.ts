/** QUEUE=yes: mail that meets a host out of reach is kept, and sent once; nothing uncertain is sent again by itself. */
import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { existsSync, readdirSync, readFileSync, statSync } from 'node:fs';
import { join } from 'node:path';
import { describe, type TestContext, test } from 'node:test';
import { BUILDS, type Build } from '../helpers/builds.ts';
import { killConnections } from '../helpers/faulty-host.ts';
import { findFreePort } from '../helpers/free-port.ts';
import { type MailDrop, openMailDrop } from '../helpers/mail-drop.ts';
import { findProcesses, signalProcess, waitForNoProcess } from '../helpers/processes.ts';
import { openRealSshd, type RealSshd } from '../helpers/real-sshd.ts';
import { programPath, requirePrograms } from '../helpers/requirements.ts';
import { type RunResult, runProgram } from '../helpers/run-program.ts';
import type { AliasKeys, TempHome } from '../helpers/temp-home.ts';
import { openTrialHome } from '../helpers/trials.ts';
import { waitUntil } from '../helpers/wait.ts';

const NEEDS = requirePrograms('sshd');
const HELD = /^(?:unknown|refused)-/;
const WAITING = /^wait-/;

interface Setup {
  readonly server: RealSshd;
  readonly drop: MailDrop;
  readonly home: TempHome;
  send(text: string): Promise<RunResult>;
  ctl(...words: string[]): Promise<RunResult & { readonly text: string }>;
  /** The names of the messages that are kept. */
  kept(pattern?: RegExp): string[];
  /** The texts that were delivered, in order. */
  delivered(): string[];
  /** The host cannot be reached any more. */
  leave(): Promise<void>;
  /** It can be again. */
  comeBack(): void;
  /** Waits until nothing sends any more. */
  settle(): Promise<void>;
}

async function openSetup(t: TestContext, build: Build, keys: AliasKeys = {}): Promise<Setup> {
  const server = await openRealSshd(t);
  const drop = openMailDrop(server);
  const home = openTrialHome(t);
  const writeAlias = (more: AliasKeys): void => {
    const common = { SENDMAIL: drop.program, SHARE: 'no', SSH_CONFIG: 'no', QUEUE: 'yes' };
    home.writeAlias('work', { ...server.aliasKeys, ...common, ...keys, ...more });
  };
  writeAlias({});
  return {
    leave: async () => writeAlias({ PORT: await findFreePort() }),
    comeBack: () => writeAlias({}),
    server,
    drop,
    home,
    send: (text) =>
      runProgram(build.rshPath, ['work', 'sendmail', '-t'], { env: home.env, input: formatMail(text) }),
    ctl: async (...words) => {
      const result = await runProgram(build.ctlPath, words, { env: home.env });
      return { ...result, text: `${result.stdout}${result.stderr}` };
    },
    kept: (pattern = /^(?!lock)/) => {
      const dir = join(home.stateDir, 'queue');
      return existsSync(dir) ? readdirSync(dir).filter((name) => pattern.test(name)) : [];
    },
    delivered: () =>
      drop.messages().map(({ bytes }) => /^Subject: (.*)$/m.exec(bytes.toString())?.[1] ?? '?'),
    settle: async () => {
      await waitForNoProcess(home.dir, { also: ({ command }) => command.includes(' --flush ') });
      await waitUntil('the sessions end', () => server.remoteProcesses().length === 0);
    },
  };
}

function formatMail(subject: string): Buffer {
  return Buffer.from(`To: you@example.org\nSubject: ${subject}\n\n.\nno newline`);
}

for (const build of BUILDS) {
  describe(`Mail for a host that is away (${build.name})`, {
    skip: NEEDS || build.skip,
    concurrency: 2,
  }, () => {
    test('Is kept privately, and sent in order and once after the next session that opens', async (t) => {
      for (const SHARE of ['no', 'yes']) {
        const { drop, home, send, ctl, kept, delivered, ...host } = await openSetup(t, build, { SHARE });
        const { leave, comeBack, settle } = host;
        await leave();
        for (const text of ['one', 'two', 'three']) {
          const { code, stdout, stderr } = await send(text);
          assert.deepEqual([code, `${stdout}${stderr}`], [0, '']);
        }
        await settle();
        await waitUntil('all three wait', () => kept(WAITING).length === 3);
        const dir = join(home.stateDir, 'queue');
        assert.equal(statSync(dir).mode & 0o777, 0o700);
        for (const name of kept()) assert.equal(statSync(join(dir, name)).mode & 0o777, 0o600);
        assert.match((await ctl('status')).text, /3 messages wait to be sent; see pine-rshctl queue list/);
        comeBack();
        assert.equal((await runProgram(build.rshPath, ['work', 'true'], { env: home.env })).code, 0);
        await waitUntil('all are sent', () => kept(WAITING).length === 0, { detail: () => home.log() });
        await settle();
        assert.deepEqual(delivered(), ['one', 'two', 'three']);
        assert.ok(drop.messages()[0]?.bytes.equals(formatMail('one')));
        assert.deepEqual(kept(), []);
        assert.equal((await ctl('status')).text.includes('wait to be sent'), false);
      }
    });

    test('Is told at once, and not kept, where that would not pass by itself', async (t) => {
      for (const [keys, status, reason] of [
        [{ KNOWN_HOSTS: '/dev/null' }, 77, /host key of \S+ is not known/],
        [{ USER: 'nobody-of-that-name' }, 77, /accepted no key/],
        [{ IDENTITY_FILE: '/no/such/key' }, 78, /does not exist/],
      ] as const) {
        for (const SHARE of ['no', 'yes']) {
          const { send, kept } = await openSetup(t, build, { ...keys, SHARE });
          const { code, stderr } = await send('a message');
          assert.equal(code, status);
          assert.match(stderr.toString(), reason);
          assert.deepEqual(kept(), []);
        }
      }
    });

    test('Is kept while the host is away behind a gateway that is there', async (t) => {
      const { server, send, kept, leave, ...setup } = await openSetup(t, build, {
        PROXY_JUMP: 'gate',
      });
      setup.home.writeAlias('gate', { ...server.aliasKeys, SSH_CONFIG: 'no' });
      await leave();
      const { code, stderr } = await send('a message');
      assert.deepEqual([code, stderr.toString()], [0, '']);
      assert.equal(kept(WAITING).length, 1);
      assert.match(setup.home.log(), /cannot connect to .*Connection refused/);
    });

    test('Lets new mail join behind what waits, and is sent by queue flush', async (t) => {
      const { send, ctl, kept, delivered, leave, comeBack, settle } = await openSetup(t, build);
      await leave();
      await send('first');
      const away = await ctl('queue', 'flush');
      assert.equal(away.code, 1);
      assert.match(away.text, /work: still waits \(.*refused the connection\)/);
      comeBack();
      assert.equal((await send('second')).code, 0);
      const { text } = await ctl('queue', 'flush');
      await settle();
      assert.match(text, /sent|being sent already|no mail waits/);
      assert.deepEqual(delivered(), ['first', 'second']);
      assert.deepEqual(kept(), []);
    });

    test('Is held when the host refuses it, shown with the reason, and holds up nothing', async (t) => {
      const { drop, send, ctl, kept, delivered, leave, comeBack, settle } = await openSetup(t, build);
      await leave();
      for (const text of ['bad', 'good']) await send(text);
      await settle();
      comeBack();
      drop.behave('if grep -q bad "$d/new.$$"; then echo "550 no such user" >&2; exit 67; fi');
      const { code, text } = await ctl('queue', 'flush', 'work');
      assert.equal(code, 1);
      assert.match(text, /held, refused \(status 67: 550 no such user\)\n.*: sent\n/);
      assert.deepEqual(delivered(), ['good']);
      assert.equal(kept(HELD).length, 1);

      const list = JSON.parse((await ctl('queue', 'list', '--json')).stdout.toString());
      const [message] = list.messages;
      assert.deepEqual(
        [message.state, message.alias, message.subject, message.note],
        ['refused', 'work', 'bad', 'status 67: 550 no such user'],
      );
      assert.match(
        (await ctl('queue', 'list')).text,
        /held, refused.*\n.*you@example.org\n.*bad\n.*550 no such user/,
      );
      assert.deepEqual((await ctl('queue', 'show', message.id, '--raw')).stdout, formatMail('bad'));
      assert.match((await ctl('queue', 'flush')).text, /no mail waits/);
      drop.behave(undefined);
      assert.match((await ctl('queue', 'flush', message.id)).text, /sent/);
      assert.deepEqual(delivered(), ['good', 'bad']);
      assert.equal((await ctl('queue', 'remove', message.id)).code, 1);
    });

    test('Waits on when the host says not now, and lets the others pass', async (t) => {
      const { drop, send, ctl, kept, delivered, leave, comeBack, settle } = await openSetup(t, build);
      await leave();
      for (const text of ['later', 'now']) await send(text);
      await settle();
      comeBack();
      drop.behave('if grep -q later "$d/new.$$"; then echo "451 greylisted" >&2; exit 75; fi');
      assert.match((await ctl('queue', 'flush')).text, /still waits \(not now: 451 greylisted\)/);
      assert.deepEqual([delivered(), kept(WAITING).length], [['now'], 1]);
      drop.behave(undefined);
      assert.equal((await ctl('queue', 'flush')).code, 0);
      assert.deepEqual(delivered(), ['now', 'later']);
    });

    test('Is held, and not sent again, when the line is lost before the answer', async (t) => {
      const { server, drop, home, send, ctl, kept, delivered, ...host } = await openSetup(t, build);
      const { leave, comeBack, settle } = host;
      await leave();
      await send('uncertain');
      await settle();
      comeBack();
      drop.behave('sleep 60');
      const flushing = ctl('queue', 'flush');
      await waitUntil('the message is there', () =>
        readdirSync(join(server.home, 'drop')).some((name) => name.startsWith('new.')),
      );
      killConnections(server);
      const { code, text } = await flushing;
      assert.equal(code, 1);
      assert.match(text, /held, may have been sent/);
      assert.equal(kept(/^unknown-/).length, 1);
      drop.behave(undefined);
      assert.match((await ctl('queue', 'flush')).text, /no mail waits/);
      // It blocks nothing.
      assert.equal((await send('next')).code, 0);
      assert.ok(delivered().includes('next'));
    });

    test('Is held when its sender is killed on the way, and sent again only by hand', async (t) => {
      const { server, drop, home, ctl, kept, delivered } = await openSetup(t, build);
      drop.behave('sleep 60');
      const child = spawn(build.rshPath, ['work', 'sendmail', '-t'], { env: home.env, stdio: 'pipe' });
      child.stdin.end(formatMail('uncertain'));
      await waitUntil('the message is there', () =>
        readdirSync(join(server.home, 'drop')).some((name) => name.startsWith('new.')),
      );
      assert.match((await ctl('queue', 'list')).text, /being sent/);
      child.kill('SIGKILL');
      await once(child, 'exit');
      const { text } = await ctl('queue', 'list');
      assert.match(text, /held, may have been sent.*its sender died/s);
      assert.equal(kept(/^unknown-/).length, 1);
      assert.match((await ctl('status')).text, /1 message is held/);
      killConnections(server);
      drop.behave(undefined);
      assert.match((await ctl('queue', 'flush')).text, /no mail waits/);
      const again = await ctl('queue', 'flush', text.slice(0, 6));
      assert.deepEqual([again.code, kept()], [0, []], again.text);
      assert.ok(delivered().includes('uncertain'));
    });

    test('Is sent once by two who flush at the same time, and through the restart of a broker', async (t) => {
      const { home, send, ctl, kept, delivered, ...host } = await openSetup(t, build, { SHARE: 'yes' });
      const { leave, comeBack, settle } = host;
      const texts = Array.from({ length: 12 }, (_, at) => `message ${at}`);
      await leave();
      for (const text of texts) await send(text);
      await settle();
      comeBack();
      const flushing = [ctl('queue', 'flush'), ctl('queue', 'flush'), ctl('queue', 'flush', 'work')];
      await waitUntil('sending begins', () => delivered().length > 2);
      for (const { pid } of findProcesses(home.dir).filter(({ command }) => command.includes(' --broker ')))
        signalProcess(pid, 'SIGKILL');
      await Promise.all(flushing);
      await ctl('queue', 'flush');
      await settle();
      const sent = delivered();
      assert.equal(new Set(sent).size, sent.length, 'none twice');
      // The one that was under way when its broker was killed may be held; none is lost.
      assert.equal(kept(WAITING).length, 0);
      assert.ok(kept(HELD).length <= 1);
      const heldTexts = kept(HELD).map(
        (name) => /^Subject: (.*)$/m.exec(readFileSync(join(home.stateDir, 'queue', name), 'latin1'))?.[1],
      );
      assert.deepEqual([...new Set([...sent, ...heldTexts])].sort(), [...texts].sort());
    });
  });

  describe(`A queue that dies at any step (${build.name})`, {
    skip: NEEDS || requirePrograms('strace') || build.skip,
    concurrency: 3,
  }, () => {
    /** All that changes the disk; strace counts each by itself. */
    const CALLS = ['pwrite64', 'fsync', 'rename', 'unlink', 'link', 'mkdir'];
    /** More than any of them is made. */
    const STEPS_MAX = 20;

    /** Runs a program again and again; something happens to it at the first such call, at the second, and so on. */
    async function runAtEachStep(
      home: TempHome,
      fault: string,
      words: readonly string[],
      round: {
        before?: () => Promise<void>;
        input?: Buffer;
        after: (step: string, run: RunResult) => Promise<void>;
      },
    ): Promise<number> {
      let steps = 0;
      for (const call of CALLS) {
        for (let nth = 1; nth <= STEPS_MAX; nth++) {
          await round.before?.();
          // Architectures have the one or the other; a name that does not exist here is passed over.
          const calls = `?${call},?${call}at,?${call}at2`;
          const trace = ['-f', '-qq', '-o', join(home.dir, 'trace'), '-e', `trace=${calls}`];
          const inject = ['-e', `inject=${calls}:${fault}:when=${nth}`];
          const run = await runProgram(programPath('strace'), [...trace, ...inject, ...words], {
            env: home.env,
            input: round.input ?? '',
          });
          await round.after(`${call} ${nth}`, run);
          if (run.code === 0) break;
          steps++;
        }
      }
      return steps;
    }

    test('While it takes a message: what was promised is kept', async (t) => {
      const { home, ctl, kept, delivered, leave, comeBack, settle } = await openSetup(t, build);
      await leave();
      let promised = 0;
      const words = [build.rshPath, 'work', 'sendmail', '-t'];
      const killed = await runAtEachStep(home, 'signal=KILL', words, {
        input: formatMail('promised'),
        after: async (_, { code }) => {
          promised += code === 0 ? 1 : 0;
          await settle();
        },
      });
      t.diagnostic(`killed at ${killed} steps, ${promised} promised`);
      assert.ok(killed >= 3 && promised > 0);
      const whole = kept(WAITING).length;
      assert.ok(whole >= promised);
      comeBack();
      assert.equal((await ctl('queue', 'flush')).code, 0);
      assert.equal(delivered().length, whole);
      assert.deepEqual(new Set(delivered()), new Set(['promised']));
      assert.deepEqual(kept(WAITING), []);
    });

    test('While it sends: no message is lost, none is sent twice', async (t) => {
      const { server, drop, home, send, ctl, kept, delivered, ...host } = await openSetup(t, build);
      const { leave, comeBack, settle } = host;
      let held = 0;
      const killed = await runAtEachStep(home, 'signal=KILL', [build.ctlPath, 'queue', 'flush'], {
        before: async () => {
          await leave();
          assert.equal((await send('once')).code, 0);
          comeBack();
        },
        after: async (step) => {
          await waitUntil('the session ends', () => server.remoteProcesses().length === 0);
          await ctl('queue', 'flush');
          await settle();
          const left = kept(HELD);
          assert.ok(delivered().length <= 1, `sent ${delivered().length} times when killed at ${step}`);
          assert.deepEqual(kept(WAITING), [], `${step}: still waits`);
          assert.ok(delivered().length + left.length >= 1, `lost when killed at ${step}`);
          held += left.length;
          for (const name of left) {
            assert.match(name, /^unknown-/, step);
            assert.equal((await ctl('queue', 'remove', name.split('-')[2] ?? '')).code, 0);
          }
          drop.forget();
        },
      });
      t.diagnostic(`killed at ${killed} steps, held ${held} times`);
      assert.ok(killed >= 6);
    });

    test('On a full disk: the caller is told, and nothing is half kept', async (t) => {
      const { home, ctl, kept, leave } = await openSetup(t, build);
      await leave();
      const words = [build.rshPath, 'work', 'sendmail', '-t'];
      let promised = 0;
      const failed = await runAtEachStep(home, 'error=ENOSPC', words, {
        input: formatMail('no room'),
        after: async (step, { code, stderr }) => {
          if (code === 0) {
            promised++;
            return;
          }
          assert.equal(code, 75, `${step}: ${stderr}`);
          assert.match(stderr.toString(), /cannot store the message in .*ENOSPC/, step);
        },
      });
      assert.ok(failed >= 3, `${failed} steps failed`);
      const { messages } = JSON.parse((await ctl('queue', 'list', '--json')).stdout.toString());
      for (const each of messages) assert.notEqual(each.size, null, 'a damaged message');
      t.diagnostic(`${failed} steps failed, ${promised} promised`);
      assert.equal(kept().length, promised);
    });
  });
}
