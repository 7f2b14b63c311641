/** What a mail host can do to the machine of those who read mail there: nothing but what they asked for. */
import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, test } from 'node:test';
import ssh2 from 'ssh2';
import { BUILDS } from '../helpers/builds.ts';
import { makeKey } from '../helpers/host-keys.ts';
import { openHostilePort } from '../helpers/hostile-server.ts';
import { openRealSshd } from '../helpers/real-sshd.ts';
import { requirePrograms } from '../helpers/requirements.ts';
import { runProgram } from '../helpers/run-program.ts';
import type { Scope } from '../helpers/scope.ts';
import { openSshAgent } from '../helpers/ssh-agent.ts';
import type { TempHome } from '../helpers/temp-home.ts';
import { openTrialHome } from '../helpers/trials.ts';

type OpenChannel = (
  connection: ssh2.Connection,
  port: number,
  done: (error: Error | undefined) => void,
) => void;

/** Channels that a server may open where a client has asked for it; ours never does. */
const WAYS_BACK: Readonly<Record<string, OpenChannel>> = {
  'a display': (connection, port, done) => connection.x11('127.0.0.1', port, done),
  'a port': (connection, port, done) => connection.forwardOut('127.0.0.1', port, '127.0.0.1', port, done),
  'a socket': (connection, _, done) => connection.openssh_forwardOutStreamLocal('/tmp/socket', done),
};

const CLEAR = '\x1b[2J\x1b]0;title\x07\x9b31m';
const RAW = /(?!\n)\p{Cc}/u;

/** A mail host that lets everybody in; `serve` gets each command and the connection. */
async function openHost(
  scope: Scope,
  home: TempHome,
  serve: (channel: ssh2.ServerChannel, connection: ssh2.Connection) => void,
): Promise<number> {
  const hostKey = join(home.dir, 'host');
  makeKey('ed25519', hostKey);
  makeKey('ed25519', join(home.dir, 'id'));
  const ssh = new ssh2.Server({ hostKeys: [readFileSync(hostKey)] }, (connection) => {
    connection.on('error', () => {});
    connection.on('authentication', (attempt) => attempt.accept());
    connection.on('session', (accept) => {
      accept().on('exec', (acceptExec) => serve(acceptExec(), connection));
    });
  });
  const port = await openHostilePort(scope, (socket) => ssh.injectSocket(socket));
  home.writeAlias('work', {
    HOSTNAME: '127.0.0.1',
    PORT: port,
    USER: 'pat',
    IDENTITY_FILE: join(home.dir, 'id'),
    KNOWN_HOSTS: home.writeFile(
      'known_hosts',
      `[127.0.0.1]:${port} ${readFileSync(`${hostKey}.pub`, 'utf8')}`,
    ),
    SHARE: 'no',
  });
  return port;
}

for (const build of BUILDS) {
  describe(`What a mail host can do to its readers (${build.name})`, {
    skip: build.skip || requirePrograms('sshd', 'ssh-agent', 'ssh-keygen'),
    concurrency: 4,
  }, () => {
    for (const [what, open] of Object.entries(WAYS_BACK)) {
      test(`Is refused ${what}`, async (t) => {
        const home = openTrialHome(t);
        let refusal: Error | undefined;
        const port = await openHost(t, home, (channel, connection) => {
          open(connection, port, (error) => {
            refusal = error;
            channel.write('done');
            channel.exit(0);
            channel.end();
          });
        });
        const { code, stdout } = await runProgram(build.rshPath, ['work', 'ls'], { env: home.env });
        assert.deepEqual([code, stdout.toString()], [0, 'done']);
        assert.ok(refusal instanceof Error);
      });
    }

    test('Gets neither the agent nor the display', async (t) => {
      const server = await openRealSshd(t, { config: ['AllowAgentForwarding yes', 'X11Forwarding yes'] });
      const home = openTrialHome(t);
      const agent = await openSshAgent(t);
      home.writeAlias('work', { ...server.aliasKeys, SHARE: 'no' });
      const { code, stdout } = await runProgram(
        build.rshPath,
        ['-o', 'ForwardAgent=yes', '-o', 'ForwardX11=yes', 'work', 'echo "<$SSH_AUTH_SOCK$DISPLAY>"'],
        { env: { ...home.env, SSH_AUTH_SOCK: agent.socket, DISPLAY: ':0' } },
      );
      assert.deepEqual([code, stdout.toString()], [0, '<>\n']);
    });

    test('Cannot write to the terminal of a mail program: not on stderr, not by how a command ends', async (t) => {
      const home = openTrialHome(t);
      await openHost(t, home, (channel) => {
        channel.stderr.write(`careful${CLEAR}\n`);
        channel.write(`* BYE no${CLEAR}\r\n`);
        channel.exit(`KILL${CLEAR}` as 'KILL', false, `gone${CLEAR}`);
        channel.end();
      });
      const { code, stderr, stdout } = await runProgram(build.rshPath, ['work'], {
        env: home.env,
        input: 'a1 CAPABILITY\r\na2 SELECT INBOX\r\n',
      });
      assert.equal(code, 255);
      assert.match(stderr.toString('latin1'), /careful\\x1b\[2J/);
      for (const text of [stderr, stdout, Buffer.from(home.log())]) {
        assert.doesNotMatch(text.toString('latin1').replaceAll('\r\n', '\n'), RAW);
      }
    });

    test('The names that a caller gives are shown, not obeyed', async (t) => {
      const home = openTrialHome(t);
      const env = { ...home.env, PINE_RSH_CONFIG_DIR: join(home.dir, CLEAR) };
      for (const words of [
        ['work', 'ls'],
        [CLEAR, 'ls'],
        ['work', '-l', CLEAR, 'ls'],
        [`-o${CLEAR}`, 'work'],
      ]) {
        const { stderr } = await runProgram(build.rshPath, words, { env });
        assert.doesNotMatch(stderr.toString('latin1'), RAW);
        assert.match(stderr.toString(), /^pine-rsh: /);
      }
    });
  });
}
