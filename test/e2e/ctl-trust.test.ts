/** `pine-rshctl trust` on a real terminal: Pine is refused, a person compares and answers, Pine gets its mail. */
import assert from 'node:assert/strict';
import { once } from 'node:events';
import { existsSync, readFileSync, writeFileSync } from 'node:fs';
import { type AddressInfo, createServer } from 'node:net';
import { join } from 'node:path';
import { type TestContext, test } from 'node:test';
import { BUILDS, type Build } from '../helpers/builds.ts';
import { makeKey } from '../helpers/host-keys.ts';
import { waitForNoProcess } from '../helpers/processes.ts';
import { openRealSshd, type RealSshd } from '../helpers/real-sshd.ts';
import { requirePrograms } from '../helpers/requirements.ts';
import { type RunResult, runProgram } from '../helpers/run-program.ts';
import { openScreen, type Screen } from '../helpers/screen.ts';
import { openTempHome, type TempHome } from '../helpers/temp-home.ts';

const NEEDS = requirePrograms('sshd', 'ssh-keygen', 'tmux');

interface Place {
  readonly server: RealSshd;
  readonly home: TempHome;
  readonly knownHosts: string;
}

async function openPlace(t: TestContext): Promise<Place> {
  const server = await openRealSshd(t);
  const home = openTempHome(t);
  const knownHosts = join(home.dir, 'known_hosts');
  home.writeAlias('work', { ...server.aliasKeys, KNOWN_HOSTS: knownHosts, SHARE: 'no' });
  return { server, home, knownHosts };
}

/** The shell shows the status when it is over. */
function openTrust(t: TestContext, build: Build, { home }: Place): Screen {
  const script = 'trap : INT; "$0" trust work; echo "status $?"; exec sleep 60';
  return openScreen(t, '/bin/sh', ['-c', script, build.ctlPath], { env: home.env });
}

async function runRsh(build: Build, { home }: Place): Promise<RunResult> {
  return await runProgram(build.rshPath, ['work', 'echo', 'hello'], { env: home.env });
}

for (const build of BUILDS) {
  const skip = NEEDS || build.skip;

  test(`${build.name}: what pine-rsh refuses is trusted by hand, first and after a change`, {
    skip,
  }, async (t) => {
    const place = await openPlace(t);
    const refused = await runRsh(build, place);
    assert.match(refused.stderr.toString(), /host key of .* is not known: .*run: pine-rshctl trust work/);

    const first = openTrust(t, build, place);
    await first.waitFor('(yes/no/fingerprint)?');
    first.type('y');
    first.keys('Enter');
    await first.waitFor('please type the whole word (yes/no/fingerprint)?');
    first.type('yes');
    first.keys('Enter');
    assert.match(await first.waitFor(/status \d/), /recorded 3 keys in .*\nstatus 0/s);
    assert.equal((await runRsh(build, place)).stdout.toString(), 'hello\n');

    const file = join(place.home.dir, 'old');
    makeKey('ed25519', file);
    const [type, key] = readFileSync(`${file}.pub`, 'utf8').split(' ');
    writeFileSync(place.knownHosts, `[127.0.0.1]:${place.server.port} ${type} ${key}\n`);
    const changed = await runRsh(build, place);
    assert.match(changed.stderr.toString(), /host key of .* changed: .*run: pine-rshctl trust work/);

    const second = openTrust(t, build, place);
    const shown = await second.waitFor('(yes/no/fingerprint)?');
    assert.match(shown, /have changed:\n {2}ED25519\n {4}old SHA256:.*known_hosts:1\n {4}new SHA256:/s);
    second.type('yes');
    second.keys('Enter');
    assert.match(await second.waitFor(/status \d/), /status 0/);
    assert.equal((await runRsh(build, place)).stdout.toString(), 'hello\n');
    assert.equal(existsSync(`${place.knownHosts}.old`), true);
  });

  for (const [title, keys, status] of [
    ['Ctrl-C', 'C-c', 130],
    ['Ctrl-D', 'C-d', 1],
  ] as const) {
    test(`${build.name}: ${title} records nothing and leaves the terminal as it was`, { skip }, async (t) => {
      const place = await openPlace(t);
      const screen = openTrust(t, build, place);
      await screen.waitFor('(yes/no/fingerprint)?');
      screen.keys(keys);
      await screen.waitFor(`status ${status}`);
      // The echo is back.
      screen.type('seen again');
      await screen.waitFor('seen again');
      assert.equal(existsSync(place.knownHosts), false);
    });
  }

  test(`${build.name}: trust without a terminal wants --fingerprint`, { skip }, async (t) => {
    const place = await openPlace(t);
    const done = await runProgram(build.ctlPath, ['trust', 'work'], { env: place.home.env, input: 'yes\n' });
    assert.equal(done.code, 64);
    assert.equal(done.stdout.toString(), '');
    assert.match(done.stderr.toString(), /needs --fingerprint\n {2}hint: see pine-rshctl trust --help\n$/);
  });

  test(`${build.name}: a hanging host can be left with Ctrl-C`, { skip }, async (t) => {
    const place = await openPlace(t);
    // Takes connections and never says a word.
    const silent = createServer(() => {});
    await new Promise<void>((resolve) => silent.listen(0, '127.0.0.1', resolve));
    t.after(() => silent.close());
    const { port } = silent.address() as AddressInfo;
    const connected = once(silent, 'connection');
    place.home.writeAlias('work', { ...place.server.aliasKeys, PORT: port });
    const screen = openTrust(t, build, place);
    await connected;
    screen.keys('C-c');
    await screen.waitFor('status 130');
    await screen.close();
    await waitForNoProcess(place.home.dir);
  });
}
